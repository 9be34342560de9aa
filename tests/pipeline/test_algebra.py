# SPDX-License-Identifier: Apache-2.0
"""Promise 8, and the types: a weight and a delta are different things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from builders import BASE_SPECIAL, WORDS, load_weights, write_model
from chatvector.algebra import Delta, Weights, load
from chatvector.errors import RecipeError
from reference import FLOATS, FORMATS
from trios import VOCABULARY, Member, expected, member, trios

Floats = NDArray[np.float64]


def shared_rows(one: Member, other: Member) -> list[tuple[int, int]]:
    return [(one.tokens.index(token), other.tokens.index(token)) for token in one.tokens if token in other.tokens]


def rounding(dtype: np.dtype, exact: Floats, *sides: Floats) -> Floats:
    """How far one merge in `dtype` may lie from `exact`: its last cast, and float32's roundings before it."""
    form = FORMATS[dtype]
    cast = 2.0**-form.p * np.abs(exact) + 2.0 ** (form.least - form.p)
    return cast * (1 + 2.0**-7) + 2.0**-22 * np.sum([np.abs(side) for side in sides], axis=0)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_both_ways_round_agree_on_shared_rows(tmp_path: Path, dtype: str) -> None:
    """chat + (target − base) and target + (chat − base), within two roundings of the exact sum."""
    base = member(WORDS, BASE_SPECIAL, seed=1, dtypes=(dtype,))
    tuned = member(WORDS[::-1], BASE_SPECIAL, seed=2, dtypes=(dtype,), parent=base)
    own = member([*WORDS, "새"], BASE_SPECIAL, seed=3, dtypes=(dtype,), parent=base)
    paths = {name: str(write_model(tmp_path / name, one.spec)) for name, one in (("b", base), ("c", tuned), ("t", own))}
    b, c, t = (load(paths[name]) for name in "bct")
    (t + (c - b)).save(str(tmp_path / "one"), chat_format="target")
    (c + (t - b)).save(str(tmp_path / "two"), chat_format="target")
    one, two = load_weights(tmp_path / "one"), load_weights(tmp_path / "two")
    for name in own.spec.weights:
        values = [side.spec.weights[name].astype(np.float64) for side in (base, tuned, own)]
        left, right = one[name].astype(np.float64), two[name].astype(np.float64)
        if name in VOCABULARY:
            rows = shared_rows(own, tuned)
            places = [base.tokens.index(own.tokens[row]) for row, _ in rows]
            values = [values[0][places], values[1][[r for _, r in rows]], values[2][[r for r, _ in rows]]]
            left, right = left[[r for r, _ in rows]], right[[r for _, r in rows]]
        exact = values[1] + values[2] - values[0]
        assert (np.abs(left - right) <= 2 * rounding(FLOATS[dtype], exact, *values)).all(), name


@given(st.integers(0, 1000), st.sampled_from([1.0, -0.5, 0.3]))
@settings(max_examples=8)
def test_vectors_add_up(tmp_path_factory: pytest.TempPathFactory, seed: int, scale: float) -> None:
    """τ(a, b) + τ(b, c) = τ(a, c), within the rounding."""
    folder = tmp_path_factory.mktemp("sum")
    first = member(WORDS, BASE_SPECIAL, seed=seed)
    made = [first, *(member(WORDS, BASE_SPECIAL, seed=seed + n, parent=first) for n in (1, 2, 3))]
    a, b, c, t = (load(str(write_model(folder / str(n), one.spec))) for n, one in enumerate(made))
    # All four descend from `a`, so that `a - b` looks like a vector given backwards.
    settings = {"chat_format": "target", "force_lineage": True}
    (t + scale * ((a - b) + (b - c))).save(str(folder / "steps"), **settings)
    (t + scale * (a - c)).save(str(folder / "direct"), **settings)
    steps, direct = load_weights(folder / "steps"), load_weights(folder / "direct")
    for name in first.spec.weights:
        values = [one.spec.weights[name].astype(np.float64) for one in made]
        exact = values[3] + scale * (values[0] - values[2])
        allowed = 2 * rounding(FLOATS["BF16"], exact, *values)
        assert (np.abs(steps[name].astype(np.float64) - direct[name].astype(np.float64)) <= allowed).all()


@given(st.data())
@settings(max_examples=6)
def test_an_expression_makes_what_the_reference_makes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """target + (0.5·(chat − base) − (chat' − base') / 4), terms in the order written."""
    trio = data.draw(trios(vectors=2))
    folder = tmp_path_factory.mktemp("expression")
    target, pairs = trio.write(folder)
    (b, c), (b2, c2) = ((load(base), load(chat)) for base, chat in pairs)
    trio.vectors[0].scale_of, trio.vectors[1].scale_of = (lambda _: 0.5), (lambda _: -0.25)
    result = (load(target) + (0.5 * (c - b) - (c2 - b2) / 4)).save(str(folder / "out"))
    lines = result.manifest["vocabulary"]["template_tokens"]
    wanted = expected(trio, [one["token"] for one in lines if one["done"] == "transplanted"])
    found = load_weights(folder / "out")
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in wanted.items()
    }


def test_nothing_is_opened_before_save() -> None:
    a, b, t = load("/no/a"), load("/no/b"), load("/no/t")
    expression = t + 0.8 * (a - b)
    assert str(expression) == "/no/t + 0.8·(/no/a − /no/b)"
    assert expression.recipe("out").vectors[0].scale == 0.8


A, B, C = Weights("a"), Weights("b"), Weights("c")


def terms(delta: Delta) -> list[tuple[float, str | None, str | None]]:
    return [(term.scale, term.plus, term.minus) for term in delta.terms]


def test_the_laws_of_points_and_arrows() -> None:
    assert terms(A - B) == [(1.0, "a", "b")]
    assert terms(-(A - B)) == [(-1.0, "a", "b")]
    assert terms(2 * (A - B) / 4) == [(0.5, "a", "b")]
    assert terms((A - B) - (B - C)) == [(1.0, "a", "b"), (-1.0, "b", "c")]
    assert terms((A + (B - C)) - A) == [(1.0, "b", "c")]
    assert terms(A - (A + (B - C))) == [(-1.0, "b", "c")]
    assert terms(A - A) == []
    assert (A - (B - C)).delta == -(B - C)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: A + B,  # type: ignore[operator]
        lambda: 2 * A,  # type: ignore[operator]
        lambda: A * 0.5,
        lambda: (A - B) * (A - B),  # type: ignore[operator]
        lambda: (A - B) + 1,  # type: ignore[operator]
        lambda: A + 1,  # type: ignore[operator]
        lambda: A - 1,  # type: ignore[operator]
        lambda: (A - B) * "2",  # type: ignore[operator]
        lambda: (A - B) * True,
        lambda: (A - B) - A,  # type: ignore[operator]
    ],
)
def test_what_has_no_meaning_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError):
        wrong()


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -float("inf")])
def test_a_scale_must_be_finite(scale: float) -> None:
    with pytest.raises(ValueError, match=r"a scale must be a finite number"):
        _ = scale * (A - B)


def test_a_model_to_which_nothing_was_added_is_no_recipe() -> None:
    with pytest.raises(RecipeError, match="vectors"):
        A.recipe("out")


def test_numpy_numbers_are_numbers() -> None:
    assert terms(np.float32(0.5) * (A - B)) == [(0.5, "a", "b")]
