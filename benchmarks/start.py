# SPDX-License-Identifier: Apache-2.0
"""How long one waits before anything happens: `import`, `--help`, `plan` and `check`, which read only a little."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Command, chatvector, interleave, middle
from benchmarks.models import THIN_32K, THIN_128K, Shape, write_trio

GOALS = {"chatvector --help": 0.4, "plan at 32 k tokens": 0.5, "plan at 128 k tokens": 1.2}
# `check` answers a part of the same question.
GOALS |= {"check at 32 k tokens": 0.5, "check at 128 k tokens": 1.2}
LEAST_ROUNDS = 7


def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians of whole processes, interleaved with starting Python alone."""
    rounds = max(rounds, LEAST_ROUNDS)
    commands = {
        "python alone": Command([sys.executable, "-c", "pass"]),
        "import chatvector": Command([sys.executable, "-c", "import chatvector"]),
        "chatvector --help": Command(chatvector("--help")),
        "plan at 32 k tokens": _plan(folder, THIN_32K),
        "plan at 128 k tokens": _plan(folder, THIN_128K),
        "check at 32 k tokens": _check(folder, THIN_32K),
        "check at 128 k tokens": _check(folder, THIN_128K),
    }
    say(f"start: {rounds} rounds")
    interleave(commands, 1, lambda _line: None)
    runs = interleave(commands, rounds, lambda _line: None)
    found = {name: middle(each) for name, each in runs.items()}
    for name, seconds in found.items():
        say(f"  {name}: {seconds:.3f} s" + (f" (goal {GOALS[name]})" if name in GOALS else ""))
    return {"seconds": found, "peak_bytes": {name: max(one.peak for one in each) for name, each in runs.items()}}


def _check(folder: Path, shape: Shape) -> Command:
    trio = write_trio(folder / shape.name.replace(" ", "-"), shape)
    return Command(chatvector("check", str(trio["base"]), str(trio["chat"]), str(trio["target"]), "--quiet"))


def _plan(folder: Path, shape: Shape) -> Command:
    trio = write_trio(folder / shape.name.replace(" ", "-"), shape)
    parents = [str(trio["target"]), "--base", str(trio["base"]), "--chat", str(trio["chat"])]
    return Command(chatvector("plan", *parents, "-o", str(folder / "never"), "--quiet"))
