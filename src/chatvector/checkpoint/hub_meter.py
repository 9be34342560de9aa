# SPDX-License-Identifier: Apache-2.0
"""A progress bar that draws nothing: it turns huggingface_hub's byte counts into log lines, a few a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

SECONDS_BETWEEN_LINES = 5.0


def make_meter(report: Callable[[int], None] | None) -> type:
    """A class for huggingface_hub's `tqdm_class`. `report` gets the bytes so far, at most every 5 s.

    huggingface_hub runs two byte counters side by side (received, written to disk); the larger count is reported.
    """
    from tqdm.auto import tqdm

    lock = threading.Lock()
    state = {"bytes": 0, "told": time.monotonic()}

    class Meter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})
            self._bytes = 0

        def update(self, n: float | None = 1) -> bool | None:
            if report is None or not self._counts_bytes:
                return None
            with lock:
                self._bytes += int(n or 0)
                state["bytes"] = max(state["bytes"], self._bytes)
                if time.monotonic() - state["told"] >= SECONDS_BETWEEN_LINES:
                    state["told"] = time.monotonic()
                    report(int(state["bytes"]))
            return None

    return Meter
