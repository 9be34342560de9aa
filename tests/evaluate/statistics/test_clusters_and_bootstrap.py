# SPDX-License-Identifier: Apache-2.0
"""Cluster sums, standard errors and bootstrap intervals, against hand, exact enumeration and scipy."""

from __future__ import annotations

import itertools
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chatvector.evaluate.statistics import bootstrap
from chatvector.evaluate.statistics.clusters import Clusters
from chatvector.evaluate.statistics.rates import clustered_rate, wilson

VALUES = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 6)), min_size=2, max_size=30)


def test_sums_and_error_by_hand() -> None:
    # clusters a: 1, 3; b: 5. mean 3; residuals 4 − 6 = −2 and 5 − 3 = 2; variance 2/1·8 = 16; error 4/3
    clusters = Clusters.of([1, 5, 3], ["a", "b", "a"])
    assert clusters.sums.tolist() == [4, 5]
    assert clusters.counts.tolist() == [2, 1]
    assert clusters.squares.tolist() == [10, 25]
    assert clusters.mean == 3
    assert clusters.standard_error() == pytest.approx(4 / 3)


def test_error_of_single_items_is_the_usual_one() -> None:
    values = np.random.default_rng(0).normal(size=50)
    found = Clusters.of(values.tolist(), range(50)).standard_error()
    assert found == pytest.approx(stats.sem(values))


def test_one_cluster_has_no_interval() -> None:
    found = bootstrap.mean_interval([1.0, 2.0], ["a", "a"], seed=0)
    assert (found.value, found.low, found.high, found.clusters) == (1.5, None, None, 1)
    assert Clusters.of([1.0, 2.0], ["a", "a"]).standard_error() is None


@pytest.mark.parametrize(("values", "keys"), [([], []), ([1.0], []), ([1.0], ["a", "b"])])
def test_nothing_and_unequal_lengths_are_refused(values: list[float], keys: list[str]) -> None:
    with pytest.raises(ValueError, match="need one cluster a value, and a value"):
        Clusters.of(values, keys)


def test_resampled_means_have_the_exact_distribution() -> None:
    """Four clusters: all 256 resamples are listed, and the drawn means have their moments and quantiles."""
    clusters = Clusters.of([1, 2, 4, 8, 9], ["a", "b", "c", "d", "d"])
    exact = []
    for drawn in itertools.product(range(4), repeat=4):
        exact.append(clusters.sums[list(drawn)].sum() / clusters.counts[list(drawn)].sum())
    found, errors = bootstrap.resampled_means(clusters, seed=1, resamples=40_000)
    assert set(np.round(found, 9)) <= set(np.round(exact, 9))
    assert found.mean() == pytest.approx(np.mean(exact), abs=4 * float(np.std(exact)) / 200)
    below = [np.mean(np.asarray(exact) <= cut) for cut in (2, 4, 6, 8)]
    assert [np.mean(found <= cut) for cut in (2, 4, 6, 8)] == pytest.approx(below, abs=0.01)
    # Of the resample a, a, a, a the error is 0; of a, a, a, b by hand: mean 5/4, residuals −1/4 · 3 and 3/4.
    assert errors[np.isclose(found, 1)].tolist() == [0.0] * int(np.isclose(found, 1).sum())
    one_b = errors[np.isclose(found, 1.25)]
    assert one_b.tolist() == pytest.approx([(4 / 3 * 12 / 16) ** 0.5 / 4] * len(one_b))


def test_a_figures_interval_agrees_with_scipy_at_the_same_levels() -> None:
    values = np.random.default_rng(3).exponential(size=60)
    low, _ = bootstrap.levels(60)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - 2 * low,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(5),
    )
    ours = bootstrap.figure_interval(values.tolist(), range(60), fmean, seed=0, resamples=20_000)
    assert ours is not None
    spread = float(theirs.standard_error)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.08 * spread)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.08 * spread)


def test_a_means_interval_is_the_studentised_one() -> None:
    """Against a second computation of its own, by scipy's resampling of (mean* − mean)/error*."""
    values = np.random.default_rng(3).exponential(size=60)

    def studentised(sample: np.ndarray, axis: int) -> np.ndarray:
        return (sample.mean(axis=axis) - values.mean()) / stats.sem(sample, axis=axis)

    theirs = stats.bootstrap(
        (values,), studentised, method="percentile", n_resamples=20_000, rng=np.random.default_rng(5)
    )
    below, above = theirs.confidence_interval
    ours = bootstrap.mean_interval(values.tolist(), range(60), seed=0, resamples=20_000)
    error = float(stats.sem(values))
    assert ours.low == pytest.approx(values.mean() - above * error, abs=0.08 * error)
    assert ours.high == pytest.approx(values.mean() - below * error, abs=0.08 * error)
    assert ours.method == "cluster bootstrap, studentised"
    assert ours.high - values.mean() > values.mean() - ours.low, "skewed to the right"


def test_resamples_without_spread_cannot_be_studentised() -> None:
    """One cluster of twenty differs: a third of the resamples are all alike."""
    values = [0.0] * 19 + [1.0]
    ours = bootstrap.mean_interval(values, range(20), seed=0)
    means, errors = bootstrap.resampled_means(Clusters.of(values, range(20)), seed=0)
    assert np.mean(errors == 0) == pytest.approx(0.95**20, abs=0.02)
    assert (ours.low, ours.high) == tuple(np.quantile(means, bootstrap.levels(20)))
    assert ours.method == "cluster bootstrap"
    assert bootstrap.mean_interval([2.0] * 9, range(9), seed=0).low == 2.0


def test_too_few_clusters_have_no_interval_and_say_so() -> None:
    values = [float(v) for v in range(10)]
    few = [min(v, 6) for v in range(10)]
    wanted = "none: 7 clusters, 8 are needed"
    found = bootstrap.mean_interval(values, few, seed=0)
    assert (found.value, found.low, found.high, found.method) == (4.5, None, None, wanted)
    figure = bootstrap.figure_interval(values, few, fmean, seed=0)
    assert figure is not None
    assert (figure.low, figure.method) == (None, wanted)
    assert bootstrap.mean_interval(values[:8], range(8), seed=0).low is not None


def test_levels_are_wider_than_plain_percentiles_and_come_to_them() -> None:
    # C = 10: Φ(−sqrt(10/9)·2.2621571628) = Φ(−2.38452) = 0.00855
    assert bootstrap.levels(10)[0] == pytest.approx(0.008550, abs=1e-5)
    assert bootstrap.levels(100_000) == pytest.approx((0.025, 0.975), abs=1e-5)


@given(VALUES, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter_and_the_seed_decides(data: list[tuple[int, int]], shuffler) -> None:
    shuffled = data.copy()
    shuffler.shuffle(shuffled)
    one, other = (
        bootstrap.mean_interval([float(v) for v, _ in rows], [k for _, k in rows], seed=7, resamples=200)
        for rows in (data, shuffled)
    )
    assert one == other
    if one.low is not None and one.high is not None:
        assert one.low <= one.high


@given(VALUES, st.floats(0.5, 3), st.integers(-4, 4))
@settings(max_examples=30, deadline=None)
def test_interval_moves_with_the_unit(data: list[tuple[int, int]], factor: float, shift: int) -> None:
    keys = [key for _, key in data]
    plain = bootstrap.mean_interval([float(v) for v, _ in data], keys, seed=0, resamples=200)
    moved = bootstrap.mean_interval([factor * v + shift for v, _ in data], keys, seed=0, resamples=200)
    assert moved.value == pytest.approx(factor * plain.value + shift)
    if plain.low is not None and plain.high is not None:
        assert moved.low == pytest.approx(factor * plain.low + shift)
        assert moved.high == pytest.approx(factor * plain.high + shift)


def test_blocks_of_draws_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = Clusters.of([float(v) for v in range(10)], range(10))
    whole = bootstrap.resampled_means(clusters, seed=3, resamples=100)
    monkeypatch.setattr(bootstrap, "_BLOCK", 70)
    assert np.array_equal(bootstrap.resampled_means(clusters, seed=3, resamples=100), whole)


def test_any_figure_of_a_mean_is_that_of_its_resamples() -> None:
    values, keys = [1.0, 2.0, 4.0, 8.0, 9.0, 3.0, 0.5, 7.0, 6.0], "abcddefgh"
    called = bootstrap.figure_interval(values, keys, fmean, seed=2, resamples=4000)
    means, _ = bootstrap.resampled_means(Clusters.of(values, keys), seed=2, resamples=4000)
    assert called is not None
    assert (called.low, called.high) == pytest.approx(tuple(np.quantile(means, bootstrap.levels(8))))
    assert called.value == bootstrap.mean_interval(values, keys, seed=2).value


def test_a_figure_without_value() -> None:
    assert bootstrap.figure_interval([1, 2], "ab", lambda _: None, seed=0) is None
    rare = bootstrap.figure_interval(
        [1, *[0] * 7], range(8), lambda drawn: 1.0 if 1 in drawn else None, seed=0, resamples=200
    )
    assert rare is not None
    assert (rare.low, rare.method) == (None, "none: often undefined in resamples")


def test_clustered_rate_of_single_items_is_wilson() -> None:
    found = clustered_rate([True] * 7 + [False] * 3, range(10))
    plain = wilson(7, 10)
    assert (found.value, found.low, found.high, found.method) == (0.7, plain.low, plain.high, "Wilson")


def test_the_effective_number_by_hand() -> None:
    # Clusters (1, 1), (0, 0), (1, 0): mean ½. Between: 2·(¼ + ¼ + 0)/2 = ½; within: ½/3 = ⅙.
    # ρ = (½ − ⅙)/(½ + 1·⅙) = ½, and 6 values in twos are worth 6/(1 + ½) = 4.
    assert Clusters.of([1, 1, 0, 0, 1, 0], "aabbcc").effective() == pytest.approx(4)
    # Unequal sizes 1, 3: k = 10/4, k₀ = (4 − 2.5)/1. Values 4 | 1, 2, 3: mean 2.5, between (1.5² + 3·0.5²)/1 = 3,
    # within 2/2 = 1; ρ = (3 − 1)/(3 + 0.5·1) = 4/7; 4/(1 + 1.5·4/7) = 28/13.
    assert Clusters.of([4, 1, 2, 3], "abbb").effective() == pytest.approx(28 / 13)
    assert Clusters.of([1, 0, 1, 0], "aabb").effective() == 4, "negative correlation is held at none"
    assert Clusters.of([0.3, 0.1, 0.9], "abc").effective() == 3
    assert Clusters.of([0.3, 0.1, 0.9], "aaa").effective() == 1


@given(VALUES)
def test_the_effective_number_lies_between_clusters_and_values(data: list[tuple[int, int]]) -> None:
    clusters = Clusters.of([float(v) for v, _ in data], [key for _, key in data])
    kish = float(clusters.counts.sum() ** 2 / np.sum(clusters.counts**2))
    least = 1.0 if clusters.number == 1 else kish
    assert least - 1e-9 <= clusters.effective() <= len(data) + 1e-9


def test_copies_of_an_item_count_once() -> None:
    """Ten items, each three times: the effective number of items is ten."""
    outcomes = ([True] * 7 + [False] * 3) * 3
    found = clustered_rate(outcomes, list(range(10)) * 3)
    plain = wilson(7, 10)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))
    assert (found.count, found.clusters) == (30, 10)


def test_agreeing_outcomes_count_as_clusters() -> None:
    found, plain = clustered_rate([True] * 30, list(range(10)) * 3), wilson(10, 10)
    assert (found.low, found.high) == (plain.low, plain.high)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_clustered_rate_stays_a_rate(data: list[tuple[bool, int]]) -> None:
    found = clustered_rate([one for one, _ in data], [key for _, key in data])
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
