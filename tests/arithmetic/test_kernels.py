# SPDX-License-Identifier: Apache-2.0
"""The kernel on one block against the element-by-element reference, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chatvector.arithmetic.kernels import (
    Operand,
    Scratch,
    add_vectors,
    count_non_finite,
    largest_of,
    row_squares,
)
from reference import BF16, F16, F32, F64, FLOATS, FORMATS, Part, merged, work_of

dtypes = st.sampled_from([BF16, F16, F32, F64])
scales = st.one_of(st.sampled_from([1.0, 0.8, -1.0, 2.5, 1e-3]), st.floats(-4, 4, allow_subnormal=False))


@st.composite
def values(draw: st.DrawFn, dtype: np.dtype, size: int) -> NDArray[Any]:
    """Finite numbers of a dtype from random bits: every exponent, subnormals and both zeros among them."""
    seed = draw(st.integers(0, 1 << 20))
    rng = np.random.default_rng(seed)
    if draw(st.booleans()):  # such as weights are
        return (rng.standard_normal(size) * 0.05).astype(dtype)
    bits = rng.integers(0, 256, size * dtype.itemsize, np.uint8).view(f"<u{dtype.itemsize}")
    # An exponent of all ones would be NaN or infinity: clear its lowest bit.
    ones = FORMATS[dtype].encode(math.inf, negative=False)
    bits[bits & ones == ones] ^= 1 << (FORMATS[dtype].p - 1)
    return bits.view(dtype)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[NDArray[Any], list[Part]]:
    size = draw(st.integers(1, 24))
    target = draw(values(draw(dtypes), size))
    parts = [
        Part(draw(values(draw(dtypes), size)), draw(st.none() | values(draw(dtypes), size)), draw(scales))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return target, parts


def kernel(target: NDArray[Any], parts: list[Part], row: int = 1 << 20) -> tuple[NDArray[Any], list[list[float]], bool]:
    sides = [side for part in parts for side in (part.chat, part.base) if side is not None]
    work = work_of(target.dtype, *(side.dtype for side in sides))
    out = np.empty_like(target)
    with np.errstate(over="ignore"):
        operands = [Operand(part.chat, part.base, work.type(part.scale)) for part in parts]
    sums, finite = add_vectors(target, operands, out, Scratch(len(target), F64), row)
    return out, sums, finite


@given(blocks())
def test_the_bits_are_those_of_the_reference(block: tuple[NDArray[Any], list[Part]]) -> None:
    target, parts = block
    out, _, finite = kernel(target, parts)
    expected = merged(target, parts)
    good = np.isfinite(expected.astype(F64))
    assert out[good].tobytes() == expected[good].tobytes()
    assert not np.isfinite(out[~good].astype(F64)).any()
    assert good.all() or not finite, "a non-finite result must never be called finite"


@given(st.sampled_from([BF16, F16, F32]), st.data())
def test_promise_1_target_is_base_and_scale_is_1(dtype: np.dtype, data: st.DataObject) -> None:
    """chat comes back exactly where |base| ≤ 2^(P−p)·|chat|, elsewhere within 2^−P·|base|; zeros may lose their sign.

    P: bits of the working format, p: of the stored one. An overflowing result counts as non-finite.
    """
    size = 64
    base, chat = data.draw(values(dtype, size)), data.draw(values(dtype, size))
    closeness = data.draw(st.sampled_from([None, 2.0**-20, 2.0**-16, 2.0**-15]))
    if closeness is not None:  # the border, where random exponents seldom meet
        with np.errstate(over="ignore", under="ignore"):
            chat = (base.astype(F64) * closeness * np.linspace(0.9, 1.1, size)).astype(dtype)
    out, _, _ = kernel(base, [Part(chat, base, 1.0)])
    p, work_bits = FORMATS[dtype].p, FORMATS[work_of(dtype)].p
    result, wanted, origin = (array.astype(F64) for array in (out, chat, base))
    finite = np.isfinite(result)
    exact = np.abs(origin) <= 2.0 ** (work_bits - p) * np.abs(wanted)
    np.testing.assert_array_equal(result[finite & exact], wanted[finite & exact])
    far = finite & ~exact
    assert (np.abs(result[far] - wanted[far]) <= 2.0**-work_bits * np.abs(origin[far])).all()
    # Only where the difference itself leaves the working format's range is a result not finite.
    assert (np.abs((wanted - origin)[~finite]) > largest_of(F32)).all()


@given(st.sampled_from([BF16, F16, F32, F64]), st.data())
def test_a_zero_vector_changes_no_value(dtype: np.dtype, data: st.DataObject) -> None:
    target, same = data.draw(values(dtype, 16)), data.draw(values(dtype, 16))
    out, sums, _ = kernel(target, [Part(same, same, 0.8)])
    np.testing.assert_array_equal(out.astype(F64), target.astype(F64))
    assert sums == [[0.0]]


@given(blocks(), st.integers(1, 24))
def test_the_bits_do_not_depend_on_the_block(block: tuple[NDArray[Any], list[Part]], cut: int) -> None:
    target, parts = block
    whole, _, _ = kernel(target, parts)
    pieces = []
    for piece in (slice(0, cut), slice(cut, None)):
        if len(target[piece]):
            cut_parts = [Part(p.chat[piece], None if p.base is None else p.base[piece], p.scale) for p in parts]
            # The working format is the tensor's, whatever the piece.
            pieces.append(kernel(target[piece], cut_parts)[0])
    assert b"".join(piece.tobytes() for piece in pieces) == whole.tobytes()


@pytest.mark.parametrize("dtype", FLOATS.values(), ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["target", "chat", "base"])
@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_one_bad_value_anywhere_is_noticed(dtype: np.dtype, bad: float, where: str, scale: float) -> None:
    arrays = {name: np.linspace(-1, 1, 1000).astype(dtype) for name in ("target", "chat", "base")}
    arrays[where][617] = bad
    out, _, finite = kernel(arrays["target"], [Part(arrays["chat"], arrays["base"], scale)])
    assert not finite
    assert count_non_finite(arrays[where]) == 1
    assert count_non_finite(out) == 1


@pytest.mark.parametrize("dtype", FLOATS.values(), ids=str)
def test_an_overflowing_result_is_noticed_and_the_largest_number_is_not(dtype: np.dtype) -> None:
    largest = np.array([largest_of(dtype)]).astype(dtype)
    zero = np.zeros(1, dtype)
    out, _, finite = kernel(largest, [Part(largest, zero, 1.0)])
    assert not finite
    assert count_non_finite(out) == 1
    out, _, _ = kernel(zero, [Part(largest, zero, 1.0)])
    assert out.tobytes() == largest.tobytes()


@given(st.integers(1, 9), st.integers(1, 50), st.integers(0, 99))
@example(3, 7, 0)
def test_squares_are_summed_by_rows_with_a_shorter_last_one(row: int, size: int, seed: int) -> None:
    numbers = np.random.default_rng(seed).integers(-9, 9, size).astype(F32)
    expected = [float((numbers[start : start + row] ** 2).sum()) for start in range(0, size, row)]
    assert row_squares(numbers, row) == expected


@given(st.data())
def test_rows_that_a_vector_lacks_keep_every_bit(data: st.DataObject) -> None:
    """−0 among them: adding +0 would turn it into +0."""
    dtype, width, rows = data.draw(dtypes), 3, 6
    target = data.draw(values(dtype, rows * width))
    target[:2] = -0.0
    absent = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    chat, base = (data.draw(values(dtype, rows * width)) for _ in range(2))
    for side in (chat, base):
        side.reshape(rows, width)[absent] = 0
    work = work_of(dtype)
    out = np.empty_like(target)
    add_vectors(target, [Operand(chat, base, work.type(-0.5), absent)], out, Scratch(rows * width, F64), width)
    kept = np.repeat(absent, width)
    assert out[kept].tobytes() == target[kept].tobytes()
    expected = merged(target, [Part(chat, base, -0.5)])
    assert np.where(kept, out, expected).tobytes() == out.tobytes() or not np.isfinite(expected.astype(F64)).all()
