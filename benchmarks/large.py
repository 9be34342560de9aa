# SPDX-License-Identifier: Apache-2.0
"""`apply` at 8 B parameters, against a program that only moves the bytes, and `apply --stream` against it: what the
constant parts weigh there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.apply import FLOOR_BLOCK
from benchmarks.measure import THREADS, Command, Measured, apply_arguments, chatvector, interleave, middle, remove
from benchmarks.models import LLAMA_8B, ROLES, write_trio
from benchmarks.stream import GOAL, NAMES, hub, online

# 16 GB are written by each process of a round.
ROUNDS = 3


def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians of whole processes, interleaved.

    The inputs are sparse files of zeros, read at the speed of memory by both programs: three such models do not fit
    into the page cache of a common machine. The output is written in full.
    """
    trio = write_trio(folder / "8B", LLAMA_8B, sparse=True)
    files = [str(trio[role] / "model.safetensors") for role in ROLES]
    out, copy = folder / "out", folder / "copy.safetensors"
    commands: dict[str, Command] = {}
    for name, sync in (("", True), (", no fsync", False)):
        commands[f"apply{name}"] = Command(chatvector(*apply_arguments(trio, out), sync=sync), out)
        options = [str(copy), str(THREADS), str(FLOOR_BLOCK), "sync" if sync else "nosync"]
        floor = [sys.executable, "-m", "benchmarks.floor", *files, *options]
        commands[f"only moving the bytes{name}"] = Command(floor, copy)
    say(f"large: {LLAMA_8B.name} parameters, {min(rounds, ROUNDS)} rounds")
    with hub(folder / "8B") as endpoint:
        streamed = online(endpoint, folder / "hub-cache", *apply_arguments(NAMES, out, "--stream"))
        commands["apply --stream"] = Command(streamed, out)
        runs: dict[str, list[Measured]] = {name: [] for name in commands}
        for _ in range(min(rounds, ROUNDS)):
            for name, command in commands.items():
                runs[name] += interleave({name: command}, 1, say)[name]
                remove(out)  # each begins with the same empty disk and page cache
                remove(copy)
    found: dict[str, Any] = {"seconds": {name: middle(each) for name, each in runs.items()}}
    found["processor_seconds"] = {name: median(one.processor for one in each) for name, each in runs.items()}
    for key, name in (("over_floor", ""), ("over_floor_no_fsync", ", no fsync")):
        pairs = zip(runs[f"apply{name}"], runs[f"only moving the bytes{name}"], strict=True)
        found[key] = median(left.seconds / right.seconds for left, right in pairs)
        say(f"apply{name} takes {found[key]:.2f} × the time of only moving the bytes (goal 1.25)")
    pairs = zip(runs["apply --stream"], runs["apply"], strict=True)
    found["streamed_over_disk"] = median(left.seconds / right.seconds for left, right in pairs)
    say(f"apply --stream takes {found['streamed_over_disk']:.2f} × the time of apply (goal {GOAL})")
    remove(folder / "8B")
    return found
