# SPDX-License-Identifier: Apache-2.0
"""Send several requests to a server in parallel, give each result once it arrives, and never wait for a dead server.

`ThreadPoolExecutor` waits for its threads even at the end of the program: Ctrl-C would take effect only when the server
answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Asked = TypeVar("Asked")
Got = TypeVar("Got")


def side_by_side(requests: Sequence[Asked], work: Callable[[Asked], Got], *, threads: int) -> Iterator[tuple[int, Got]]:
    """(index, result) of every request in the order of completion, `threads` at a time.

    After the first error no further request is sent; results of running requests are still given, then the error is
    raised. When the caller stops iterating, or at an interruption, nothing is waited for.
    """
    waiting: SimpleQueue[tuple[int, Asked]] = SimpleQueue()
    for place, request in enumerate(requests):
        waiting.put((place, request))
    ready: SimpleQueue[tuple[int, list[Got], Exception | None]] = SimpleQueue()
    ended = Event()

    def run() -> None:
        while not ended.is_set():
            try:
                place, request = waiting.get_nowait()
            except Empty:
                return
            try:
                ready.put((place, [work(request)], None))
            except Exception as error:
                ready.put((place, [], error))

    workers = [Thread(target=run, name="chatvector-ask", daemon=True) for _ in range(min(threads, len(requests)))]
    for worker in workers:
        worker.start()
    failure: Exception | None = None
    try:
        for _ in requests:
            if failure is not None and ready.empty():
                break
            place, results, error = ready.get()
            if error is not None and failure is None:
                failure = error
                ended.set()
                for worker in workers:
                    worker.join()
            for result in results:
                yield place, result
    finally:
        ended.set()
    if failure is not None:
        raise failure
