# SPDX-License-Identifier: Apache-2.0
"""How fast is `apply`: against a program that only moves the bytes, and against mergekit where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import THREADS, Command, Measured, apply_arguments, chatvector, interleave, middle, remove
from benchmarks.models import LLAMA_1B, write_trio

# What the floor reads at a time; the fastest of 256 KiB, 1 MiB and 4 MiB on the machine of README.md.
FLOOR_BLOCK = 1 << 20
# mergekit takes a minute where the others take seconds.
SLOW_ROUNDS = 3


def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians of whole processes, interleaved; warm page cache, bf16, 1.1 B parameters, two threads."""
    trio = write_trio(folder / "1b", LLAMA_1B)
    files = [str(trio[role] / "model.safetensors") for role in ("base", "chat", "target")]
    out, copy = folder / "out", folder / "copy.safetensors"

    def floor(durability: str) -> Command:
        options = [str(copy), str(THREADS), str(FLOOR_BLOCK), durability]
        return Command([sys.executable, "-m", "benchmarks.floor", *files, *options], copy)

    commands = {
        "apply": Command(chatvector(*apply_arguments(trio, out)), out),
        "only moving the bytes": floor("sync"),
        "apply, no fsync": Command(chatvector(*apply_arguments(trio, out), sync=False), out),
        "only moving the bytes, no fsync": floor("nosync"),
    }
    say(f"apply: {LLAMA_1B.name} parameters, {rounds} rounds")
    for command in commands.values():  # once for the page cache and for compiled modules
        interleave({"warm-up": command}, 1, lambda _line: None)
    runs = interleave(commands, rounds, say)
    remove(copy)
    found: dict[str, Any] = {"seconds": {name: middle(each) for name, each in runs.items()}}
    found["processor_seconds"] = {name: median(one.processor for one in each) for name, each in runs.items()}
    found["peak_bytes"] = max(one.peak for one in runs["apply"])
    found["over_floor"] = _ratio(runs, "apply", "only moving the bytes")
    found["over_floor_no_fsync"] = _ratio(runs, "apply, no fsync", "only moving the bytes, no fsync")
    say(f"apply takes {found['over_floor']:.2f} × the time of only moving the bytes (goal 1.25)")
    say(f"without fsync on both sides {found['over_floor_no_fsync']:.2f} ×")
    program = os.environ.get("CHATVECTOR_MERGEKIT") or shutil.which("mergekit-yaml")
    if program is None:
        say("mergekit: not installed; CHATVECTOR_MERGEKIT names its mergekit-yaml")
    else:
        found["mergekit"] = _against_mergekit(program, trio, folder, min(rounds, SLOW_ROUNDS), say)
    remove(out)
    return found


def _against_mergekit(
    program: str, trio: dict[str, Path], folder: Path, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """The same trio and scale; its fastest setting computes in bf16, its exact one in fp32."""
    out, theirs = folder / "out", folder / "mergekit"
    say(f"mergekit: {rounds} rounds")
    options = [
        "--no-write-model-card",
        "--quiet",
        "--async-write",
        "--num-threads",
        str(THREADS),
        "--out-shard-size",
        "500M",
    ]
    commands = {
        "apply": Command(chatvector(*apply_arguments(trio, out)), out),
        "apply, no fsync": Command(chatvector(*apply_arguments(trio, out), sync=False), out),
    }
    for name, dtype in (("mergekit, bf16", "bfloat16"), ("mergekit, fp32", "float32")):
        recipe = folder / f"{dtype}.yaml"
        recipe.write_text(_recipe(trio, dtype))
        commands[name] = Command([program, str(recipe), str(theirs), *options], theirs)
    runs = interleave(commands, rounds, say)
    remove(theirs)
    found: dict[str, Any] = {"seconds": {name: middle(each) for name, each in runs.items()}}
    found["peak_bytes"] = {name: max(one.peak for one in each) for name, each in runs.items()}
    for name, goal in (("mergekit, bf16", 4), ("mergekit, fp32", 7)):
        found[f"{name} over apply"] = _ratio(runs, name, "apply")
        found[f"{name} over apply, no fsync"] = _ratio(runs, name, "apply, no fsync")
        say(
            f"{name} takes {found[f'{name} over apply']:.1f} × the time of apply (goal {goal});"
            f" {found[f'{name} over apply, no fsync']:.1f} × where apply does not fsync either"
        )
    return found


def _recipe(trio: dict[str, Path], dtype: str) -> str:
    models = [
        {"model": str(trio["chat"].absolute()), "parameters": {"weight": 0.8}},
        {"model": str(trio["base"].absolute()), "parameters": {"weight": -0.8}},
    ]
    document = {
        "merge_method": "task_arithmetic",
        "base_model": str(trio["target"].absolute()),
        "models": models,
        "dtype": dtype,
        "out_dtype": "bfloat16",
    }
    return json.dumps(document)


def _ratio(runs: dict[str, list[Measured]], one: str, other: str) -> float:
    """The median over rounds of the ratio within a round: what a busy minute does to both falls out."""
    return median(left.seconds / right.seconds for left, right in zip(runs[one], runs[other], strict=True))
