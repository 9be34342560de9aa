# SPDX-License-Identifier: Apache-2.0
"""Statistics of a run: sums gathered per unit, added up exactly, reported per tensor, role and layer.

Sums are added with `math.fsum`, so the result does not depend on the order in which threads finish.

| key          | per                | meaning                                                              |
|--------------|--------------------|----------------------------------------------------------------------|
| `tau²`       | vector             | Σ (chat − base)², unscaled                                           |
| `inexact`    | tensor             | elements that are not chat − base in float64 (extract)                |
| `target²`    | tensor, full only  | Σ target²                                                            |
| `changed`    | tensor, full only  | elements whose value differs from the target's                        |
| `base²`      | vector, full only  | Σ base²                                                              |
| `drift²`     | vector, full only  | Σ (target − base)²: how far continual pre-training went               |
| `drift·tau`  | vector, full only  | Σ (target − base)·(chat − base): their cosine tells a shared ancestor |
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.kernels import DOT_ELEMENTS, Operand, dot, exact_sum
from chatvector.arithmetic.plan import Plan

Sums = dict[str, float]

BASIC_SUMS = ("tau²", "inexact")
"""Prefixes of the keys that are not `full only`."""


def add_up(parts: Iterable[Mapping[str, float]]) -> Sums:
    """The sum of each key over all parts, exactly rounded once."""
    columns: dict[str, list[float]] = {}
    for part in parts:
        for key, value in part.items():
            columns.setdefault(key, []).append(value)
    return {key: exact_sum(values) for key, values in columns.items()}


def measure_all(target: NDArray[Any], operands: Sequence[Operand], out: NDArray[Any]) -> Sums:
    """The `full only` sums of one block (flat arrays in their stored dtypes), computed in float64."""
    absent = next((operand.absent for operand in operands if operand.absent is not None), None)
    row = 1 if absent is None else len(target) // len(absent)
    step = max(1, DOT_ELEMENTS // row) * row  # whole rows; short pieces, as float64 copies are large
    return add_up(
        _measure(slice(start, start + step), target, operands, out, row) for start in range(0, len(target), step)
    )


def _measure(
    piece: slice, target: NDArray[Any], operands: Sequence[Operand], out: NDArray[Any], row: int
) -> dict[str, float]:
    with np.errstate(over="ignore", invalid="ignore"):
        start = target[piece].astype(np.float64)
        sums = {"target²": dot(start, start), "changed": float(np.count_nonzero(out[piece] != target[piece]))}
        for number, operand in enumerate(operands):
            if operand.minus is None:
                continue
            base = operand.minus[piece].astype(np.float64)
            tau = operand.plus[piece].astype(np.float64) - base
            drift = start - base
            if operand.absent is not None:
                absent = operand.absent[piece.start // row : piece.start // row + len(start) // row]
                for values in (base, drift):
                    values.reshape(-1, row)[absent] = 0
            sums[f"base²/{number}"] = dot(base, base)
            sums[f"drift²/{number}"] = dot(drift, drift)
            sums[f"drift·tau/{number}"] = dot(drift, tau)
    return sums


def report(plan: Plan, per_tensor: Mapping[str, Sums], vectors: int) -> dict[str, Any]:
    """Norms and cosines for the manifest: in total, by role, layer and tensor, with one list entry per vector."""
    by_role: dict[str, list[str]] = {}
    by_layer: dict[str, list[str]] = {}
    for tensor in plan.tensors:
        if tensor.terms and tensor.name in per_tensor:
            by_role.setdefault(tensor.role, []).append(tensor.name)
            if tensor.layer is not None:
                by_layer.setdefault(str(tensor.layer), []).append(tensor.name)

    def figures(names: Iterable[str]) -> dict[str, Any]:
        return _figures(add_up(per_tensor[name] for name in names), vectors)

    untouched = [name for name, sums in per_tensor.items() if not any(_norms("tau²", sums, vectors))]
    return {
        "total": figures(per_tensor),
        "roles": {role: figures(names) for role, names in by_role.items()},
        "layers": {layer: figures(names) for layer, names in sorted(by_layer.items(), key=lambda item: int(item[0]))},
        "tensors": {name: _figures(sums, vectors) for name, sums in per_tensor.items()},
        "zero_vector": untouched,
    }


def _norms(key: str, sums: Mapping[str, float], vectors: int) -> list[float]:
    return [_root(sums.get(f"{key}/{number}", 0.0)) for number in range(vectors)]


def _root(square: float) -> float:
    """The norm for a sum of squares; about 10¹⁵⁴ at most, as JSON has no infinity."""
    return math.sqrt(min(square, sys.float_info.max))


def _figures(sums: Mapping[str, float], vectors: int) -> dict[str, Any]:
    tau = _norms("tau²", sums, vectors)
    figures: dict[str, Any] = {"tau_norm": tau}
    if "target²" in sums:
        figures["target_norm"] = _root(sums["target²"])
        figures["changed"] = int(sums["changed"])
    if any(key.startswith("base²") for key in sums):
        drift = _norms("drift²", sums, vectors)
        figures["base_norm"] = _norms("base²", sums, vectors)
        figures["drift_norm"] = drift
        figures["cosine_drift_tau"] = [
            _cosine(sums.get(f"drift·tau/{number}", 0.0), drift[number], tau[number]) for number in range(vectors)
        ]
    return figures


def _cosine(product: float, left: float, right: float) -> float | None:
    return product / (left * right) if left > 0 and right > 0 and math.isfinite(product) else None
