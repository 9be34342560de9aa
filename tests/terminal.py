# SPDX-License-Identifier: Apache-2.0
"""The program on a pseudo-terminal: keys in, what a reader would see out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 120
"""After which a test gives up waiting: a busy machine needs time to load torch."""
CTRL_C, CTRL_D = "\x03", "\x04"

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A running program and all that it has written."""

    def __init__(self, program: subprocess.Popen[bytes], keys: int) -> None:
        self._program, self._keys = program, keys
        self._raw = b""
        self._seen = 0

    @property
    def raw(self) -> str:
        """All that was written, escapes included."""
        return self._raw.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        """All that was written, without escapes."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        """Press keys; a line ends with `\\r`."""
        os.write(self._keys, keys.encode())

    def say(self, line: str) -> None:
        """Type a line and press return."""
        self.type(line + "\r")

    def wait(self, wanted: str) -> str:
        """What was written since the last wait, up to and with `wanted`."""
        until = time.monotonic() + SECONDS
        while wanted not in self.text[self._seen :]:
            assert time.monotonic() < until, f"no {wanted!r} in:\n{self.text[self._seen :]}"
            if not self._read(1.0) and self._program.poll() is not None and not self._read(0.1):
                raise AssertionError(f"ended ({self._program.returncode}) without {wanted!r}:\n{self.text}")
        start, self._seen = self._seen, self.text.index(wanted, self._seen) + len(wanted)
        return self.text[start : self._seen]

    def signal(self, number: int) -> None:
        """Send the program a signal, as a shutdown does."""
        self._program.send_signal(number)

    def resize(self, columns: int, rows: int = 24) -> None:
        """Give the window another size."""
        fcntl.ioctl(self._keys, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> int:
        """The exit code of a program that is about to end."""
        until = time.monotonic() + SECONDS
        while self._program.poll() is None:
            assert time.monotonic() < until, f"still running:\n{self.text}"
            self._read(0.2)
        while self._read(0.1):
            pass
        return self._program.returncode

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._keys], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._keys, 1 << 16)
        except OSError:  # the other side is closed
            return False
        self._raw += data
        return bool(data)


@contextmanager
def started(*arguments: str, columns: int = 80, home: Path, term: str = "xterm") -> Iterator[Terminal]:
    """`chatvector ARGUMENTS` on a terminal of its own; killed at the end if it still runs."""
    with python("-m", "chatvector", *arguments, columns=columns, home=home, term=term) as terminal:
        yield terminal


@contextmanager
def python(*arguments: str, columns: int = 80, home: Path, term: str = "xterm") -> Iterator[Terminal]:
    """`python ARGUMENTS` on a terminal of its own; killed at the end if it still runs."""
    keys, screen = pty.openpty()
    own = {"TERM": term, "HOME": str(home), "XDG_STATE_HOME": str(home), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")} | own
    # A session's first terminal to be opened is the one whose Ctrl-C it gets.
    on_terminal = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(screen)]
    command = [*on_terminal, sys.executable, *arguments]
    with subprocess.Popen(command, env=environment, start_new_session=True, pass_fds=()) as program:
        terminal = Terminal(program, keys)
        terminal.resize(columns)
        try:
            yield terminal
        finally:
            if program.poll() is None:
                program.kill()
            os.close(screen)
            os.close(keys)
