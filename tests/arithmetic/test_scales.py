# SPDX-License-Identifier: Apache-2.0
"""Scales by role, layer and name: precedence, reading, and rules that match nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.arithmetic.roles import Role
from chatvector.arithmetic.scales import (
    ScaleRules,
    format_layers,
    parse_layer_scale,
    parse_layers,
    parse_role_scale,
    parse_scale,
    parse_tensor_scale,
)
from chatvector.errors import UsageError

UP = "model.layers.2.mlp.up_proj.weight"
TENSORS: list[tuple[str, Role, int | None]] = [
    ("model.embed_tokens.weight", "embedding", None),
    ("model.layers.0.input_layernorm.weight", "norm", 0),
    (UP, "mlp", 2),
    ("model.norm.weight", "norm", None),
]


def test_the_whole_vector_unless_told_otherwise() -> None:
    assert ScaleRules().for_tensor(UP, "mlp", 2) == (1.0, "scale=1")


def test_precedence() -> None:
    rules = ScaleRules(0.8, roles={"mlp": 0.5}, layers={(2, 5): 0.3}, tensors={"*.mlp.*": 0.1})
    assert rules.for_tensor(UP, "mlp", 2) == (0.1, "tensors *.mlp.*=0.1")
    assert rules.for_tensor("x", "mlp", 2) == (0.3, "layers 2-5=0.3")
    assert rules.for_tensor("x", "mlp", 6) == (0.5, "role mlp=0.5")
    assert rules.for_tensor("x", "mlp", None) == (0.5, "role mlp=0.5")
    assert rules.for_tensor("x", "norm", None) == (0.8, "scale=0.8")


def test_factors_are_absolute_and_zero_counts() -> None:
    assert ScaleRules(0.5, roles={"norm": 1.0}).for_tensor("n", "norm", 0)[0] == 1.0
    assert ScaleRules(0.5, roles={"norm": 0.0}).for_tensor("n", "norm", 0) == (0.0, "role norm=0")


def test_the_later_of_two_globs_and_of_two_ranges_wins() -> None:
    assert ScaleRules(tensors={"*": 1, "model.*": 2}).for_tensor(UP, "mlp", 2)[0] == 2
    assert ScaleRules(tensors={"model.*": 2, "*": 1}).for_tensor(UP, "mlp", 2)[0] == 1
    assert ScaleRules(layers={(0, 9): 1, (2, 2): 2}).for_tensor(UP, "mlp", 2) == (2, "layers 2=2")
    assert ScaleRules(layers={(2, 2): 2, (0, 9): 1}).for_tensor(UP, "mlp", 2)[0] == 1


def test_ranges_include_both_ends() -> None:
    rules = ScaleRules(0, layers={(1, 2): 1})
    assert [rules.for_tensor("x", "mlp", layer)[0] for layer in range(4)] == [0, 1, 1, 0]


def test_globs_fit_the_whole_name_and_heed_case() -> None:
    rules = ScaleRules(0, tensors={"model.layers.?.mlp.*": 1})
    assert rules.for_tensor(UP, "mlp", 2)[0] == 1
    assert rules.for_tensor("x." + UP, "mlp", 2)[0] == 0
    assert rules.for_tensor(UP.upper(), "mlp", 2)[0] == 0


def test_the_rules_are_copies() -> None:
    roles: dict[Role, float] = {"mlp": 0.5}
    rules = ScaleRules(roles=roles)
    roles["mlp"] = 2.0
    assert rules == ScaleRules(roles={"mlp": 0.5})


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            ScaleRules(tensors={"*.mpl.*": 0.5}),
            r"the pattern '\*.mpl.\*' matches none of the 4 tensors; names look like model",
        ),
        (ScaleRules(layers={(3, 9): 0.5}), "layers 3-9 match nothing: the model has layers 0-2"),
        (ScaleRules(layers={(1, 1): 0.5}), "layers 1 match nothing"),
        (ScaleRules(roles={"router": 0.5}), "no tensor has the role router; the model has embedding, mlp, norm"),
    ],
)
def test_a_rule_that_matches_nothing(rules: ScaleRules, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rules.check_used(TENSORS)


def test_rules_that_match_and_those_overruled_are_in_order() -> None:
    ScaleRules(0.1, roles={"mlp": 1}, layers={(0, 9): 1}, tensors={"*": 1}).check_used(TENSORS)
    ScaleRules().check_used([])


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_scales_are_finite(scale: float) -> None:
    for make in (
        lambda: ScaleRules(scale),
        lambda: ScaleRules(roles={"mlp": scale}),
        lambda: ScaleRules(layers={(0, 1): scale}),
        lambda: ScaleRules(tensors={"*": scale}),
        lambda: parse_scale(str(scale)),
    ):
        with pytest.raises(UsageError, match=r"it must be a finite number"):
            make()


def test_impossible_rules() -> None:
    with pytest.raises(UsageError, match="'moe' is no role; roles are embedding, head, attention"):
        ScaleRules(roles={"moe": 1.0})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="layers 3-1 are no range"):
        ScaleRules(layers={(3, 1): 1.0})
    with pytest.raises(UsageError, match="layers -1-1 are no range"):
        ScaleRules(layers={(-1, 1): 1.0})
    with pytest.raises(UsageError, match="an empty tensor pattern"):
        ScaleRules(tensors={"": 1.0})


def test_reading() -> None:
    assert parse_role_scale("norm=0") == ("norm", 0.0)
    assert parse_layer_scale("0-3=0.5") == ((0, 3), 0.5)
    assert parse_layer_scale("5=-1") == ((5, 5), -1.0)
    assert parse_tensor_scale("a=b.*=1e-3") == ("a=b.*", 1e-3)
    assert ScaleRules.parse("0.8", roles=["norm=0"], layers=["0-3=0.5"], tensors=["*.mlp.*=0.1"]) == ScaleRules(
        0.8, roles={"norm": 0.0}, layers={(0, 3): 0.5}, tensors={"*.mlp.*": 0.1}
    )


def test_a_key_given_twice_counts_as_given_last() -> None:
    rules = ScaleRules.parse(tensors=["model.*=1", "*=2", "model.*=3"])
    assert list(rules.tensors.items()) == [("*", 2.0), ("model.*", 3.0)]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (parse_role_scale, "norm", "'norm': write ROLE=SCALE, for example norm=0"),
        (parse_role_scale, "=1", "write ROLE=SCALE"),
        (parse_role_scale, "layernorm=0", "'layernorm' is no role"),
        (parse_layer_scale, "0-3", "write LAYERS=SCALE"),
        (parse_layer_scale, "3-1=0", "'3-1' runs backwards: write 1-3"),
        (parse_layer_scale, "a-b=0", "'a-b' is no layer range: write 0-3 or 5"),
        (parse_layer_scale, "-1=0", "'-1' is no layer range"),
        (parse_layer_scale, "٣=0", "is no layer range"),
        (parse_tensor_scale, "*.mlp.*", "write GLOB=SCALE"),
        (parse_tensor_scale, "*=half", "'half' is no number"),
        (parse_scale, "", "'' is no number; a scale is a finite number such as 0.8"),
        (parse_scale, "1e999", "a scale is inf: it must be a finite number"),
    ],
)
def test_what_cannot_be_read(read, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)


@given(st.integers(0, 999), st.integers(0, 999))
def test_layer_ranges_read_back(a: int, b: int) -> None:
    layers = (min(a, b), max(a, b))
    assert parse_layers(format_layers(layers)) == layers


_scale = st.floats(-4, 4, allow_nan=False)


@given(
    st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda p: (min(p), max(p))), _scale),
    st.dictionaries(st.sampled_from(["*", "a*", "*b", "ab"]), _scale),
    st.sampled_from(["ab", "a", "b", "c"]),
    st.integers(0, 6),
)
def test_the_strongest_and_latest_rule_wins(
    layers: dict[tuple[int, int], float], globs: dict[str, float], name: str, layer: int
) -> None:
    fits = {"*": True, "a*": name.startswith("a"), "*b": name.endswith("b"), "ab": name == "ab"}
    expected = 0.125
    for (first, last), scale in layers.items():
        expected = scale if first <= layer <= last else expected
    for glob, scale in globs.items():
        expected = scale if fits[glob] else expected
    assert ScaleRules(0.125, layers=layers, tensors=globs).for_tensor(name, "mlp", layer)[0] == expected
