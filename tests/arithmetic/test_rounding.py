# SPDX-License-Identifier: Apache-2.0
"""One rounding, also from float64 to bfloat16, where the library's cast makes two."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatvector.arithmetic.kernels import round_into
from chatvector.checks.selfcheck import _rounded
from reference import BF16, F16, F32, F64, cast


def stored(value: float, start: np.dtype, dtype: np.dtype) -> int:
    out = np.empty(1, dtype)
    round_into(np.array([value], start), out)
    return int(out.view(f"<u{dtype.itemsize}")[0])


@pytest.mark.parametrize("dtype", [BF16, F16, F32, F64], ids=str)
@given(st.floats(allow_nan=False))
@example(1 + 2**-8 + 2**-40)
@example(-(1 + 3 * 2**-8 - 2**-40))
@example(2.0**-134 + 2.0**-170)
@example(2.0**-127 + 2.0**-134)
@example(3.3961775292304e38)  # between the largest number and the next power of two
@example(math.inf)
@example(-0.0)
def test_from_float64(dtype: np.dtype, value: float) -> None:
    assert stored(value, F64, dtype) == cast(np.float64(value), dtype)


@given(st.integers(0, 255), st.integers(0, 254), st.integers(-60, -9), st.sampled_from([-1, 0, 1]))
def test_near_ties_of_bfloat16(kept: int, exponent: int, distance: int, side: int) -> None:
    """Halfway between two neighbours and a hair beside it: where a second rounding shows."""
    tie = (1 + (kept % 128 + 0.5) / 128) * 2.0 ** (exponent - 127)
    value = tie * (1 + side * 2.0**distance)
    assert stored(value, F64, BF16) == cast(np.float64(value), BF16)
    assert int(_rounded(np.array([value]), BF16).view(np.uint16)[0]) == cast(np.float64(value), BF16)


@given(st.floats(width=32, allow_nan=False), st.sampled_from([BF16, F16, F32]))
def test_from_float32(value: float, dtype: np.dtype) -> None:
    assert stored(value, F32, dtype) == cast(np.float32(value), dtype)


@pytest.mark.parametrize("dtype", [BF16, F16, F32], ids=str)
def test_nan_stays_nan(dtype: np.dtype) -> None:
    out = np.empty(1, dtype)
    round_into(np.array([math.nan]), out)
    assert np.isnan(out.astype(F64)).all()


def test_many_at_once() -> None:
    values = np.random.default_rng(0).standard_normal(40_000)
    out = np.empty(len(values), BF16)
    round_into(values, out)
    assert out[::997].view(np.uint16).tolist() == [cast(value, BF16) for value in values[::997]]
    assert out.tobytes() == _rounded(values, BF16).tobytes()
