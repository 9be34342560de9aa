# SPDX-License-Identifier: Apache-2.0
"""`apply --stream` from a server on the loopback against `apply` from the same files on disk.

    python -m benchmarks.stream FOLDER ROUNDS               the benchmark by itself
    python -m benchmarks.stream fetch ENDPOINT SIZE         the program that only fetches

All in one run, interleaved. The server shares the machine with the run, so on two cores it takes a part of them; what
that costs shows in a third program, which fetches the same bytes from the same server and does nothing with them.
"""

from __future__ import annotations

import http.client
import mmap
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.hub_process import COMMIT
from benchmarks.measure import PROJECT, Command, apply_arguments, chatvector, interleave, middle, remove
from benchmarks.models import LLAMA_1B, ROLES, write_trio

GOAL = 1.5
NAMES = {role: Path(f"org/{role}") for role in ROLES}
"""How the hub calls the models of a trio."""
WEIGHTS = "model.safetensors"
CONNECTIONS, RANGE_BYTES = 8, 4 << 20
"""Of the program that only fetches."""
LATENCY = 0.05
"""Seconds that the server of the plan waits before each answer: that of another continent's."""


def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians of whole processes; warm page cache, bf16, 1.1 B parameters, two threads."""
    trio = write_trio(folder / "1b", LLAMA_1B)
    out, cache = folder / "out", folder / "hub-cache"
    size = (trio["base"] / WEIGHTS).stat().st_size

    with hub(folder / "1b") as endpoint:
        commands = {
            "from disk": Command(chatvector(*apply_arguments(trio, out)), out),
            "streamed": Command(online(endpoint, cache, *apply_arguments(NAMES, out, "--stream")), out),
            "only fetching": Command([sys.executable, "-m", "benchmarks.stream", "fetch", endpoint, str(size)]),
        }
        say(f"stream: {LLAMA_1B.name} parameters, {rounds} rounds")
        for command in commands.values():
            interleave({"warm-up": command}, 1, lambda _line: None)
        runs = interleave(commands, rounds, say)
        landed = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) if cache.exists() else 0
    with hub(folder / "1b", LATENCY) as endpoint:
        parents = [str(NAMES["target"]), "--base", str(NAMES["base"]), "--chat", str(NAMES["chat"]), "--quiet"]
        plan = {"plan by name": Command(online(endpoint, cache, "plan", *parents))}
        plans = interleave(plan, rounds, say)["plan by name"]
    remove(out)
    rows = list(zip(runs["streamed"], runs["from disk"], runs["only fetching"], strict=True))
    ratio = median(far.seconds / near.seconds for far, near, _ in rows)
    over_parts = median(far.seconds / (near.seconds + floor.seconds) for far, near, floor in rows)
    busy = {name: median(one.processor for one in each) for name, each in runs.items()}
    peaks = {name: max(one.peak for one in each) for name, each in runs.items()}
    say(f"--stream takes {ratio:.2f} × the time from disk (goal {GOAL}); {landed} bytes landed in the cache")
    say(f"it takes {over_parts:.2f} × the sum of the time from disk and that of only fetching the three models")
    say("processor seconds: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in busy.items()))
    say(f"plan of three models by name takes {middle(plans):.2f} s, each answer {LATENCY * 1000:.0f} ms late")
    say("largest resident sets: " + ", ".join(f"{name} {peak / 2**20:.0f} MiB" for name, peak in peaks.items()))
    return {
        "seconds": {name: middle(each) for name, each in runs.items()} | {"plan by name": middle(plans)},
        "processor_seconds": busy,
        "peak_bytes": peaks,
        "streamed_over_disk": ratio,
        "streamed_over_disk_and_fetching": over_parts,
        "bytes_in_cache": landed,
    }


def online(endpoint: str, cache: Path, *arguments: str) -> list[str]:
    """The command line of a process that asks the hub at `endpoint`; a measured one is offline otherwise."""
    settings = ["HF_HUB_OFFLINE=0", f"HF_ENDPOINT={endpoint}", f"HF_HUB_CACHE={cache}", "NO_PROXY=127.0.0.1"]
    return ["env", *settings, *chatvector(*arguments)]


@contextmanager
def hub(folder: Path, latency: float = 0.0) -> Iterator[str]:
    """A server of the models in `folder`, `latency` seconds away; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.hub_process", str(folder), str(latency)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def fetch_all(endpoint: str, size: int) -> None:
    """Read the weight files of all three models, range by range, side by side in step as `apply` does."""
    host = endpoint.removeprefix("http://")
    ranges = ((role, start) for start in range(0, size, RANGE_BYTES) for role in ROLES)
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection(host)
        buffer = memoryview(mmap.mmap(-1, RANGE_BYTES))  # whole pages, as in floor.py
        while True:
            with lock:
                role, start = next(ranges, ("", 0))
            if not role:
                return connection.close()
            stop = min(start + RANGE_BYTES, size)
            span = {"Range": f"bytes={start}-{stop - 1}"}
            connection.request("GET", f"/org/{role}/resolve/{COMMIT}/{WEIGHTS}", headers=span)
            answer, done = connection.getresponse(), 0
            while done < stop - start:
                done += answer.readinto(buffer[done : stop - start])

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done in [pool.submit(work) for _ in range(CONNECTIONS)]:
            done.result()


if __name__ == "__main__":
    if sys.argv[1] == "fetch":
        fetch_all(sys.argv[2], int(sys.argv[3]))
    else:
        bench(Path(sys.argv[1]).absolute(), int(sys.argv[2]), lambda line: print(line, flush=True))
