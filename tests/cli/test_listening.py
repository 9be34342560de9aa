# SPDX-License-Identifier: Apache-2.0
"""Signals that do not end the wait for a key by themselves, because another thread was given them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from terminal import python

DEAF = """
import readline, signal, sys
from chatvector.cli.listening import listening

def end(number, frame):
    raise SystemExit(40 + number)

signal.signal(signal.SIGTERM, end)
for _ in range(2):
    with listening():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
        for _ in range(3):
            try:
                input("asked ")
            except KeyboardInterrupt:
                print("heard", flush=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL
assert signal.set_wakeup_fd(-1) == -1
input("last ")
"""
"""A prompt whose select(2) no signal reaches: the main thread has them blocked, the listening one has not."""


@pytest.mark.parametrize("times", [1, 4])
def test_a_signal_that_another_thread_was_given_ends_the_wait(tmp_path: Path, times: int) -> None:
    with python("-c", DEAF, home=tmp_path) as terminal:
        for _ in range(times):
            terminal.wait("asked ")
            terminal.signal(signal.SIGINT)
            terminal.wait("heard")
        terminal.wait("asked ")
        terminal.signal(signal.SIGTERM)
        assert terminal.end() == 40 + signal.SIGTERM


def test_afterwards_all_is_as_before(tmp_path: Path) -> None:
    with python("-c", DEAF, home=tmp_path) as terminal:
        for _ in range(6):
            terminal.wait("asked ")
            terminal.say("a line")
        terminal.wait("last ")
        terminal.say("")
        assert terminal.end() == 0
