# SPDX-License-Identifier: Apache-2.0
"""Something that takes a while, an evaluation, a sweep or a merge: it runs in a thread, is watched, can be called off.

Called off is what next reports progress: after the batch of replies that is being written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, Self, TypeVar

from chatvector.web.visitors import noted

LOOK_SECONDS = 0.2
"""Between two looks at how far it is."""

Result = TypeVar("Result")


class CalledOff(Exception):
    """Raised within the work when it is called off."""


class Errand(Generic[Result]):
    """One piece of work. Satisfies the `Progress` of evaluations and of merges, and is the meter of sweeps.

    Attributes:
        done, total: how far it is; a total of 0 is not known.
        line: what it said last.
        result: once it is over, unless it failed or was called off.
        problem: what went wrong.
    """

    def __init__(self, work: Callable[[Errand[Result]], Result]) -> None:
        self.done = self.total = 0
        self.line = ""
        self.result: Result | None = None
        self.problem: Exception | None = None
        self._count = threading.Lock()
        self._off = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), name="chatvector-errand", daemon=True)

    @property
    def called_off(self) -> bool:
        """Whether somebody called it off."""
        return self._off.is_set()

    def call_off(self) -> None:
        """Let it end soon. From any thread."""
        self._off.set()

    def start(self, total: int) -> Self:
        """So many are to come."""
        self._go_on()
        self.done, self.total = 0, total
        return self

    def advance(self, count: int) -> None:
        """So many more have come. From any thread."""
        self._go_on()
        with self._count:
            self.done += count

    def say(self, line: str) -> None:
        """Hears a line for people."""
        self._go_on()
        self.line = line

    def watch(self) -> Iterator[Self]:
        """Begin, and look again and again until it is over; what stops looking calls it off."""
        self._thread.start()
        try:
            before: tuple[object, ...] | None = None
            while not self._over.wait(LOOK_SECONDS if before else 0.02):
                now = (self.done, self.total, self.line)
                if now != before:
                    before = now
                    yield self
            yield self
        finally:
            self.call_off()

    def _go_on(self) -> None:
        if self.called_off:
            raise CalledOff

    def _run(self, work: Callable[[Errand[Result]], Result]) -> None:
        try:
            self.result = work(self)
        except CalledOff:
            pass
        except Exception as error:
            self.problem = noted(error)
        finally:
            self._over.set()
