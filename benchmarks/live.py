# SPDX-License-Identifier: Apache-2.0
"""A scale moved in place: seconds on the trio, and per billion parameters beside one streaming pass of the engine.

The pass is `execute` over the same plan: three files read from the page cache, one written to memory (`/dev/shm`). The
change computes the same bytes from target and vector held in memory, and from the files in the page cache, into the
parameters of a model that transformers has loaded in bf16. In turn, in one process, on as many threads.
"""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import THREADS
from benchmarks.models import Shape, write_trio
from chatvector.arithmetic.execute import execute
from chatvector.checkpoint.staging import open_staging
from chatvector.live_merge import open_live
from chatvector.preparation import prepare
from chatvector.recipe import Recipe, VectorSpec

SHAPE = Shape("0.4B", 32_000, 1024, 24, 16, 4, 4096)
SCALES = (0.5, 0.75)
"""Taken in turn: every change concerns every tensor."""


def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Medians in seconds, and the ratios of the changes to the pass, the median over the rounds."""
    small = _recipe({role: f"demo:{role}" for role in ("base", "chat", "target")}, 1.0)
    with open_live(small, dtype="bf16", device="cpu", threads=THREADS) as live:
        times = [live.set_scale(SCALES[number % 2]).seconds for number in range(2 * max(rounds, 10))]
    say(f"live: a change on the trio takes {1000 * median(times):.0f} ms (largest {1000 * max(times):.0f})")
    trio = {role: str(path) for role, path in write_trio(folder / "live", SHAPE).items()}
    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else folder
    seen: dict[str, list[float]] = {"pass": [], "held": [], "streamed": []}
    for hold, name in ((True, "held"), (False, "streamed")):
        gc.collect()
        with open_live(_recipe(trio, 1.0), dtype="bf16", device="cpu", hold=hold, threads=THREADS) as live:
            for number in range(rounds):
                seen["pass"].append(_pass(_recipe(trio, SCALES[number % 2]), memory / "chatvector-bench-live"))
                seen[name].append(live.set_scale(SCALES[number % 2]).seconds)
    billions = SHAPE.elements / 1e9
    ratios = {
        name: median(one / other for one, other in zip(seen[name], seen["pass"][start:], strict=False))
        for name, start in (("held", 0), ("streamed", rounds))
    }
    for name, ratio in ratios.items():
        say(f"  {name}: {median(seen[name]) / billions:.2f} s per billion parameters, {ratio:.2f} × one streaming pass")
    say(f"  the pass: {median(seen['pass']) / billions:.2f} s per billion parameters")
    return {"trio_seconds": median(times), "parameters": SHAPE.elements, "seconds": seen, "ratios": ratios}


def _recipe(trio: dict[str, str], scale: float) -> Recipe:
    vector = VectorSpec(base=trio["base"], chat=trio["chat"], scale=scale)
    return Recipe(target=trio["target"], vectors=(vector,), force_lineage=True)


def _pass(recipe: Recipe, place: Path) -> float:
    """Seconds of the engine alone, writing to `place`, which is removed."""
    with ExitStack() as stack:
        job = prepare(recipe, stack, lambda _line: None)
        staging = stack.enter_context(open_staging(place, job.plan.hash, restart=True, on_resume=print))
        try:
            started = time.perf_counter()
            execute(job.plan, staging, threads=THREADS)
            return time.perf_counter() - started
        finally:
            staging.discard()
            shutil.rmtree(place, ignore_errors=True)
