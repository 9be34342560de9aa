# SPDX-License-Identifier: Apache-2.0
"""Find which parent holds NaN or infinity, where and how many; used once, after a unit was found to be bad."""

from __future__ import annotations

import numpy as np

from chatvector.arithmetic.kernels import count_non_finite
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan
from chatvector.arithmetic.reading import Buffer, read_slice
from chatvector.errors import NonFiniteValues


def explain_non_finite(plan: Plan, tensor: TensorPlan) -> NonFiniteValues:
    """The error that names the source of `tensor` with non-finite values; if there is none, the result overflows."""
    index = plan.tensors.index(tensor)
    spans = [(unit.start, unit.stop) for unit in plan.units if unit.tensor == index]
    for part in tensor.slices():
        count, first = _count(part, spans)
        if count:
            kind = "value" if count == 1 else "values"
            return NonFiniteValues(
                f"{part.reader.name}: {part.ref.name} in {part.ref.file} holds {count} non-finite {kind} (NaN or Inf),"
                f" the first at element {first}; the file is damaged or the training diverged, get another copy"
            )
    return NonFiniteValues(
        f"{tensor.name}: the result overflows {tensor.dtype.code} (non-finite values);"
        " lower the scale, or leave this tensor out by a scale of its own, NAME=0 (--scale-tensors; /scale in a chat)"
    )


def _count(part: Slice, spans: list[tuple[int, int]]) -> tuple[int, int]:
    buffer = Buffer()
    count, first = 0, -1
    for start, stop in spans:
        values = read_slice(part, start, stop, buffer)
        here = count_non_finite(values)
        if here and first < 0:
            place = start + int(np.flatnonzero(~np.isfinite(values))[0])
            width = part.ref.row_elements
            first = place if part.rows is None else int(part.rows[place // width]) * width + place % width
        count += here
    return count, first
