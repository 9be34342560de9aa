# SPDX-License-Identifier: Apache-2.0
"""Paired tests and intervals, against published examples, scipy and exact enumeration."""

from __future__ import annotations

import itertools
import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chatvector.evaluate.statistics import paired
from chatvector.evaluate.statistics.rates import wilson

COUNTS = st.tuples(*[st.integers(0, 40)] * 4).filter(lambda cells: sum(cells) > 0)


def test_newcombe_as_published() -> None:
    """Newcombe 1998, table III: 36 both, 12 and 2 discordant, none neither; his difference is first − second."""
    assert paired.newcombe(36, 2, 12, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_newcombe_where_hand_and_head_suffice() -> None:
    # Nobody right: both shares reach up to z²/(n + z²), and φ is 0.
    reach = 3.841458820694124 / 33.841458820694124
    assert paired.newcombe(0, 0, 0, 30) == pytest.approx((-reach, reach))
    # Always opposite: φ is −1, and the bounds are those of the two shares.
    first, second = wilson(29, 30), wilson(1, 30)
    assert paired.newcombe(0, 29, 1, 0) == pytest.approx((second.low - first.high, second.high - first.low))


@given(COUNTS)
def test_newcombe_mirrors_and_holds_the_difference(cells: tuple[int, int, int, int]) -> None:
    both, first, second, neither = cells
    low, high = paired.newcombe(both, first, second, neither)
    value = (second - first) / sum(cells)
    assert -1 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1
    assert paired.newcombe(both, second, first, neither) == pytest.approx((-high, -low), abs=1e-12)
    assert paired.newcombe(neither, second, first, both) == pytest.approx((-high, -low), abs=1e-12)


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_by_enumeration(first: int, second: int) -> None:
    n, k = first + second, min(first, second)
    exact = min(1.0, 2 * sum(math.comb(n, j) for j in range(k + 1)) / 2**n) if n else 1.0
    assert paired.mcnemar(first, second) == pytest.approx(exact)
    assert paired.mcnemar(second, first) == pytest.approx(exact)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
@settings(max_examples=40, deadline=None)
def test_sign_flip_by_enumeration(sums: list[int]) -> None:
    totals = [abs(sum(s * x for s, x in zip(signs, sums, strict=True))) for signs in _signs(len(sums))]
    exact = fmean(total >= abs(sum(sums)) for total in totals)
    assert paired.sign_flip(sums, seed=0) == pytest.approx(exact)


def _signs(count: int) -> list[tuple[int, ...]]:
    return list(itertools.product((1, -1), repeat=count))


@pytest.mark.parametrize("count", [8, 60])
def test_sign_flip_agrees_with_scipy(count: int) -> None:
    sums = np.random.default_rng(2).normal(0.25, 1, count)
    theirs = stats.permutation_test(
        (sums,),
        lambda x, axis: np.abs(x.sum(axis=axis)),
        permutation_type="samples",
        vectorized=True,
        alternative="greater",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    assert paired.sign_flip(sums, seed=1) == pytest.approx(theirs.pvalue, abs=1e-12 if count == 8 else 0.01)


def test_sign_flip_of_unit_differences_is_mcnemar() -> None:
    """±1 a cluster: the sign-flip test is the binomial one, sampled or not."""
    small = [1.0] * 11 + [-1.0] * 3 + [0.0] * 20
    assert paired.sign_flip(small, seed=0) == pytest.approx(paired.mcnemar(3, 11))
    large = [1.0] * 40 + [-1.0] * 24
    assert paired.sign_flip(large, seed=0, resamples=40_000) == pytest.approx(paired.mcnemar(24, 40), abs=0.004)


def test_sign_flip_keeps_ties_of_rounded_sums() -> None:
    # 0.1 + 0.2 − 0.3 is not 0 in binary: the pattern must still count as tied with its mirror
    assert paired.sign_flip([0.1, 0.2, -0.3], seed=0) == 1.0


def test_sign_flip_is_never_zero() -> None:
    assert paired.sign_flip([1.0] * 200, seed=0, resamples=999) == 1 / 1000
    assert paired.sign_flip([], seed=0) == 1.0
    assert paired.sign_flip([0.0, 0.0], seed=0) == 1.0


def test_p_values_of_equal_models_are_fair() -> None:
    """Under the hypothesis p ≤ α in at most about α of samples, for the exact and for the sampled test."""
    rng = np.random.default_rng(4)
    for count in (10, 40):
        found = [paired.sign_flip(rng.normal(size=count), seed=0, resamples=400) for _ in range(600)]
        assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5


def test_rates_of_single_pairs() -> None:
    first = [True] * 6 + [False] * 14
    second = [True] * 5 + [False] + [True] * 9 + [False] * 5
    found = paired.rate_difference(first, second, range(20), seed=0)
    assert found.interval.value == pytest.approx(0.4)
    assert (found.interval.low, found.interval.high) == paired.newcombe(5, 1, 9, 5)
    assert found.p == pytest.approx(22 / 1024)  # 2·(1 + 10)/2¹⁰
    assert (found.test, found.discordant) == ("exact McNemar", 0.5)
    differences = np.array(second, float) - np.array(first, float)
    assert found.standard_error == pytest.approx(stats.sem(differences))


def test_rates_in_clusters_are_flipped_by_cluster() -> None:
    """Two wordings a question: three questions decide, so p is 2/2³, not 2/2⁶."""
    first, second, keys = [False] * 6, [True] * 6, list("aabbcc")
    found = paired.rate_difference(first, second, keys, seed=0)
    assert found.test == "sign-flip by cluster"
    assert found.p == pytest.approx(0.25)
    assert found.interval.value == 1.0
    assert (found.interval.low, found.interval.high) == paired.newcombe(0, 0, 3, 0)
    assert found.interval.high == 1


def test_equal_models_in_clusters_still_have_a_width() -> None:
    found = paired.rate_difference([True, False] * 10, [True, False] * 10, [i // 2 for i in range(20)], seed=0)
    assert found.p == 1.0
    assert found.interval.low is not None
    assert found.interval.high is not None
    assert found.interval.low < 0 < found.interval.high


def test_means() -> None:
    found = paired.mean_difference([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 3.5, 4.5], range(4), seed=0)
    assert found.interval.value == pytest.approx(1.0)
    assert found.p == pytest.approx(2 / 16)
    assert found.discordant == 1.0


def accuracy(marks: object) -> float:
    return fmean(marks)  # type: ignore[arg-type]


def test_any_figure_agrees_with_means() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(0, 1, 40).tolist()
    second = (np.array(first) + rng.normal(0.3, 1, 40)).tolist()
    keys = [i // 2 for i in range(40)]
    figure = paired.figure_difference(first, second, keys, accuracy, seed=3, resamples=4000)
    mean = paired.mean_difference(first, second, keys, seed=3)
    assert figure is not None
    assert figure.interval.value == pytest.approx(mean.interval.value)
    assert figure.interval.low == pytest.approx(mean.interval.low, abs=0.03)
    assert figure.p == pytest.approx(mean.p, abs=0.02)


def test_a_figure_without_value_has_no_difference() -> None:
    assert paired.figure_difference([1], [2], [0], lambda _: None, seed=0) is None


def test_unpaired_input_is_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        paired.rate_difference([True], [True, False], [0], seed=0)
