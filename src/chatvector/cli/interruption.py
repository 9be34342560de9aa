# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM: the run unwinds, what was written stays for the next one, and nobody waits for a dead network."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from types import FrameType

from chatvector.cli import console

NUMBERS = (signal.SIGINT, signal.SIGTERM)
UNWIND_SECONDS = 2.0
"""For threads that read from a network to come back; a try may wait for minutes."""

_is_told = False


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM: unwinds without being caught as an error; what was written stays for the next run."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As shells have it."""
        return 128 + self.number


def listen() -> None:
    """Raise Interrupted in the main thread at the signals, from now on."""
    global _is_told
    _is_told = False
    for number in NUMBERS:
        # A job started with Ctrl-C ignored (in the background of a script) keeps ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)


def stop_listening() -> None:
    """All is done and said: a signal that comes now changes neither that nor the exit code."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def tell(interruption: Interrupted) -> None:
    """The one line of an interrupted run."""
    global _is_told
    if not _is_told:
        _is_told = True
        console.write_error(f"interrupted; {console.after_interrupt}", interruption.exit_code)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    remote = sys.modules.get("chatvector.checkpoint.remote")
    interruption = Interrupted(number)
    if remote is not None and remote.RemoteStorage.open_ones:
        # Not `threading`: its locks may be held by what was interrupted.
        _thread.start_new_thread(_leave_in_time, (interruption,))
    raise interruption


def _leave_in_time(interruption: Interrupted) -> None:
    """End the process where a thread still waits for a network. A run may be killed at any time: nothing is lost."""
    time.sleep(UNWIND_SECONDS)
    tell(interruption)
    os._exit(interruption.exit_code)
