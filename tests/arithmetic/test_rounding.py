# SPDX-License-Identifier: Apache-2.0
"""One rounding to nearest even, against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chatvector.arithmetic.kernels import round_into
from chatvector.checks.selfcheck import _rounded

BF16 = np.dtype(ml_dtypes.bfloat16)


def nearest_even(value: float, dtype: np.dtype) -> float:
    """The number of `dtype` nearest to `value`, ties to the even last bit, by comparing exact distances."""
    middle = np.array([value]).astype(dtype)
    candidates = {float(np.nextafter(middle, np.array([side], dtype))[0]): 0 for side in (np.inf, -np.inf)}
    candidates[float(middle[0])] = 0
    finite = [candidate for candidate in candidates if np.isfinite(candidate)]
    best = min(abs(Fraction(candidate) - Fraction(value)) for candidate in finite)
    closest = [candidate for candidate in finite if abs(Fraction(candidate) - Fraction(value)) == best]
    even = [one for one in closest if int(np.array([one], dtype).view(np.uint16)[0]) % 2 == 0]
    return (even or closest)[0]


def test_a_value_just_beside_a_tie_is_not_rounded_twice() -> None:
    values = np.array([1 + 2**-8 + 2**-40, 1 + 2**-8, 1 + 3 * 2**-8 - 2**-40, -(1 + 2**-8 + 2**-40)])
    out = np.empty(4, BF16)
    round_into(values, out)
    assert out.astype(float).tolist() == [1 + 2**-7, 1.0, 1 + 2**-7, -(1 + 2**-7)]


near_ties = st.builds(
    lambda mantissa, exponent, nudge, sign: sign * (mantissa + 0.5 + nudge) * 2.0**exponent,
    st.integers(128, 255),
    st.integers(-145, 100),
    st.sampled_from([0.0, 2.0**-30, -(2.0**-30), 2.0**-17, -(2.0**-17), 2.0**-44]),
    st.sampled_from([1.0, -1.0]),
)


@given(st.lists(near_ties | st.floats(-1e38, 1e38), min_size=1, max_size=40))
def test_float64_to_bfloat16_is_rounded_once(values: list[float]) -> None:
    source = np.array(values, np.float64)
    out = np.empty(len(values), BF16)
    round_into(source, out)
    expected = np.array([nearest_even(value, BF16) for value in values])
    assert (out.astype(np.float64) == expected).all()
    assert _rounded(source, BF16).tobytes() == out.tobytes()


@given(st.lists(st.floats(-60000, 60000), min_size=1, max_size=40))
def test_float64_to_float16_is_rounded_once(values: list[float]) -> None:
    out = np.empty(len(values), np.float16)
    round_into(np.array(values), out)
    assert out.astype(np.float64).tolist() == [nearest_even(value, np.dtype(np.float16)) for value in values]
