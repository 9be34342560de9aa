# SPDX-License-Identifier: Apache-2.0
"""Cluster sums, standard errors and bootstrap intervals, against hand, exact enumeration and scipy."""

from __future__ import annotations

import itertools

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
    found = bootstrap.resampled_means(clusters, seed=1, resamples=40_000)
    assert set(np.round(found, 9)) <= set(np.round(exact, 9))
    assert found.mean() == pytest.approx(np.mean(exact), abs=4 * float(np.std(exact)) / 200)
    below = [np.mean(np.asarray(exact) <= cut) for cut in (2, 4, 6, 8)]
    assert [np.mean(found <= cut) for cut in (2, 4, 6, 8)] == pytest.approx(below, abs=0.01)


def test_interval_agrees_with_scipy_at_the_same_levels() -> None:
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
    ours = bootstrap.mean_interval(values.tolist(), range(60), seed=0, resamples=20_000)
    spread = float(theirs.standard_error)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.08 * spread)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.08 * spread)


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
    assert bootstrap.resampled_means(clusters, seed=3, resamples=100).tolist() == whole.tolist()


def test_any_figure_of_a_mean_is_the_mean() -> None:
    values, keys = [1.0, 2.0, 4.0, 8.0, 9.0], ["a", "b", "c", "d", "d"]
    direct = bootstrap.mean_interval(values, keys, seed=2, resamples=4000)
    called = bootstrap.figure_interval(values, keys, lambda drawn: sum(drawn) / len(drawn), seed=2, resamples=4000)
    assert called is not None
    assert called == direct


def test_a_figure_without_value() -> None:
    assert bootstrap.figure_interval([1, 2], "ab", lambda _: None, seed=0) is None
    rare = bootstrap.figure_interval([1, 0, 0], "abc", lambda drawn: 1.0 if 1 in drawn else None, seed=0, resamples=200)
    assert rare is not None
    assert (rare.low, rare.method) == (None, "none: often undefined in resamples")


def test_clustered_rate_of_single_items_is_wilson() -> None:
    found = clustered_rate([True] * 7 + [False] * 3, range(10))
    plain = wilson(7, 10)
    assert (found.value, found.low, found.high, found.method) == (0.7, plain.low, plain.high, "Wilson")


def test_copies_of_an_item_count_once() -> None:
    """Ten items, each three times: the effective number of items is that of ten, with the small-sample factor 10/9."""
    outcomes = ([True] * 7 + [False] * 3) * 3
    found = clustered_rate(outcomes, list(range(10)) * 3)
    plain = wilson(0.7 * 9, 9)  # p(1−p)/SE² with SE² = p(1−p)/(C−1)
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
