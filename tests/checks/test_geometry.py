# SPDX-License-Identifier: Apache-2.0
"""Sums, projections and shares against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chatvector.arithmetic.roles import Role
from chatvector.checkpoint.fingerprint import Grid
from chatvector.checks.geometry import CONFOUNDING, CORRELATION, LEAST_SCATTER, Share, add, measure
from checks.lineage_cases import Blocks

GRID = Grid(4, 4)


def blocks(**tensors: list[float]) -> Blocks:
    return Blocks({name: np.array(values, np.float32) for name, values in tensors.items()}, GRID)


def roles(**known: Role) -> dict[str, Role]:
    return dict(known)


def test_sums_of_one_tensor_by_hand() -> None:
    # τ = (2, 0), δ = (1, 3): cross 2, ‖τ‖² 4, ‖δ‖² 10, rest (−1, 3) 10.
    found = measure(blocks(a=[2, 4]), blocks(a=[1, 1]), blocks(a=[3, 1]), roles(a="mlp")).total
    assert (found.tau, found.drift, found.rest, found.cross) == (4, 10, 10, 2)
    assert (found.base, found.chat, found.target) == (2, 10, 20)
    assert found.projection == 0.5
    assert found.cosine == pytest.approx(2 / math.sqrt(40), rel=1e-12)
    assert found.as_dict()["tau_over_base"] == pytest.approx(math.sqrt(2), rel=1e-12)


def test_sums_add_over_tensors_by_role_and_layer() -> None:
    known = {"model.layers.0.mlp.w": "mlp", "model.layers.1.self_attn.w": "attention", "model.layers.1.mlp.w": "mlp"}
    names = dict.fromkeys(known)
    base = Blocks({name: np.zeros(2, np.float32) for name in names}, GRID)
    chat = Blocks({name: np.full(2, n + 1, np.float32) for n, name in enumerate(names)}, GRID)
    target = Blocks({name: np.array([1, 0], np.float32) for name in names}, GRID)
    found = measure(target, base, chat, {name: role for name, role in known.items()})  # type: ignore[arg-type]  # noqa: C416
    assert {role: products.tau for role, products in found.roles.items()} == {"mlp": 2 + 18, "attention": 8}
    assert {layer: products.tau for layer, products in found.layers.items()} == {0: 2, 1: 8 + 18}
    assert found.total == add(found.roles.values())
    assert found.total.cross == 1 + 2 + 3


def test_embeddings_heads_and_what_only_some_have_do_not_count() -> None:
    base = blocks(embed=[0, 0], head=[0, 0], w=[1, 0], gain=[1, 1], short=[1])
    chat = blocks(embed=[9, 9], head=[9, 9], w=[1, 1], gain=[5, 5], short=[1, 2])
    target = blocks(embed=[9, 9], head=[9, 9], w=[2, 0], gain=[5, 5])
    known = roles(embed="embedding", head="head", w="attention", gain="norm", short="mlp")
    found = measure(target, base, chat, known)
    assert found.tensors == 1
    assert found.total.cross == 0
    assert found.roles["norm"].cross == 32


def test_norms_count_where_there_is_nothing_else() -> None:
    found = measure(blocks(gain=[2, 1]), blocks(gain=[1, 1]), blocks(gain=[1, 2]), roles(gain="norm"))
    assert (found.tensors, found.total.tau) == (1, 1)


def test_a_tensor_of_one_number_does_not_decide_the_shares() -> None:
    """Apertus has activations with constants of their own. In one dimension all arrows are parallel."""
    rng = np.random.default_rng(0)
    base = {f"w{number}": rng.standard_normal(400) for number in range(12)}
    target = {name: values + 0.2 * rng.standard_normal(400) for name, values in base.items()}
    chat = {name: values + 0.1 * rng.standard_normal(400) for name, values in base.items()}
    target["alpha"], base["alpha"], chat["alpha"] = np.array([3]), np.array([1]), np.array([2])
    found = measure(Blocks(target, GRID), Blocks(base, GRID), Blocks(chat, GRID), dict.fromkeys(base, "mlp"))
    assert found.tensors == 12
    assert found.roles["mlp"].elements == 12 * 400 + 1
    for share in (found.chat_in_target, found.target_in_chat):
        assert share is not None
        assert abs(share.value) < 2 * share.error


def test_tensors_of_few_numbers_count_where_there_is_nothing_else() -> None:
    found = measure(blocks(a=[1, 3]), blocks(a=[1, 1]), blocks(a=[2, 1]), roles(a="mlp"))
    assert (found.tensors, found.total.elements) == (1, 2)


def test_equal_tensors_are_counted_by_the_pair_that_shares_them() -> None:
    base = blocks(a=[1, 2], b=[1, 2], c=[1, 2], d=[1, 2])
    chat = blocks(a=[1, 2], b=[3, 2], c=[3, 2], d=[1, 2])
    target = blocks(a=[4, 2], b=[1, 2], c=[3, 2], d=[1, 2])
    known = roles(a="mlp", b="mlp", c="mlp", d="mlp")
    assert measure(target, base, chat, known).same == {"base chat": 1, "base target": 1, "chat target": 1}


def plane(along: float, across: float) -> NDArray[Any]:
    """An arrow in a plane, in so many dimensions that a cosine of chance is small."""
    values = np.zeros(40_000)
    values[:2] = along, across
    return values


def line(share: float, common: float, tensors: int = 60) -> tuple[Blocks, Blocks, Blocks, dict[str, Role]]:
    """Arrows in a plane: τ_k = (x_k, 0) and δ_k = (common + share·x_k, 1)."""
    base: dict[str, NDArray[Any]] = {}
    chat: dict[str, NDArray[Any]] = {}
    target: dict[str, NDArray[Any]] = {}
    for number in range(tensors):
        x = 0.1 + 0.3 * number / tensors
        base[f"t{number}"] = plane(0, 0)
        chat[f"t{number}"] = plane(x, 0)
        target[f"t{number}"] = plane(common + share * x, 1)
    known: dict[str, Role] = dict.fromkeys(base, "mlp")
    return Blocks(target, GRID), Blocks(base, GRID), Blocks(chat, GRID), known


@pytest.mark.parametrize(("share", "common"), [(0.0, 0.0), (0.0, 0.15), (1.0, 0.0), (1.0, 0.05), (0.5, 0.1)])
def test_the_share_is_told_from_a_correlation_that_all_tensors_have(share: float, common: float) -> None:
    found = measure(*line(share, common)).chat_in_target
    assert found is not None
    assert abs(found.value - share) < 2 * found.error
    # The plain projection takes the correlation for a share: c·‖δ⊥‖/‖τ‖ is 0.6 for c = 0.15.
    if (share, common) == (0.0, 0.15):
        projection = measure(*line(share, common)).total.projection
        assert projection is not None
        assert projection > 0.5 > found.value + found.error


def test_equal_ratios_leave_the_width_of_the_prior_in_the_error() -> None:
    """Without spread in x the fit cannot tell share and correlation apart, and says so."""
    one = plane(0.1, 0), plane(0.2, 1)
    names = [f"t{number}" for number in range(50)]
    base = Blocks(dict.fromkeys(names, plane(0, 0)), GRID)
    chat, target = (Blocks(dict.fromkeys(names, values), GRID) for values in one)
    found = measure(target, base, chat, dict.fromkeys(names, "mlp")).chat_in_target
    assert found is not None
    # y = 0.2 = c + 0.1·a with c = 0 ± 0.1: a = 2 ± 1, and the confounding of 0.03 / 0.1 beside it.
    assert found.value == pytest.approx(2.0, abs=0.02)
    assert found.error == pytest.approx(math.hypot(CORRELATION / 0.1, CONFOUNDING / 0.1), rel=0.05)


def test_noise_of_the_correlation_alone_makes_no_slope() -> None:
    """Swapped parents whose tensors all move alike: x varies by chance only, and must not pull the share down."""
    rng = np.random.default_rng(0)
    names = [f"t{number}" for number in range(150)]
    base = {name: rng.standard_normal(4000) for name in names}
    tau = {name: rng.standard_normal(4000) for name in names}
    target = {name: base[name] + 3 * rng.standard_normal(4000) for name in names}
    chat = {name: base[name] + tau[name] for name in names}
    found = measure(Blocks(target, GRID), Blocks(chat, GRID), Blocks(base, GRID), dict.fromkeys(names, "mlp"))
    assert found.chat_in_target is not None
    # cos = 0 ± 0.1 and drift / τ = 3: the share is known to about 0.3, the confounding beside it.
    assert found.chat_in_target.value == pytest.approx(1, abs=0.1)
    assert 0.2 < found.chat_in_target.error < 0.35


def test_a_target_that_is_a_step_along_the_vector() -> None:
    found = measure(blocks(a=[1, 1.5]), blocks(a=[1, 1]), blocks(a=[1, 2]), roles(a="mlp")).chat_in_target
    assert found is not None
    assert found.value == pytest.approx(0.5, abs=1e-3)
    assert found.error < 1e-3


def test_two_triangles_of_the_same_sides_differ_in_which_line_their_tensors_keep_to() -> None:
    """Right angles at the target on average: half of τ and a step as long, or chat tuned from the target by as much."""
    lengths = np.geomspace(0.5, 2, 40)
    names = [f"t{number}" for number in range(len(lengths))]
    base = dict.fromkeys(names, plane(0, 0))
    known: dict[str, Role] = dict.fromkeys(names, "mlp")

    part = {name: plane(1, length) for name, length in zip(names, lengths, strict=True)}
    chat = dict.fromkeys(names, plane(2, 0))
    half = measure(Blocks(part, GRID), Blocks(base, GRID), Blocks(chat, GRID), known)
    child = {name: plane(1, length) for name, length in zip(names, lengths, strict=True)}
    target = dict.fromkeys(names, plane(1, 0))
    tuned = measure(Blocks(target, GRID), Blocks(base, GRID), Blocks(child, GRID), known)

    for found, held, taken in ((half, 0.5, None), (tuned, None, 1.0)):
        assert found.chat_in_target is not None
        assert found.target_in_chat is not None
        # The line that is the truth has no scatter but the least that is assumed; off the other one they are far.
        true, other = found.chat_in_target, found.target_in_chat
        if held is None:
            true, other = other, true
        assert true.value == pytest.approx(held or taken, abs=0.02)
        assert true.scatter == LEAST_SCATTER
        assert other.scatter > 5 * LEAST_SCATTER


def test_an_arrow_of_no_length_has_no_share() -> None:
    found = measure(blocks(a=[1, 2]), blocks(a=[1, 2]), blocks(a=[2, 2]), roles(a="mlp"))
    assert found.chat_in_target is None
    assert found.target_in_chat is None
    assert found.total.cosine == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_said_and_does_not_raise(bad: float) -> None:
    found = measure(blocks(a=[1, bad]), blocks(a=[1, 2]), blocks(a=[2, -2]), roles(a="mlp"))
    assert not found.finite
    assert found.chat_in_target is None


def test_still_rows_are_those_that_moved_less_than_a_tenth_as_far() -> None:
    # Blocks of 4; the weights move by 10 % of their norm; of four blocks of the embedding one moves by 0.5 %.
    base = blocks(embed=[1.0] * 16, w=[10, 0])
    chat = blocks(embed=[1.1] * 4 + [1.005] * 4 + [1.2] * 8, w=[10, 1])
    found = measure(blocks(embed=[1.0] * 16, w=[11, 0]), base, chat, roles(embed="embedding", w="mlp"))
    assert found.still_rows == 0.25


def test_a_share_reads_with_its_error() -> None:
    assert str(Share(0.5, 0.25)) == "+0.50 ± 0.25"
    assert Share(1.0, 0.25).above(0.5) == 2
    assert Share(1.0, 0.0).above(0.5) == math.inf
