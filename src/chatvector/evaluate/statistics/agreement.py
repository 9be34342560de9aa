# SPDX-License-Identifier: Apache-2.0
"""Do two raters, or a score and the labels, agree?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from chatvector.evaluate.statistics.bootstrap import figure_interval
from chatvector.evaluate.statistics.clusters import Estimate, need_scipy
from chatvector.evaluate.statistics.rates import clustered_rate


@dataclass(frozen=True)
class Agreement:
    """Two raters on the same things.

    Attributes:
        share: in how many they agree.
        kappa: Cohen's, chance taken out; None where both always say the same one thing, so that chance alone would
            agree always.
    """

    share: Estimate
    kappa: Estimate | None


def kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa, (po − pe)/(1 − pe): Educational and Psychological Measurement 20 (1960). None where pe = 1."""
    count = len(first)
    seen = sum(a == b for a, b in zip(first, second, strict=True)) / count
    said = Counter(first), Counter(second)
    chance = sum(times * said[1][label] for label, times in said[0].items()) / count**2
    return None if chance == 1 else (seen - chance) / (1 - chance)


def agreement(
    first: Sequence[Hashable], second: Sequence[Hashable], keys: Sequence[Hashable] | None = None, *, seed: int = 0
) -> Agreement:
    """Share and kappa with 95 % intervals; `keys` are clusters, by default each pair its own. Raises ValueError for
    unequal lengths or none."""
    pairs = list(zip(first, second, strict=True))
    clusters = list(range(len(pairs))) if keys is None else list(keys)
    share = clustered_rate([a == b for a, b in pairs], clusters)
    chance_free = figure_interval(
        pairs, clusters, lambda drawn: kappa([a for a, _ in drawn], [b for _, b in drawn]), seed=seed
    )
    return Agreement(share, chance_free)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation by scipy; None where one of them never changes. Raises MissingExtra without scipy."""
    need_scipy("A rank correlation")
    from scipy.stats import spearmanr

    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second)[0])  # type: ignore[arg-type]


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Area under the ROC curve: the chance that a true one scores above a false one, ties half. Mann and Whitney's U
    by scipy; None where all labels are the same. Raises MissingExtra without scipy."""
    need_scipy("An area under the curve")
    from scipy.stats import mannwhitneyu

    true = [score for score, label in zip(scores, labels, strict=True) if label]
    false = [score for score, label in zip(scores, labels, strict=True) if not label]
    if not true or not false:
        return None
    return float(mannwhitneyu(true, false, method="asymptotic").statistic) / (len(true) * len(false))
