# SPDX-License-Identifier: Apache-2.0
"""Agreement of two raters, or of a score with labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from chatvector.evaluate.statistics.bootstrap import figure_interval
from chatvector.evaluate.statistics.clusters import Estimate, need_scipy
from chatvector.evaluate.statistics.rates import clustered_rate


@dataclass(frozen=True)
class Agreement:
    """How far two raters of the same things agree.

    Attributes:
        share: share of the things on which they agree.
        kappa: Cohen's kappa, which is corrected for chance; None if both give everything the same one label, so that
            chance alone would always agree.
    """

    share: Estimate
    kappa: Estimate | None


def kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa, (po − pe)/(1 − pe): Educational and Psychological Measurement 20 (1960). None if pe = 1."""
    count = len(first)
    seen = sum(a == b for a, b in zip(first, second, strict=True)) / count
    said = Counter(first), Counter(second)
    chance = sum(times * said[1][label] for label, times in said[0].items()) / count**2
    return None if chance == 1 else (seen - chance) / (1 - chance)


def agreement(
    first: Sequence[Hashable], second: Sequence[Hashable], keys: Sequence[Hashable] | None = None, *, seed: int = 0
) -> Agreement:
    """Share and kappa with 95 % intervals. `keys` are the pairs' clusters; by default each pair is its own cluster.
    Raises ValueError for unequal lengths or no pairs."""
    pairs = list(zip(first, second, strict=True))
    clusters = list(range(len(pairs))) if keys is None else list(keys)
    share = clustered_rate([a == b for a, b in pairs], clusters)
    chance_free = figure_interval(
        pairs, clusters, lambda drawn: kappa([a for a, _ in drawn], [b for _, b in drawn]), seed=seed
    )
    return Agreement(share, chance_free)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, by scipy; None if all values of one side are equal. Raises MissingExtra without
    scipy."""
    need_scipy("A rank correlation")
    from scipy.stats import spearmanr

    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second)[0])  # type: ignore[arg-type]


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Area under the ROC curve: the probability that a true item scores above a false one, with ties counted half. From
    Mann and Whitney's U, by scipy; None if all labels are the same. Raises MissingExtra without scipy."""
    need_scipy("An area under the curve")
    from scipy.stats import mannwhitneyu

    true = [score for score, label in zip(scores, labels, strict=True) if label]
    false = [score for score, label in zip(scores, labels, strict=True) if not label]
    if not true or not false:
        return None
    return float(mannwhitneyu(true, false, method="asymptotic").statistic) / (len(true) * len(false))
