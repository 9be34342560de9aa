# SPDX-License-Identifier: Apache-2.0
"""How fast is `verify --full`: against a program that only reads the four models, with and without a warm page cache.

    python -m benchmarks.verify_full FOLDER ROUNDS                  the benchmark by itself
    python -m benchmarks.verify_full read THREADS BLOCK FILES…      the program that only reads

From the page cache, reading costs so little that the arithmetic shows; from the disk, as after a merge larger than
memory, the two overlap.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Command, apply_arguments, chatvector, middle, run
from benchmarks.models import LLAMA_1B, write_trio

READ_BLOCK = 1 << 20
# As many threads as `verify` takes by itself on two cores.
READERS = 4


def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians of whole processes, in turn; bf16, 1.1 B parameters. Ratios are taken within a round."""
    trio = write_trio(folder / "1b", LLAMA_1B)
    out = folder / "verified"
    if not (out / "chat_vector.json").exists():
        run(Command(chatvector(*apply_arguments(trio, out)), out))
    files = [place / "model.safetensors" for place in (*trio.values(), out)]
    names = [str(file) for file in files]
    commands = {
        "verify --full": Command(chatvector("verify", str(out), "--full", "--no-generate", "--quiet")),
        "only reading the four": Command(
            [sys.executable, "-m", "benchmarks.verify_full", "read", str(READERS), str(READ_BLOCK), *names]
        ),
    }
    found: dict[str, Any] = {}
    for cache in ("warm", "cold"):
        say(f"verify --full: {LLAMA_1B.name} parameters, {cache} page cache, {rounds} rounds")
        if cache == "warm":
            for command in commands.values():
                run(command)
        runs: dict[str, list[Any]] = {name: [] for name in commands}
        for number in range(rounds):
            for name, command in commands.items():
                if cache == "cold":
                    forget(files)
                runs[name].append(run(command))
                say(f"  round {number + 1} of {rounds}: {name} {runs[name][-1].seconds:.2f} s")
        ratio = median(
            left.seconds / right.seconds for left, right in zip(*(runs[name] for name in commands), strict=True)
        )
        busy = {name: median(one.processor for one in each) for name, each in runs.items()}
        found[cache] = {
            "seconds": {name: middle(each) for name, each in runs.items()},
            "processor_seconds": busy,
            "peak_bytes": max(one.peak for one in runs["verify --full"]),
            "over_reading": ratio,
        }
        say("  processor seconds: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in busy.items()))
        say(f"verify --full takes {ratio:.2f} × the time of only reading the four ({cache}; goal 1.3)")
    return found


def forget(files: list[Path]) -> None:
    """Ask the system to drop the files from its page cache, so that the next reader meets the disk."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)  # only clean pages are dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def read_all(names: list[str], threads: int, block: int) -> None:
    """Read all of the files, side by side in step as `verify` does, and do nothing with the bytes."""
    sources = [os.open(name, os.O_RDONLY) for name in names]
    starts = iter(range(0, max(os.fstat(source).st_size for source in sources), block))
    lock = threading.Lock()

    def work() -> None:
        buffer = memoryview(mmap.mmap(-1, block))  # whole pages, as in floor.py
        while True:
            with lock:
                start = next(starts, None)
            if start is None:
                return
            for source in sources:
                os.preadv(source, [buffer], start)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()


if __name__ == "__main__":
    if sys.argv[1] == "read":
        read_all(sys.argv[4:], int(sys.argv[2]), int(sys.argv[3]))
    else:
        bench(Path(sys.argv[1]).absolute(), int(sys.argv[2]), lambda line: print(line, flush=True))
