# SPDX-License-Identifier: Apache-2.0
"""Waits between two tries, told to whoever would wonder about the silence."""

from __future__ import annotations

import threading
import time

from chatvector.messages import Say

WAIT_TO_TELL = 4.0
"""Seconds. Shorter waits pass without a word."""


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
