# SPDX-License-Identifier: Apache-2.0
"""Report waits, so that the user knows the reason for a silence: pauses between tries, and long operations."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from typing import Any

from chatvector.messages import Say

WAIT_TO_TELL = 4.0
"""Seconds. Shorter waits are not reported."""
BEATS = 30.0
"""Seconds between two lines about a long operation."""


class Waits:
    """Reports waits, once for all threads that wait at the same time."""

    def __init__(self, say: Say | None) -> None:
        self._say = say
        self._telling = threading.Lock()
        self._told_until = 0.0

    def tell(self, failure: Exception, seconds: float) -> None:
        """Report the failure behind a wait and how long the wait is."""
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
    """Reports every half minute that an operation without known progress goes on."""

    def __init__(self, say: Say, what: str) -> None:
        self._say = say
        self._what = what

    def until(self, outcome: Future[Any]) -> None:
        """Wait until `outcome` is done, and report meanwhile."""
        beats = 0
        while not wait((outcome,), BEATS).done:
            beats += 1
            self._say(f"{self._what}, {beats * BEATS:.0f} s so far")
