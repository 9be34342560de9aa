# SPDX-License-Identifier: Apache-2.0
"""Compares two models on the same items: the difference (second − first) with an interval and a p value.

| marks | clusters of one item | larger clusters |
|---|---|---|
| true or false | Newcombe's interval, exact McNemar | the same at the effective number of pairs, sign-flip |
| numbers | cluster bootstrap, sign-flip | cluster bootstrap, sign-flip |
| a figure of all marks | cluster bootstrap, swap test | cluster bootstrap, swap test |
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from operator import eq
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from chatvector.evaluate.statistics.bootstrap import AGGREGATE_RESAMPLES, RESAMPLES, figure_interval, mean_interval
from chatvector.evaluate.statistics.clusters import Clusters, Estimate, grouped, need_scipy
from chatvector.evaluate.statistics.rates import Z_95, wilson

T = TypeVar("T")

EXACT_FLIPS = 16
"""With up to this many clusters that differ, all 2^n sign patterns are counted; with more, RESAMPLES random ones."""
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Difference:
    """Second model minus first, on the items that both have.

    Attributes:
        interval: the difference with its interval.
        p: two-sided p value of the hypothesis that the models' marks are exchangeable; not corrected for other tests.
        test: name of the test.
        discordant: share of pairs whose marks differ.
        standard_error: cluster-robust standard error of the difference; None for a single cluster and for figures of
            all marks.
    """

    interval: Estimate
    p: float
    test: str
    discordant: float
    standard_error: float | None


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p value of McNemar's test: under the hypothesis each discordant pair is the toss of a fair coin.

    By scipy's binomial test; 1 if no pair is discordant. Raises MissingExtra without scipy.
    """
    if only_first + only_second == 0:
        return 1.0
    need_scipy("McNemar's test")
    from scipy.stats import binomtest

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def newcombe(
    both: float, only_first: float, only_second: float, neither: float, z: float = Z_95
) -> tuple[float, float]:
    """Interval for the difference of two paired shares, second − first.

    Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based
    on paired data", Statistics in Medicine 17 (1998): Wilson's intervals of both shares, combined by their
    correlation φ, which is corrected for continuity if it is positive. Counts may be fractions. Raises ValueError for
    no pairs.
    """
    pairs = both + only_first + only_second + neither
    first, second = wilson(both + only_first, pairs, z), wilson(both + only_second, pairs, z)
    product = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if product == 0:
        phi = 0.0
    else:
        above = both * neither - only_first * only_second
        phi = (max(above - pairs / 2, 0.0) if above > 0 else above) / product**0.5
    value = second.rate - first.rate

    def reach(down: float, up: float) -> float:
        return max(down * down - 2 * phi * down * up + up * up, 0.0) ** 0.5

    low = value - reach(second.rate - second.low, first.high - first.rate)
    high = value + reach(second.high - second.rate, first.rate - first.low)
    return max(low, -1.0), min(high, 1.0)


def sign_flip(sums: Sequence[float] | NDArray[np.float64], *, seed: int, resamples: int = RESAMPLES) -> float:
    """Two-sided p value of Fisher's sign-flip test for summed differences, one sum per cluster.

    It is the share of sign patterns whose total is at least as far from 0 as the observed one (to within rounding). For
    at most EXACT_FLIPS non-zero sums all patterns are counted; for more it is (1 + hits)/(1 + resamples) over random
    patterns, which is a valid p value (Phipson and Smyth 2010).
    """
    sizes = np.abs(np.asarray(sums, dtype=np.float64))
    seen = abs(float(np.sum(np.asarray(sums, dtype=np.float64))))
    sizes = np.sort(sizes[sizes > 0])
    if len(sizes) == 0:
        return 1.0
    bound = seen - 1e-12 * float(sizes.sum())
    if len(sizes) <= EXACT_FLIPS:
        totals = np.zeros(1)
        for size in sizes:
            totals = np.concatenate([totals + size, totals - size])
        return float(np.mean(np.abs(totals) >= bound))
    rng = np.random.default_rng(seed)
    hits, step = 0, max(1, _BLOCK // len(sizes))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        signs = rng.integers(0, 2, (rows, len(sizes)), dtype=np.int8)
        totals = 2 * (signs @ sizes) - sizes.sum()
        hits += int(np.sum(np.abs(totals) >= bound))
    return (1 + hits) / (1 + resamples)


def rate_difference(
    first: Sequence[bool], second: Sequence[bool], keys: Sequence[Hashable], *, seed: int
) -> Difference:
    """Difference of two shares of true outcomes, paired by position; `keys` are the pairs' clusters."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    clusters = Clusters.of([float(b) - float(a) for a, b in zip(first, second, strict=True)], keys)
    pairs, discordant = len(first), (only_first + only_second) / len(first)
    error = clusters.standard_error()
    if clusters.number == 1 < pairs:
        interval = Estimate(clusters.mean, None, None, pairs, 1, "none: one cluster")
    else:
        both = sum(a and b for a, b in zip(first, second, strict=True))
        cells = (both, only_first, only_second, pairs - both - only_first - only_second)
        share = clusters.effective() / pairs
        low, high = newcombe(*(share * cell for cell in cells))
        method = "Newcombe 1998, method 10" + (", effective n" if clusters.number < pairs else "")
        interval = Estimate(clusters.mean, low, high, pairs, clusters.number, method)
    if clusters.number == pairs:
        return Difference(interval, mcnemar(only_first, only_second), "exact McNemar", discordant, error)
    return Difference(interval, sign_flip(clusters.sums, seed=seed), "sign-flip by cluster", discordant, error)


def mean_difference(
    first: Sequence[float], second: Sequence[float], keys: Sequence[Hashable], *, seed: int
) -> Difference:
    """Difference of two means, paired by position; `keys` are the pairs' clusters."""
    differences = [b - a for a, b in zip(first, second, strict=True)]
    clusters = Clusters.of(differences, keys)
    interval = mean_interval(differences, keys, seed=seed)
    p = sign_flip(clusters.sums, seed=seed)
    differ = sum(d != 0 for d in differences) / len(differences)
    return Difference(interval, p, "sign-flip by cluster", differ, clusters.standard_error())


def figure_difference(
    first: Sequence[T],
    second: Sequence[T],
    keys: Sequence[Hashable],
    figure: Callable[[Sequence[T]], float | None],
    *,
    seed: int,
    resamples: int = AGGREGATE_RESAMPLES,
    same: Callable[[T, T], bool] = eq,
) -> Difference | None:
    """Difference of any figure computed from all marks, paired by position; None if the figure has no value.

    The interval resamples pairs by cluster. The p value is that of the swap test, which exchanges the two models in
    randomly chosen clusters. A pair for which `same` is true is not discordant.
    """

    def difference(pairs: Sequence[tuple[T, T]]) -> float | None:
        a, b = figure([pair[0] for pair in pairs]), figure([pair[1] for pair in pairs])
        return None if a is None or b is None else b - a

    pairs = list(zip(first, second, strict=True))
    interval = figure_interval(pairs, keys, difference, seed=seed, resamples=resamples)
    if interval is None:
        return None
    groups = grouped(pairs, keys)
    rng = np.random.default_rng(seed)
    bound, hits, tried = abs(interval.value) - 1e-12, 0, 0
    for _ in range(resamples):
        swap = rng.integers(0, 2, len(groups)).tolist()
        found = difference(
            [(b, a) if turn else (a, b) for turn, group in zip(swap, groups, strict=True) for a, b in group]
        )
        if found is not None:
            tried += 1
            hits += abs(found) >= bound
    discordant = sum(not same(a, b) for a, b in pairs) / len(pairs)
    return Difference(interval, (1 + hits) / (1 + tried), "swap test by cluster", discordant, None)
