# SPDX-License-Identifier: Apache-2.0
"""Cluster bootstrap: an interval for a mean, or for any figure that is computed from whole clusters.

Clusters are drawn with replacement, as many as there are, `resamples` times.

**A mean** has a standard error in every resample, so its interval is studentised (bootstrap-t: B. Efron and R. J.
Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 12): (mean* − mean)/error* is resampled, and its quantiles
replace those of Student's t. Such an interval follows skewed values, such as times and scores of toxicity. If more than
one resample in a thousand has no spread (as when one cluster among twenty differs), error* is 0 there, and the mean is
treated like any other figure.

**Any other figure** gets the middle of the resampled figures as its interval. Plain percentiles are too narrow for few
clusters, so their levels are moved outwards as in Hesterberg, "What teachers should know about the bootstrap", The
American Statistician 69 (2015), section 5.3: from α/2 to Φ(−sqrt(C/(C−1))·t(1−α/2; C−1)). BCa intervals were no better.

With fewer than FEWEST clusters neither interval covers the truth as often as it claims (docs/validation.md), so there
is none.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from chatvector.evaluate.statistics.clusters import Clusters, Estimate, grouped, need_scipy

T = TypeVar("T")

RESAMPLES = 10_000
"""Number of resamples for means, where one costs nanoseconds per item. From seed to seed the ends of a 95 % interval
then move by about 2 % of its width."""
AGGREGATE_RESAMPLES = 2_000
"""Number of resamples for other figures, where each one calls a Python function."""
FEWEST = 8
"""Fewest clusters for an interval by resampling."""
_BLOCK = 1 << 20
"""Draws held in memory at once: 8 MiB."""


def levels(clusters: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two quantile levels of the resampled figures that bound the interval."""
    need_scipy("An interval by bootstrap")
    from scipy.special import stdtrit

    tail = (1 - confidence) / 2
    quantile = float(stdtrit(clusters - 1, 1 - tail))
    lower = NormalDist().cdf(-((clusters / (clusters - 1)) ** 0.5) * quantile)
    return lower, 1 - lower


def resampled_means(
    clusters: Clusters, *, seed: int, resamples: int = RESAMPLES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of the resamples, Σ sums / Σ counts over the clusters drawn, and their standard errors; (resamples,)
    each."""
    rng = np.random.default_rng(seed)
    means, errors = np.empty(resamples), np.empty(resamples)
    number = clusters.number
    step = max(1, _BLOCK // number)
    for start in range(0, resamples, step):
        drawn = rng.integers(0, number, (min(step, resamples - start), number))
        sums, counts = clusters.sums[drawn], clusters.counts[drawn]
        total = counts.sum(axis=1)
        found = sums.sum(axis=1) / total
        residual = sums - found[:, None] * counts
        means[start : start + step] = found
        errors[start : start + step] = np.sqrt(number / (number - 1) * np.sum(residual**2, axis=1)) / total
    return means, errors


def mean_interval(
    values: Sequence[float], keys: Sequence[Hashable], *, seed: int, resamples: int = RESAMPLES
) -> Estimate:
    """The mean of `values` with its interval; values with the same key are drawn together.

    The same seed and the same values in any order give the same figures. With fewer than FEWEST clusters there is no
    interval.
    Raises ValueError for no value, MissingExtra without scipy.
    """
    clusters = Clusters.of(values, keys)
    if too_few := _too_few(clusters.number):
        return Estimate(clusters.mean, None, None, len(values), clusters.number, too_few)
    means, errors = resampled_means(clusters, seed=seed, resamples=resamples)
    error = clusters.standard_error() or 0.0
    spread = errors > 1e-9 * error
    if error == 0 or resamples - np.count_nonzero(spread) > resamples / 1000:
        low, high = np.quantile(means, levels(clusters.number))
        return Estimate(clusters.mean, float(low), float(high), len(values), clusters.number, "cluster bootstrap")
    below, above = np.quantile((means[spread] - clusters.mean) / errors[spread], (0.025, 0.975))
    low, high = clusters.mean - float(above) * error, clusters.mean - float(below) * error
    return Estimate(clusters.mean, low, high, len(values), clusters.number, "cluster bootstrap, studentised")


def _too_few(clusters: int) -> str:
    """Why so few clusters give no interval; "" if there are enough."""
    if clusters >= FEWEST:
        return ""
    return "none: one cluster" if clusters == 1 else f"none: {clusters} clusters, {FEWEST} are needed"


def figure_interval(
    values: Sequence[T],
    keys: Sequence[Hashable],
    figure: Callable[[Sequence[T]], float | None],
    *,
    seed: int,
    resamples: int = AGGREGATE_RESAMPLES,
) -> Estimate | None:
    """Any figure of the values (macro-F1, an expected maximum …) with its interval; None if it has no value.

    Resamples in which the figure has no value (None) are left out. If these are more than one in ten there is no
    interval, because the remaining resamples would not represent the data.
    """
    groups = grouped(values, keys)
    ordered = [value for group in groups for value in group]
    whole = figure(ordered)
    if whole is None:
        return None
    if too_few := _too_few(len(groups)):
        return Estimate(whole, None, None, len(values), len(groups), too_few)
    found = resampled_figures(groups, figure, seed=seed, resamples=resamples)
    if len(found) < 0.9 * resamples:
        return Estimate(whole, None, None, len(values), len(groups), "none: often undefined in resamples")
    low, high = np.quantile(found, levels(len(groups)))
    return Estimate(whole, float(low), float(high), len(values), len(groups), "cluster bootstrap")


def resampled_figures(
    groups: Sequence[Sequence[T]], figure: Callable[[Sequence[T]], float | None], *, seed: int, resamples: int
) -> NDArray[np.float64]:
    """The figure in each resample; resamples without a value are left out."""
    rng = np.random.default_rng(seed)
    found: list[float] = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(groups), len(groups)).tolist()
        value = figure([member for index in drawn for member in groups[index]])
        if value is not None:
            found.append(value)
    return np.array(found)
