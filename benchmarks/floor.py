# SPDX-License-Identifier: Apache-2.0
"""The floor under any merge: a program that only reads three files and writes a fourth of the same size.

    python -m benchmarks.floor BASE CHAT TARGET OUTPUT THREADS BLOCK_BYTES sync|nosync

It does what the disk and the page cache cost and nothing else: no arithmetic, no plan, no checks. As `apply`, it
reserves the space, writes in place from several threads, hands data to the disk beside the work (`sync`) and ends
with fsync and a rename.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

FLUSH_BYTES = 256 << 20


def copy_third(inputs: list[str], output: str, threads: int, block: int, *, sync: bool) -> None:
    """Read all of `inputs`, block by block, and write the last one's bytes to `output`."""
    sources = [os.open(path, os.O_RDONLY) for path in inputs]
    size = min(os.fstat(source).st_size for source in sources)
    place = os.open(f"{output}.partial", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    os.posix_fallocate(place, 0, size)
    starts = iter(range(0, size, block))
    lock = threading.Lock()
    wake, done = threading.Event(), threading.Event()

    def work() -> None:
        # Whole pages: a copy to 16 bytes behind a page's beginning, where Python's own memory is, takes twice as long.
        buffers = [memoryview(mmap.mmap(-1, block)) for _ in sources]
        waiting = 0
        while True:
            with lock:
                start = next(starts, None)
            if start is None:
                return
            count = min(block, size - start)
            for source, buffer in zip(sources, buffers, strict=True):
                assert os.preadv(source, [buffer[:count]], start) == count
            assert os.pwrite(place, buffers[-1][:count], start) == count
            waiting += count
            if waiting * threads >= FLUSH_BYTES:
                waiting = 0
                wake.set()

    def flush_beside() -> None:
        while not done.is_set():
            wake.wait()
            wake.clear()
            if not done.is_set():
                os.fdatasync(place)

    with ThreadPoolExecutor(threads + 1) as pool:
        flusher = pool.submit(flush_beside) if sync else None
        for worker in [pool.submit(work) for _ in range(threads)]:
            worker.result()
        done.set()
        wake.set()
        if flusher is not None:
            flusher.result()
    if sync:
        os.fsync(place)
    os.rename(f"{output}.partial", output)


if __name__ == "__main__":
    *files, result, thread_count, block_bytes, durability = sys.argv[1:]
    copy_third(files, result, int(thread_count), int(block_bytes), sync=durability == "sync")
