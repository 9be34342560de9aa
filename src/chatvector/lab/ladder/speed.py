# SPDX-License-Identifier: Apache-2.0
"""How fast this machine is, measured in a second, and what follows for training and for writing replies.

    training  passes · N · tokens / (USED · operations a second), and OVERHEAD a layer and step
    writing   tokens · max(2 · N · rows / (USED · operations a second), bytes / bytes a second), and OVERHEAD likewise

N: parameters. Writing a token reads every weight once for all rows of a batch, which is what bounds small batches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

USED = 0.3
"""Share of the operations that a product of large matrices reaches, which training and batches reach. Forward and
backward pass of the embedded models on one core: 0.5, the optimizer not counted (docs/log.md)."""
OVERHEAD = 1e-3
"""Seconds that a layer takes however small it is: calls from Python. Measured for one reply at a time of the embedded
models (docs/log.md)."""
BACKWARDS = 3
"""A step of training takes so many times the overhead of a forward pass."""
ROWS = 64
"""Replies that are written side by side, at most."""
MEASURE_SECONDS = 0.3


@dataclass(frozen=True)
class Size:
    """Of a model: parameters, bytes of its files, layers."""

    parameters: int
    nbytes: int
    layers: int


@dataclass(frozen=True)
class Speed:
    """Floating-point operations and bytes a second, and of what."""

    operations: float
    bandwidth: float
    device: str

    def __str__(self) -> str:
        return f"{self.operations / 1e9:.0f} GFLOP/s and {self.bandwidth / 1e9:.1f} GB/s on {self.device}"

    def training(self, size: Size, passes: int, tokens: int, steps: int) -> float:
        """Seconds of a training: `passes` operations a parameter and token, in `steps` batches."""
        products = passes * size.parameters * tokens / (USED * self.operations)
        return products + steps * BACKWARDS * size.layers * OVERHEAD

    def writing(self, size: Size, replies: int, length: int) -> float:
        """Seconds of so many replies of `length` tokens each, in batches of ROWS."""
        rows = min(replies, ROWS)
        one = max(2 * size.parameters * rows / (USED * self.operations), size.nbytes / self.bandwidth)
        return math.ceil(replies / ROWS) * length * (one + size.layers * OVERHEAD)


def measure(device: str | None = None) -> Speed:
    """The device's, `cpu` where none is named and no GPU there. A GPU that is asked for and not there is measured as
    the CPU: a plan may be made on another machine. Without torch, numpy's products stand in."""
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
    """Of one call, the mean of as many as fit; the first is not counted."""
    work()
    finish()
    begun, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - begun) < MEASURE_SECONDS or count == 0:
        work()
        finish()
        count += 1
    return taken / count


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
