# SPDX-License-Identifier: Apache-2.0
"""Sliders and the line of text mean the same scales."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.arithmetic.roles import ROLES
from chatvector.arithmetic.scales import ScaleRules
from chatvector.errors import UsageError
from chatvector.web.knob import Knob, left, shown, turned, turned_role, typed

SCALES = st.integers(-300, 300).map(lambda hundredths: hundredths / 100)
RULES = st.builds(
    ScaleRules,
    SCALES,
    roles=st.dictionaries(st.sampled_from(ROLES), SCALES, max_size=3),
    layers=st.dictionaries(st.tuples(st.integers(0, 3), st.integers(3, 9)), SCALES, max_size=2),
    tensors=st.dictionaries(st.sampled_from(["*.mlp.*", "lm_head.*"]), SCALES, max_size=2),
)


def test_what_is_shown() -> None:
    rules = ScaleRules(0.7, roles={"attention": 0.5}, layers={(0, 3): 1.0})
    assert shown(rules, ("attention", "mlp")) == Knob(0.7, (0.5, 0.7), "0.7, attention=0.5, 0-3=1")


@given(RULES)
def test_the_line_that_is_shown_can_be_typed(rules: ScaleRules) -> None:
    assert typed(shown(rules, ROLES).text, ScaleRules(9.0)) == rules


@given(RULES, SCALES)
def test_the_slider_for_everything_drops_exceptions(rules: ScaleRules, scale: float) -> None:
    assert turned(rules, rules.scale) == rules, "left where it stood, it moves nothing"
    if -0.5 <= scale <= 2 and scale != rules.scale:
        assert turned(rules, scale) == ScaleRules(scale)


@given(RULES, st.sampled_from(ROLES), SCALES.filter(lambda scale: -0.5 <= scale <= 2))
def test_a_roles_slider_moves_that_role_only(rules: ScaleRules, role: str, scale: float) -> None:
    moved = turned_role(rules, role, scale)  # pyright: ignore[reportArgumentType]
    at, before = shown(moved, ROLES), shown(rules, ROLES)
    place = ROLES.index(role)  # pyright: ignore[reportArgumentType]
    assert at.roles[place] == scale
    assert [*at.roles[:place], *at.roles[place + 1 :]] == [*before.roles[:place], *before.roles[place + 1 :]]
    assert (moved.scale, moved.layers, moved.tensors) == (rules.scale, rules.layers, rules.tensors)
    assert (role in moved.roles) == (scale != rules.scale)


def test_a_line_of_exceptions_keeps_the_scale_and_drops_the_old_ones() -> None:
    assert typed("mlp=0", ScaleRules(0.7, roles={"attention": 0.5})) == ScaleRules(0.7, roles={"mlp": 0.0})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "no scale: write a number"),
        (" , ", "no scale: write a number"),
        ("viel", "'viel'"),
        ("0.7 tail=1", "'tail' is no role"),
        ("nan", "finite"),
        ("0.7 attention=", "is no number"),
        ("3-1=0.5", "3-1"),
        ("0,5", "5 stands behind 0, and only a first number moves everything; decimals have a point"),
        ("0.3 0.4", "0.4 stands behind 0.3"),
        ("attention=0,5", "5 stands behind attention=0"),
    ],
)
def test_lines_that_mean_nothing(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        typed(line, ScaleRules(0.7))


def test_a_number_that_was_wiped_out() -> None:
    with pytest.raises(UsageError, match="no number stands beside the slider: write one"):
        turned(ScaleRules(0.7), None)


@pytest.mark.parametrize("value", ["0.7", True, math.nan, math.inf, [1]])
def test_what_no_slider_sends(value: object) -> None:
    with pytest.raises(UsageError, match="is no scale; a scale is any finite number"):
        turned(ScaleRules(0.7), value)


@pytest.mark.parametrize("value", [7, 2.05, -0.55])
def test_what_is_typed_beyond_a_slider_is_refused(value: float) -> None:
    for refused in (lambda: turned(ScaleRules(0.7), value), lambda: turned_role(ScaleRules(0.7), "mlp", value)):
        with pytest.raises(UsageError, match=f"{value}: sliders go from -0.5 to 2; the line under Scale by role"):
            refused()
    assert turned(ScaleRules(value), value) == ScaleRules(value), "the line of text had taken it there"


def test_what_is_typed_and_not_yet_told() -> None:
    """Sliders as a page has them: for everything, attention, mlp; the page may not have heard of the last move."""
    before, now = ScaleRules(0.75), ScaleRules(0.3, roles={"mlp": 0.1})
    for scales, rules in (
        ([0.3, 0.3, 0.1], now),
        ([0.3, 0.75, 0.75], now),
        ([0.5, 0.3, 0.1], ScaleRules(0.5)),
        ([0.3, 0.2, 0.75], ScaleRules(0.3, roles={"mlp": 0.1, "attention": 0.2})),
    ):
        assert left(now, before, ("attention", "mlp"), scales) == rules
