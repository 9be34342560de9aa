# SPDX-License-Identifier: Apache-2.0
"""`apply --stream` from a server on the loopback against `apply` from the same files on disk.

Both in one run, interleaved. The server shares the machine with the run, so on two cores it takes a part of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import PROJECT, Command, apply_arguments, chatvector, interleave, middle, remove
from benchmarks.models import LLAMA_1B, ROLES, write_trio

GOAL = 1.5
LATENCY = 0.05
"""Seconds that the server of the plan waits before each answer: that of another continent's."""


def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians of whole processes; warm page cache, bf16, 1.1 B parameters, two threads."""
    trio = write_trio(folder / "1b", LLAMA_1B)
    out, cache = folder / "out", folder / "hub-cache"
    names = {role: Path(f"org/{role}") for role in ROLES}

    def online(endpoint: str, *arguments: str) -> list[str]:
        """A measured process is offline unless told otherwise."""
        settings = ["HF_HUB_OFFLINE=0", f"HF_ENDPOINT={endpoint}", f"HF_HUB_CACHE={cache}", "NO_PROXY=127.0.0.1"]
        return ["env", *settings, *chatvector(*arguments)]

    with hub(folder / "1b") as endpoint:
        commands = {
            "from disk": Command(chatvector(*apply_arguments(trio, out)), out),
            "streamed": Command(online(endpoint, *apply_arguments(names, out, "--stream")), out),
        }
        say(f"stream: {LLAMA_1B.name} parameters, {rounds} rounds")
        for command in commands.values():
            interleave({"warm-up": command}, 1, lambda _line: None)
        runs = interleave(commands, rounds, say)
        landed = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) if cache.exists() else 0
    with hub(folder / "1b", LATENCY) as endpoint:
        parents = [str(names["target"]), "--base", str(names["base"]), "--chat", str(names["chat"]), "--quiet"]
        plan = {"plan by name": Command(online(endpoint, "plan", *parents))}
        plans = interleave(plan, rounds, say)["plan by name"]
    remove(out)
    pairs = zip(runs["streamed"], runs["from disk"], strict=True)
    ratio = median(far.seconds / near.seconds for far, near in pairs)
    peaks = {name: max(one.peak for one in each) for name, each in runs.items()}
    say(f"--stream takes {ratio:.2f} × the time from disk (goal {GOAL}); {landed} bytes landed in the cache")
    say(f"plan of three models by name takes {middle(plans):.2f} s, each answer {LATENCY * 1000:.0f} ms late")
    say("largest resident sets: " + ", ".join(f"{name} {peak / 2**20:.0f} MiB" for name, peak in peaks.items()))
    return {
        "seconds": {name: middle(each) for name, each in runs.items()} | {"plan by name": middle(plans)},
        "processor_seconds": {name: median(one.processor for one in each) for name, each in runs.items()},
        "peak_bytes": peaks,
        "streamed_over_disk": ratio,
        "bytes_in_cache": landed,
    }


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
