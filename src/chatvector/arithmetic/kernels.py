# SPDX-License-Identifier: Apache-2.0
"""The arithmetic on one block of elements, in scratch that stays in the processor's cache.

    acc = target; for each vector in recipe order: acc = fl(acc + fl(s · fl(chat − base)))

Chat Vector (arXiv 2310.04799), equations 1 and 2, and its sum over several vectors. The roundings are this project's
promise 2: the working format is float64 when the target's or any parent's tensor is F32 or F64, else float32; every
operation is one numpy call with one rounding (no fused multiply-add); the last is one cast to the target's dtype, to
nearest even. The bytes therefore do not depend on the block size.

Shapes: B elements of a block, flat; R = B / row rows where the tensor has a vocabulary axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.halves import narrow, widen

# Sums of squares are taken over rows of this many elements: short enough for float32 to keep six digits, and for the
# linear algebra library not to start threads of its own.
DOT_ELEMENTS = 8192
LEAST_SCRATCH_BYTES = 48 << 10


@dataclass(frozen=True)
class Operand:
    """One vector's part of a block.

    Attributes:
        plus: [B] chat's elements, or the stored difference.
        minus: [B] base's elements; None where `plus` is already the difference.
        scale: the scale, rounded to the working format; its dtype is the working format.
        absent: [R] booleans: rows that this vector lacks, where it adds nothing; None when it has all.
    """

    plus: NDArray[Any]
    minus: NDArray[Any] | None
    scale: np.floating[Any]
    absent: NDArray[np.bool_] | None = None


class Scratch:
    """Three arrays of the working format for blocks of up to `elements` elements; one instance per thread.

    `raw` is their memory, which the compiled kernel uses with a layout of its own.
    """

    def __init__(self, elements: int, work: np.dtype) -> None:
        """Reserve the arrays; `work` is the widest working format of the plan."""
        self.raw = np.empty(scratch_bytes(elements, work), np.uint8)
        size = elements * work.itemsize
        self._arrays = [self.raw[start : start + size] for start in (0, size, 2 * size)]

    def take(self, elements: int, work: np.dtype) -> list[NDArray[Any]]:
        """The three arrays, cut to `elements` and viewed as the working format `work`."""
        return [array[: elements * work.itemsize].view(work) for array in self._arrays]


def scratch_bytes(elements: int, work: np.dtype) -> int:
    """Bytes of one thread's scratch: the three arrays, but no less than the compiled kernel needs for one step."""
    return max(LEAST_SCRATCH_BYTES, 3 * elements * work.itemsize)


def add_vectors(
    target: NDArray[Any], operands: Sequence[Operand], out: NDArray[Any], scratch: Scratch, row: int
) -> tuple[list[list[float]], bool]:
    """Write `target + Σ s·(plus − minus)` into `out`.

    Args:
        target: [B] in its stored dtype.
        operands: one per vector, in recipe order, at least one.
        out: [B] in the target's dtype; must not overlap the inputs.
        scratch: arrays for at least B elements.
        row: elements over which squares are summed (the row length where there is a vocabulary axis).

    Returns:
        for each vector the sums of squares of its unscaled difference, one per row; and whether every parent and
        every result is finite. `False` may be a false alarm for very large values: `count_non_finite` then tells.
    """
    work = operands[0].scale.dtype
    total, part, spare = scratch.take(len(target), work)
    sums: list[list[float]] = []
    # Overflow becomes infinity and is detected below, so numpy's warning is not needed.
    with np.errstate(over="ignore", invalid="ignore"):
        load_into(target, total)
        for operand in operands:
            load_into(operand.plus, part)
            if operand.minus is not None:
                load_into(operand.minus, spare)
                np.subtract(part, spare, out=part)
            sums.append(row_squares(part, row))
            if operand.scale != 1:
                np.multiply(part, operand.scale, out=part)
            if operand.absent is not None:
                # Adding minus zero changes no bit of any number; plus zero would turn −0 into +0.
                part.reshape(-1, row)[operand.absent] = -0.0
            np.add(total, part, out=total)
        round_into(total, out, (part, spare))
        squares = exact_sum(row_squares(total, row))
    # No element exceeds the root of the sum of squares, so one cheap sum bounds all elements.
    largest = largest_of(out.dtype)
    return sums, all(math.isfinite(value) for values in sums for value in values) and squares < largest * largest


def load_into(values: NDArray[Any], out: NDArray[Any]) -> None:
    """Write `values` [B] into `out` [B] of a working format, exactly."""
    if values.dtype == np.float16 and out.dtype == np.float32:
        widen(values, out)
    else:
        np.copyto(out, values)


def round_into(values: NDArray[Any], out: NDArray[Any], scratch: Sequence[NDArray[Any]] = ()) -> None:
    """Round `values` [B] to the dtype of `out` [B], to nearest even, once.

    The library casts float64 to bfloat16 by way of float32, which rounds twice and errs for one value in about
    131,000. Rounding to odd on the way makes the second rounding the only one that counts (Boldo and Melquiond,
    "Emulation of FMA and correctly rounded sums", IEEE Transactions on Computers 57, 2008, theorem 1).

    `scratch`: two arrays of B float32, which speed up float32 to F16; their contents are overwritten.
    """
    if values.dtype == np.float32 and out.dtype == np.float16 and scratch:
        narrow(values, out, *scratch)
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if values.dtype == np.float64 and out.dtype.itemsize == 2 and out.dtype != np.float16:
            for start in range(0, len(values), DOT_ELEMENTS):  # short pieces: the cast makes copies
                piece = slice(start, start + DOT_ELEMENTS)
                np.copyto(out[piece], _to_odd_float32(values[piece]), casting="unsafe")
        else:
            np.copyto(out, values, casting="unsafe")


def _to_odd_float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Each value as the equal float32, or else as the one of its two float32 neighbours whose last bit is 1."""
    nearest = values.astype(np.float32)
    rest = values - nearest
    even = (nearest.view(np.uint32) & 1) == 0
    move = even & (rest != 0) & np.isfinite(nearest)
    towards = np.where(rest > 0, np.float32(np.inf), np.float32(-np.inf))
    return np.where(move, np.nextafter(nearest, towards), nearest)


def row_squares(values: NDArray[Any], row: int) -> list[float]:
    """Sums of squares of `values` [B] over rows of `row` elements; the last row may be shorter."""
    return _row_products(values, values, row)


def dot(left: NDArray[Any], right: NDArray[Any]) -> float:
    """The inner product of two flat arrays, in short rows, so that the linear algebra library starts no threads."""
    return exact_sum(_row_products(left, right, DOT_ELEMENTS))


def difference_squares(operand: Operand) -> float:
    """Σ (plus − minus)² in float64, for differences whose squares overflow float32."""
    with np.errstate(over="ignore"):
        return exact_sum(float(np.vecdot(part, part)) for _, part in _wide_differences(operand))


def count_inexact(operand: Operand, stored: NDArray[Any]) -> int:
    """How many of `stored` [B] differ from plus − minus in float64, the widest working format of a merge."""
    return sum(
        int(np.count_nonzero(stored[piece].astype(np.float64) != part)) for piece, part in _wide_differences(operand)
    )


def _wide_differences(operand: Operand) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """plus − minus in float64, in short pieces."""
    for start in range(0, len(operand.plus), DOT_ELEMENTS):
        piece = slice(start, start + DOT_ELEMENTS)
        part = operand.plus[piece].astype(np.float64)
        if operand.minus is not None:
            part -= operand.minus[piece].astype(np.float64)
        yield piece, part


def exact_sum(values: Iterable[float]) -> float:
    """The sum, rounded once; infinity where it overflows."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _row_products(left: NDArray[Any], right: NDArray[Any], row: int) -> list[float]:
    whole = len(left) // row * row
    sums: list[float] = np.vecdot(left[:whole].reshape(-1, row), right[:whole].reshape(-1, row)).tolist()
    if whole < len(left):
        sums.append(float(np.vecdot(left[whole:], right[whole:])))
    return sums


def count_non_finite(values: NDArray[Any]) -> int:
    """How many of `values` (any float dtype) are NaN or infinite."""
    return int(np.count_nonzero(~np.isfinite(values)))


def largest_of(dtype: np.dtype) -> float:
    """The largest finite number of a float dtype."""
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).max)
