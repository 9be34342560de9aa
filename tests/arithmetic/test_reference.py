# SPDX-License-Identifier: Apache-2.0
"""The reference itself, against numpy, ml_dtypes and numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import BF16, F16, F32, F64, FORMATS, Part, cast, merged, work_of


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@given(st.floats(allow_nan=False))
def test_the_cast_is_that_of_numpy_and_ml_dtypes(dtype: np.dtype, value: float) -> None:
    with np.errstate(over="ignore"):
        # ml_dtypes casts a double to bfloat16 by way of float32 and rounds twice, so it is asked about a float32.
        start = np.float64(value) if dtype != BF16 else np.float64(value).astype(F32)
    with np.errstate(over="ignore"):
        expected = np.array(start).astype(dtype)
    assert cast(start, dtype) == int(expected.view(f"<u{dtype.itemsize}"))


@pytest.mark.parametrize(
    ("value", "dtype", "bits"),
    [
        (1 + 2**-8, BF16, 0x3F80),  # a tie: to the even neighbour below
        (1 + 3 * 2**-8, BF16, 0x3F82),  # a tie: to the even neighbour above
        (1 + 2**-8 + 2**-20, BF16, 0x3F81),
        (2.0**-133, BF16, 0x0001),  # the least subnormal
        (2.0**-134, BF16, 0x0000),  # half of it: a tie to zero
        (65520.0, F16, 0x7C00),  # halfway between the largest and 2^16: infinity
        (65519.0, F16, 0x7BFF),
        (-0.0, F16, 0x8000),
    ],
)
def test_casts_by_hand(value: float, dtype: np.dtype, bits: int) -> None:
    assert cast(np.float64(value), dtype) == bits


@given(
    st.floats(-(2.0**99), 2.0**99, width=32),
    st.floats(-(2.0**99), 2.0**99, width=32),
    st.floats(-(2.0**20), 2.0**20, width=32),
)
def test_scalar_float32_rounds_once_per_operation(a: float, b: float, s: float) -> None:
    """numpy's scalars against exact rational arithmetic: no wider intermediate, no fused multiply-add."""
    product = np.float32(s) * np.float32(a)
    assert int(product.view(np.uint32)) == FORMATS[F32].encode(
        Fraction(s) * Fraction(a), negative=bool(np.signbit(product))
    )
    total = np.float32(a) + np.float32(b)
    assert int(total.view(np.uint32)) == FORMATS[F32].encode(
        Fraction(a) + Fraction(b), negative=bool(np.signbit(total))
    )


def test_by_hand() -> None:
    """2 + 0.5·(3 − 1) = 3, in every dtype; and the working format by the widest of the three."""
    for dtype in (BF16, F16, F32, F64):
        two, three, one = (np.full(2, value, dtype) for value in (2, 3, 1))
        assert merged(two, [Part(three, one, 0.5)]).tolist() == [3, 3]
    assert work_of(BF16, F16, BF16) == F32
    assert work_of(BF16, F16, F32) == F64
    assert work_of(F64, F16, BF16) == F64
