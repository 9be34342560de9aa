# SPDX-License-Identifier: Apache-2.0
"""What the arithmetic alone costs: nanoseconds per element, from memory to memory, by threads and dtypes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import ml_dtypes
import numpy as np

from chatvector.arithmetic.kernels import DOT_ELEMENTS, Operand, Scratch, add_vectors
from chatvector.arithmetic.plan import UNIT_ELEMENTS

DTYPES = {"bf16": np.dtype(ml_dtypes.bfloat16), "f16": np.dtype(np.float16), "f32": np.dtype(np.float32)}
UNITS = 64


def bench(_folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Median nanoseconds per output element, of all threads together (so two threads should halve it)."""
    say("kernel: nanoseconds per element")
    found: dict[str, Any] = {}
    for name, dtype in DTYPES.items():
        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(max(rounds, 5)):
            for threads, seen in times.items():
                seen.append(_once(dtype, threads))
        found[name] = {threads: median(seen) for threads, seen in times.items()}
        say(f"  {name}: " + ", ".join(f"{each:.2f} on {count} threads" for count, each in found[name].items()))
    return found


def _once(dtype: np.dtype, threads: int) -> float:
    work = np.dtype(np.float64 if dtype == np.float32 else np.float32)
    draw = np.random.default_rng(0)
    parents = [(draw.standard_normal((4, UNIT_ELEMENTS)) * 0.02).astype(dtype) for _ in range(3)]

    def merge(units: int) -> None:
        out, scratch = np.empty(UNIT_ELEMENTS, dtype), Scratch(UNIT_ELEMENTS, work)
        for number in range(units):
            base, chat, target = (parent[number % 4] for parent in parents)
            add_vectors(target, [Operand(chat, base, work.type(0.8))], out, scratch, DOT_ELEMENTS)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(merge, [1] * threads))
        started = time.perf_counter()
        list(pool.map(merge, [UNITS // threads] * threads))
        return (time.perf_counter() - started) / (UNITS * UNIT_ELEMENTS) * 1e9
