# SPDX-License-Identifier: Apache-2.0
"""Values in clusters. Clusters are resampled, not items."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from chatvector.errors import MissingExtra

T = TypeVar("T")


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, in the figure's own unit.

    Attributes:
        low, high: None if there is no interval: too few clusters, or a figure that has none.
        count: number of values it was computed from.
        clusters: number of independent groups among them.
        method: how the interval was made, in words.
    """

    value: float
    low: float | None
    high: float | None
    count: int
    clusters: int
    method: str


@dataclass(frozen=True)
class Clusters:
    """Values summed by cluster: (C,) float64 each, sorted by key, so that the order of the values does not matter.

    `squares` has the sums of the squared values.
    """

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, values: Sequence[float], keys: Sequence[Hashable]) -> Clusters:
        """Sum `values` by `keys`, one key per value. Raises ValueError for no values or unequal lengths."""
        groups = grouped(values, keys)
        return cls(
            np.array([fsum(group) for group in groups]),
            np.array([float(len(group)) for group in groups]),
            np.array([fsum(value * value for value in group) for group in groups]),
        )

    @property
    def number(self) -> int:
        """The number of clusters, C."""
        return len(self.sums)

    @property
    def mean(self) -> float:
        """Mean of all values: each value has the same weight, not each cluster."""
        return float(self.sums.sum() / self.counts.sum())

    def standard_error(self) -> float | None:
        """Cluster-robust standard error of the mean: sqrt(C/(C−1)·Σ(Sc − m·Nc)²)/N, the linearised variance of a
        ratio (Miller, arXiv 2411.00640, eq. 4, with the usual small-sample factor). None for a single cluster."""
        if self.number < 2:
            return None
        residual = self.sums - self.mean * self.counts
        variance = self.number / (self.number - 1) * float(np.sum(residual**2))
        return variance**0.5 / float(self.counts.sum())

    def effective(self) -> float:
        """How many independent values would tell as much about the mean: n/(1 + (k − 1)·ρ), by Kish's design effect.

        k = ΣN²/ΣN is the size of an average value's cluster, ρ the correlation within clusters by analysis of variance
        (A. Donner and N. Klar, "Design and Analysis of Cluster Randomization Trials in Health Research", 2000, ch. 5),
        limited to 0 to 1. The sandwich error of a few clusters depends on a handful of residuals; ρ also uses the
        spread within clusters. If all values are equal the data do not determine ρ, and it is 1.
        """
        total, number = float(self.counts.sum()), self.number
        size = float(np.sum(self.counts**2)) / total
        if size == 1:
            return total
        if number == 1:
            return 1.0
        centre = self.sums - self.mean * self.counts
        between = float(np.sum(centre**2 / self.counts)) / (number - 1)
        within = float(np.sum(self.squares - self.sums**2 / self.counts)) / (total - number)
        usual = (total - size) / (number - 1)
        spread = between + (usual - 1) * max(within, 0.0)
        correlation = 1.0 if spread <= 0 else min(max((between - within) / spread, 0.0), 1.0)
        return total / (1 + (size - 1) * correlation)


def grouped(values: Sequence[T], keys: Sequence[Hashable]) -> list[list[T]]:
    """The values of each cluster, clusters sorted by key. Raises ValueError for no values or unequal lengths."""
    if not values or len(values) != len(keys):
        raise ValueError(f"{len(values)} values, {len(keys)} clusters: need one cluster a value, and a value")
    found: dict[Hashable, list[T]] = {}
    for value, key in zip(values, keys, strict=True):
        found.setdefault(key, []).append(value)
    return [found[key] for key in sorted(found, key=str)]


def need_scipy(what: str) -> None:
    """Raise MissingExtra if scipy is not installed. `what` says in the message what needs it."""
    from importlib.util import find_spec

    if find_spec("scipy") is None:
        raise MissingExtra("eval", what)
