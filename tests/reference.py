# SPDX-License-Identifier: Apache-2.0
"""Promise 2 written down a second time, element by element, sharing no code with the package.

The working format is numpy's scalar float32 or float64, one operation and one rounding at a time. The final cast is
done with exact rational numbers, after IEEE 754: to nearest, ties to even, subnormals kept, overflow to infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

BF16 = np.dtype(ml_dtypes.bfloat16)
F16, F32, F64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
FLOATS = {"BF16": BF16, "F16": F16, "F32": F32, "F64": F64}


@dataclass(frozen=True)
class Format:
    """A binary format of IEEE 754: p bits of significand, the lead bit included; least and greatest exponent."""

    p: int
    least: int
    greatest: int
    bits: int

    def encode(self, value: float | Fraction, *, negative: bool) -> int:
        """The bits of the nearest number of this format, ties to even."""
        sign = int(negative) << (self.bits - 1)
        infinity = (2 * self.greatest + 1) << (self.p - 1)
        if isinstance(value, float) and not math.isfinite(value):
            return sign | infinity | (math.isnan(value) << (self.p - 2))
        exact = abs(Fraction(value))
        if exact == 0:
            return sign
        exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
        exponent -= exact < Fraction(2) ** exponent
        exponent = max(exponent, self.least)
        step = Fraction(2) ** (exponent - self.p + 1)
        count = round(exact / step)  # Python rounds halves to even
        if exponent == self.least and count < 1 << (self.p - 1):
            return sign | count  # subnormal
        if count == 1 << self.p:
            count, exponent = count >> 1, exponent + 1
        if exponent > self.greatest:
            return sign | infinity
        return sign | (exponent + self.greatest) << (self.p - 1) | count - (1 << (self.p - 1))


FORMATS = {
    BF16: Format(8, -126, 127, 16),
    F16: Format(11, -14, 15, 16),
    F32: Format(24, -126, 127, 32),
    F64: Format(53, -1022, 1023, 64),
}


@dataclass(frozen=True)
class Part:
    """One vector's part in a tensor: chat, base (None where chat is the difference already), scale."""

    chat: NDArray[Any]
    base: NDArray[Any] | None
    scale: float


def work_of(*dtypes: np.dtype) -> np.dtype:
    """The working format: float64 as soon as one of the tensors has 32 or 64 bits."""
    return F64 if any(dtype in (F32, F64) for dtype in dtypes) else F32


def merged(target: NDArray[Any], parts: Sequence[Part], work: np.dtype | None = None) -> NDArray[Any]:
    """`target + Σ scale·(chat − base)` in the target's dtype and shape."""
    if not parts:
        return target.copy()
    if work is None:
        sides = [side for part in parts for side in (part.chat, part.base) if side is not None]
        work = work_of(target.dtype, *(side.dtype for side in sides))
    one = work.type
    flat = target.reshape(-1)
    bits = np.empty(flat.size, f"<u{target.dtype.itemsize}")
    with np.errstate(all="ignore"):
        for place in range(flat.size):
            total = one(flat[place])
            for part in parts:
                delta = one(part.chat.reshape(-1)[place])
                if part.base is not None:
                    delta = delta - one(part.base.reshape(-1)[place])
                total = total + one(part.scale) * delta
            bits[place] = cast(total, target.dtype)
    return bits.view(target.dtype).reshape(target.shape)


def cast(value: Any, dtype: np.dtype) -> int:
    """The bits of a number of the working format in `dtype`."""
    return FORMATS[dtype].encode(float(value), negative=bool(np.signbit(value)))
