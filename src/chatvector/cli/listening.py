# SPDX-License-Identifier: Apache-2.0
"""A signal is acted upon at once while the program waits for a key.

Python runs a signal's handler when control comes back to it. Its line editor waits in select(2), which only a signal
that comes *during* the call ends: one that came a moment before, or that the system gave to another thread, would stand
there until the next key.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_SECONDS = 0.05


@contextmanager
def listening() -> Iterator[None]:
    """Inside the block the main thread, from which this must be called, hears every signal that has a handler.

    A thread is told of each of them (`signal.set_wakeup_fd`) and sends SIGURG, which interrupts and means nothing, to
    the main thread until its handler has run; those of lower numbers, SIGINT and SIGTERM among them, run before it.
    """
    if not hasattr(signal, "pthread_kill") or not hasattr(signal, "SIGURG"):
        yield
        return
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    main, heard, ended = threading.main_thread().ident, 0, False
    assert main is not None

    # A handler may interrupt itself: it takes no lock.
    def hear(_number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1

    def repeat() -> None:
        while numbers := os.read(told, 64):
            before = heard
            while set(numbers) != {signal.SIGURG} and heard == before and not ended:
                signal.pthread_kill(main, signal.SIGURG)
                time.sleep(_AGAIN_SECONDS)

    previous = signal.signal(signal.SIGURG, hear)
    thread = threading.Thread(target=repeat, name="signals", daemon=True)
    thread.start()
    wakeup = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    try:
        yield
    finally:
        ended = True
        signal.set_wakeup_fd(wakeup)
        os.close(tell)
        thread.join()
        os.close(told)
        signal.signal(signal.SIGURG, previous)
