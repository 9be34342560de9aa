# SPDX-License-Identifier: Apache-2.0
"""How much of the variance is between items, and how much between samples (or seeds) of the same item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Variance components of the one-way random-effects model: mark = mean + item + draw.

    Attributes:
        between_items: variance of the items' true means; 0 if the estimate is negative.
        within_item: variance between samples of the same item.
        of_sample_means: standard deviation of the figure between sample numbers, i.e. of the figure that a run with one
            sample per item would have reported; None if items have unequal numbers of samples.
        items, samples: number of items, and of samples over all items.
    """

    between_items: float
    within_item: float
    of_sample_means: float | None
    items: int
    samples: int

    def standard_error(self, samples_per_item: int) -> float:
        """Standard error of the mean over these items with `samples_per_item` (k) samples each:
        sqrt((between + within/k)/items)."""
        return ((self.between_items + self.within_item / samples_per_item) / self.items) ** 0.5


def split(values: Sequence[Sequence[float]]) -> Spread | None:
    """Variance components by analysis of variance. `values` has one inner sequence per item, in order of the samples.

    Between = (MSB − MSW)/k₀ with k₀ = (N − Σk²/N)/(I − 1) for unequal numbers of samples (Searle, Casella and
    McCulloch, "Variance Components", 1992, section 3.6). None if no item has two samples, or there are fewer than two
    items.
    """
    items = [np.asarray(item, dtype=np.float64) for item in values if len(item)]
    sizes = np.array([len(item) for item in items], dtype=np.float64)
    total, number = sizes.sum(), len(items)
    if number < 2 or total == number:
        return None
    means = np.array([item.mean() for item in items])
    grand = float(np.sum(sizes * means) / total)
    within = sum(float(np.sum((item - mean) ** 2)) for item, mean in zip(items, means, strict=True)) / (total - number)
    between = float(np.sum(sizes * (means - grand) ** 2)) / (number - 1)
    effective = (total - float(np.sum(sizes**2)) / total) / (number - 1)
    per_sample = None
    if len(set(sizes)) == 1:
        per_sample = float(np.std(np.mean(np.stack(items), axis=0), ddof=1))
    return Spread(max(0.0, (between - within) / effective), float(within), per_sample, number, int(total))
