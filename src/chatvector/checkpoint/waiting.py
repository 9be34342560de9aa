# SPDX-License-Identifier: Apache-2.0
"""Waits, told to whoever would wonder about the silence: between two tries, and for what takes long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from typing import Any

from chatvector.messages import Say

WAIT_TO_TELL = 4.0
"""Seconds. Shorter waits pass without a word."""
BEATS = 30.0
"""Seconds from one word to the next on what takes long."""


class Waits:
    """Tells of waits, once for all threads that wait at the time."""

    def __init__(self, say: Say | None) -> None:
        self._say = say
        self._telling = threading.Lock()
        self._told_until = 0.0

    def tell(self, failure: Exception, seconds: float) -> None:
        """Say why a while is waited for."""
        if self._say is None or seconds < WAIT_TO_TELL:
            return
        with self._telling:
            now = time.monotonic()
            if now < self._told_until:
                return
            self._told_until = now + seconds
        what, _, _to_do = str(failure).partition("; ")
        self._say(f"{what}; trying again in {seconds:.0f} s")


class Heartbeat:
    """Says every half minute that something goes on of which no share is known."""

    def __init__(self, say: Say, what: str) -> None:
        self._say = say
        self._what = what

    def until(self, outcome: Future[Any]) -> None:
        """Return when `outcome` is there."""
        beats = 0
        while not wait((outcome,), BEATS).done:
            beats += 1
            self._say(f"{self._what}, {beats * BEATS:.0f} s so far")
