# SPDX-License-Identifier: Apache-2.0
"""Holm, non-inferiority, detectable differences, variance components, agreement: by hand, by scipy, by property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chatvector.evaluate.statistics.agreement import agreement, auc, kappa, spearman
from chatvector.evaluate.statistics.clusters import Estimate
from chatvector.evaluate.statistics.decisions import (
    holm,
    non_inferior,
    smallest_detectable,
    smallest_detectable_rate,
)
from chatvector.evaluate.statistics.spread import split

P_VALUES = st.lists(st.floats(0, 1), max_size=12)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(P_VALUES, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_steps_reject(p_values: list[float], alpha: float) -> None:
    """The sequential definition: go up the sorted p values while p(k) <= alpha/(m − k + 1)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected: set[int] = set()
    for rank, index in enumerate(order):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(holm(p_values)) if p <= alpha} == rejected


@given(P_VALUES)
def test_holm_is_between_the_p_value_and_bonferroni(p_values: list[float]) -> None:
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= min(1.0, len(p_values) * raw) + 1e-15


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.01, 0.05, "not worse"), (-0.02, 0.05, "undecided"), (-0.5, -0.03, "worse"), (-0.05, 0.05, "undecided")],
)
def test_non_inferiority(low: float, high: float, verdict: str) -> None:
    estimate = Estimate((low + high) / 2, low, high, 100, 100, "by hand")
    assert non_inferior(estimate, 0.02) == verdict
    mirror = Estimate(-estimate.value, -high, -low, 100, 100, "by hand")
    assert non_inferior(mirror, 0.02, better="lower") == verdict


def test_no_interval_decides_nothing() -> None:
    assert non_inferior(Estimate(0.5, None, None, 2, 1, "none"), 0.02) == "undecided"
    with pytest.raises(ValueError, match="give 0 or more"):
        non_inferior(Estimate(0.5, 0.4, 0.6, 9, 9, "by hand"), -0.1)


@pytest.mark.parametrize(("count", "points"), [(80, 14.0), (250, 7.9), (500, 5.6), (1000, 4.0), (2000, 2.8)])
def test_detectable_rates_before_there_is_data(count: int, points: float) -> None:
    assert 100 * smallest_detectable_rate(count) == pytest.approx(points, abs=0.06)


def test_detectable_difference_has_its_power() -> None:
    """A difference of that size is found in about 80 % of samples by the test it is meant for."""
    rng, error = np.random.default_rng(0), 0.1
    truth = smallest_detectable(error)
    z = rng.normal(truth, error, 20_000) / error
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.01)


def test_variance_by_hand() -> None:
    # items (1, 3) and (5, 7): within (2 + 2)/2 = 2; between-item mean square 2·((2−4)² + (6−4)²)/1 = 16; (16 − 2)/2 = 7
    found = split([[1.0, 3.0], [5.0, 7.0]])
    assert found is not None
    assert (found.within_item, found.between_items) == (2.0, 7.0)
    assert found.of_sample_means == pytest.approx(2**0.5)  # the samples' means are 3 and 5
    assert found.standard_error(2) == pytest.approx(((7 + 1) / 2) ** 0.5)


def test_variance_is_recovered() -> None:
    rng = np.random.default_rng(1)
    items = rng.normal(0, 2, 4000)
    drawn = [rng.normal(item, 3, 2 + index % 3).tolist() for index, item in enumerate(items)]
    found = split(drawn)
    assert found is not None
    assert found.between_items == pytest.approx(4, rel=0.1)
    assert found.within_item == pytest.approx(9, rel=0.05)
    assert found.of_sample_means is None, "unequal numbers of samples"


def test_variance_agrees_with_the_f_test_of_scipy() -> None:
    groups = np.random.default_rng(5).normal(size=(12, 4)) + np.arange(12)[:, None]
    found = split(groups.tolist())
    assert found is not None
    ratio = (4 * found.between_items + found.within_item) / found.within_item
    assert ratio == pytest.approx(stats.f_oneway(*groups).statistic)


def test_nothing_to_split() -> None:
    assert split([[1.0], [2.0]]) is None
    assert split([[1.0, 2.0]]) is None
    assert split([]) is None


def test_kappa_by_hand() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: po 0.7, pe 0.5·0.6 + 0.5·0.4 = 0.5, kappa 0.4
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(first, second) == pytest.approx(0.4)
    found = agreement(first, second)
    assert found.share.value == pytest.approx(0.7)
    assert found.kappa is not None
    assert found.kappa.low is not None
    assert found.kappa.low < 0.4


def test_kappa_where_chance_explains_everything() -> None:
    assert kappa(["a", "a"], ["a", "a"]) is None
    assert agreement(["a", "a"], ["a", "a"]).kappa is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_kappa_is_symmetric_and_bounded(pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = kappa(first, second)
    if found is None:
        assert len({*first, *second}) == 1
        return
    assert kappa(second, first) == pytest.approx(found)
    assert found <= 1 + 1e-12
    assert (found == pytest.approx(1)) == (first == second)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=25))
def test_auc_by_counting_pairs(data: list[tuple[int, bool]]) -> None:
    true, false = [s for s, label in data if label], [s for s, label in data if not label]
    found = auc([s for s, _ in data], [label for _, label in data])
    if not true or not false:
        assert found is None
        return
    exact = sum((a > b) + 0.5 * (a == b) for a in true for b in false) / (len(true) * len(false))
    assert found == pytest.approx(exact)


def test_spearman() -> None:
    assert spearman([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1.0)
    # ranks 1 2 3 against 3 1 2: 1 − 6·(4 + 1 + 1)/(3·8) = −0.5
    assert spearman([1, 2, 3], [9, 1, 5]) == pytest.approx(-0.5)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
