# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while a server does not answer, or is asked again and again: heard at once, and the same command continues."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub_trio import put_trio

from hub_server import Fault, HubServer

PARENTS = ("org/target", "--base", "org/base", "--chat", "org/chat")
WEIGHTS = "model.safetensors"
PATIENCE = 40
"""Seconds. A server is asked again for 63, and read from for 60."""


@pytest.fixture(autouse=True)
def online(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trio on the hub; programs that are started take the server for it."""
    put_trio(hub, tmp_path / "local")
    for name, value in {"ENDPOINT": hub.endpoint, "HOME": str(tmp_path / "home"), "HUB_OFFLINE": "0"}.items():
        monkeypatch.setenv(f"HF_{name}", value)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The program; killed at the end if it still runs."""
    command = [sys.executable, "-m", "chatvector", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            if program.poll() is None:
                program.kill()


@pytest.mark.parametrize("verb", ["plan", "apply"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_between_two_tries(hub: HubServer, tmp_path: Path, verb: str, number: signal.Signals) -> None:
    hub.faults.append(Fault("GET", WEIGHTS, status=503))
    more = () if verb == "plan" else ("--stream", "-o", str(tmp_path / "out"))
    with started(verb, *PARENTS, *more) as program:
        assert program.stderr is not None
        told = next(line for line in program.stderr if "again" in line)
        assert "the hub has trouble (503)" in told
        program.send_signal(number)
        _, err = program.communicate(timeout=PATIENCE)
    assert program.returncode == 128 + number
    assert err.splitlines()[-1] == "chatvector: interrupted; the same command continues"
    assert err.count("interrupted") == 1
    assert not (tmp_path / "out").exists()
    hub.faults.clear()
    again = subprocess.run(
        [sys.executable, "-m", "chatvector", verb, *PARENTS, *more], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr


def test_while_a_server_does_not_answer(hub: HubServer) -> None:
    hub.faults.append(Fault("GET", f"org/base/resolve/{hub.repos['org/base'].refs['main']}/{WEIGHTS}", stall=90))
    with started("plan", *PARENTS, "--quiet") as program:
        while not any(request.method == "GET" and request.path.endswith(WEIGHTS) for request in hub.log):
            assert program.poll() is None
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, err) == (130, "chatvector: interrupted; the same command continues\n")


def test_a_signal_after_the_end_changes_nothing(tmp_path: Path) -> None:
    """Between the program's own end and the interpreter's."""
    program = (
        "import atexit, os, signal, sys\n"
        "atexit.register(lambda: [os.kill(os.getpid(), number) for number in (signal.SIGINT, signal.SIGTERM)])\n"
        "from chatvector.cli.main import main\n"
        f"sys.argv = ['chatvector', 'check', {str(tmp_path / 'absent')!r}, 'b', 'c']\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 3
    assert ended.stderr.startswith("chatvector: ")
    assert ended.stderr.count("\n") == 1
