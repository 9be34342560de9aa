# SPDX-License-Identifier: Apache-2.0
"""The fast casts of F16 give the bits of numpy's, for every half and wherever rounding could go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chatvector.arithmetic.halves import narrow, widen

ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = ALL[np.isfinite(ALL)]


def widened(halves: NDArray[np.float16]) -> NDArray[np.uint32]:
    out = np.full(len(halves), np.nan, np.float32)
    widen(halves, out)
    return out.view(np.uint32)


def narrowed(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    out = np.full(len(values), np.nan, np.float16)
    before = values.copy()
    narrow(values, out, np.empty(len(values), np.float32), np.empty(len(values), np.float32))
    assert values.tobytes() == before.tobytes()
    return out.view(np.uint16)


def cast(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).view(np.uint16)


def test_every_finite_half_is_widened_exactly() -> None:
    assert (widened(FINITE) == FINITE.astype(np.float32).view(np.uint32)).all()


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_one_infinity_or_nan_leaves_the_block_to_numpy(odd: float) -> None:
    halves = np.append(FINITE, np.float16(odd))
    assert (widened(halves) == halves.astype(np.float32).view(np.uint32)).all()
    values = halves.astype(np.float32)
    assert (narrowed(values) == cast(values)).all()


def test_every_half_comes_back() -> None:
    assert (narrowed(FINITE.astype(np.float32)) == FINITE.view(np.uint16)).all()


def test_ties_and_their_neighbours_are_rounded_to_nearest_even() -> None:
    positive = np.sort(FINITE[FINITE >= 0].astype(np.float32))
    ties = ((positive[:-1] + positive[1:]) / 2).astype(np.float32)
    around = np.concatenate([ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))])
    around = np.concatenate([around, -around])
    assert (narrowed(around) == cast(around)).all()


@pytest.mark.parametrize("edge", [65503.996, 65519.996, 65520.0, 65536.0, 1e38])
def test_what_overflows_becomes_infinity(edge: float) -> None:
    values = np.array([edge, -edge, 1.0], np.float32)
    assert (narrowed(values) == cast(values)).all()


def test_numbers_too_small_for_a_half_keep_their_sign() -> None:
    tiny = np.array([0.0, 1e-45, 2.0**-26, 2.0**-25, np.nextafter(np.float32(2.0**-25), np.float32(1))], np.float32)
    values = np.concatenate([tiny, -tiny])
    assert (narrowed(values) == cast(values)).all()
    assert (narrowed(values)[len(tiny) :] >= 0x8000).all()


@given(st.integers(0, 2**32 - 1), st.integers(0, 5000))
def test_any_bits_at_all(seed: int, count: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 1 << 32, count, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    weights = np.clip(values, -65000, 65000)
    assert (narrowed(weights) == cast(weights)).all()
    assert (narrowed(values) == cast(values)).all()
    halves = (bits & 0xFFFF).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert (widened(halves) == halves.astype(np.float32).view(np.uint32)).all()
