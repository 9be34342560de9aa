# SPDX-License-Identifier: Apache-2.0
"""How fast this machine is, measured in about a second, and the time of training and of writing replies that follows.

    training  passes · N · tokens / (USED · operations per second) + BACKWARDS · OVERHEAD per layer and step
    writing   tokens · max(2 · N · rows / (USED · operations per second), bytes / bytes per second) + OVERHEAD per layer
              and token

N is the number of parameters. Writing a token reads every weight once for all rows of a batch, which limits small
batches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

USED = 0.3
"""Share of the speed of a product of large matrices that training and batches reach. Forward and backward pass of the
embedded models on one core reach 0.5, without the optimizer (docs/log.md)."""
OVERHEAD = 1e-3
"""Seconds that a layer takes however small it is, because of calls from Python. Measured on the embedded models with
one reply at a time (docs/log.md)."""
BACKWARDS = 3
"""Overhead of a training step, as a multiple of that of a forward pass."""
ROWS = 64
"""Largest number of replies that are written side by side."""
MEASURE_SECONDS = 0.3


@dataclass(frozen=True)
class Size:
    """Size of a model: number of parameters, bytes of its files, number of layers."""

    parameters: int
    nbytes: int
    layers: int


@dataclass(frozen=True)
class Speed:
    """Floating-point operations per second, bytes per second, and the device that they are of."""

    operations: float
    bandwidth: float
    device: str

    def __str__(self) -> str:
        return f"{self.operations / 1e9:.0f} GFLOP/s and {self.bandwidth / 1e9:.1f} GB/s on {self.device}"

    def training(self, size: Size, passes: int, tokens: int, steps: int) -> float:
        """Seconds of a training with `passes` operations per parameter and token, in `steps` batches."""
        products = passes * size.parameters * tokens / (USED * self.operations)
        return products + steps * BACKWARDS * size.layers * OVERHEAD

    def writing(self, size: Size, replies: int, length: int) -> float:
        """Seconds of writing `replies` replies of `length` tokens each, in batches of ROWS."""
        rows = min(replies, ROWS)
        one = max(2 * size.parameters * rows / (USED * self.operations), size.nbytes / self.bandwidth)
        return math.ceil(replies / ROWS) * length * (one + size.layers * OVERHEAD)


def measure(device: str | None = None) -> Speed:
    """Measures the speed of a device; if none is named, of the GPU or, without one, of the CPU. If a GPU is asked for
    and there is none, the CPU is measured instead, because a plan may be made on another machine. Without torch, numpy
    on the CPU is measured."""
    try:
        import torch
    except ImportError:
        return _measured_by_numpy()
    gpu = torch.cuda.is_available() and not (device or "cuda").startswith("cpu")
    place = "cuda" if gpu else "cpu"
    side, kind = (4096, torch.bfloat16) if gpu else (512, torch.float32)
    one = torch.ones((side, side), dtype=kind, device=place)
    block = torch.ones(1 << 26 if gpu else 1 << 24, dtype=kind, device=place)

    def finish() -> None:
        if gpu:
            torch.cuda.synchronize()

    operations = 2 * side**3 / _seconds(lambda: one @ one, finish)
    bandwidth = block.nbytes / _seconds(lambda: block.sum(), finish)
    return Speed(operations, bandwidth, torch.cuda.get_device_name(0) if gpu else "the CPU")


def _measured_by_numpy() -> Speed:
    import numpy as np

    one, block = np.ones((512, 512), np.float32), np.ones(1 << 24, np.float32)
    operations = 2 * 512**3 / _seconds(lambda: one @ one, lambda: None)
    return Speed(operations, block.nbytes / _seconds(block.sum, lambda: None), "the CPU")


def _seconds(work: Callable[[], Any], finish: Callable[[], None]) -> float:
    """Mean seconds of one call over as many calls as fit into MEASURE_SECONDS; a first call is not counted."""
    work()
    finish()
    begun, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - begun) < MEASURE_SECONDS or count == 0:
        work()
        finish()
        count += 1
    return taken / count


def duration(seconds: float) -> str:
    """A time in words: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
