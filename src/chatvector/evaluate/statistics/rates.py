# SPDX-License-Identifier: Apache-2.0
"""Shares with Wilson's interval, for independent items and for items in clusters."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from chatvector.evaluate.statistics.clusters import Clusters, Estimate

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution, for two-sided 95 % intervals."""


@dataclass(frozen=True)
class Rate:
    """A share with its interval; all three are fractions from 0 to 1."""

    rate: float
    low: float
    high: float
    count: float
    """Number of items it was measured on; a fraction if it is an effective number."""

    def percent(self) -> str:
        """The share and its interval as text: `67 % (55–77)`."""
        return f"{100 * self.rate:.0f} % ({100 * self.low:.0f}–{100 * self.high:.0f})"


def wilson(successes: float, count: float, z: float = Z_95) -> Rate:
    """Wilson's score interval for a share of `successes` in `count` independent items.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927):
    (p + z²/2n ± z·sqrt(p(1−p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z·sqrt(p(1−p)/n) it stays within 0 and 1 and
    has a width even for 0 of n. It takes items to be independent; `clustered_rate` does not, and passes counts that are
    not whole numbers. Raises ValueError for an empty sample.
    """
    if not 0 <= successes <= count or count == 0:
        raise ValueError(f"{successes} successes in {count} items: need 0 <= successes <= count and count > 0")
    share = successes / count
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    middle, scale = share + z * z / (2 * count), 1 + z * z / count
    low = 0.0 if successes == 0 else (middle - spread) / scale
    high = 1.0 if successes == count else (middle + spread) / scale
    return Rate(share, low, high, count)


def rate(outcomes: Iterable[bool]) -> Rate:
    """The share of true outcomes with Wilson's 95 % interval."""
    listed = list(outcomes)
    return wilson(sum(listed), len(listed))


def clustered_rate(outcomes: Sequence[bool], keys: Sequence[Hashable]) -> Estimate:
    """The share of true outcomes; outcomes with the same key (wordings of one question, samples of one prompt) are
    not independent.

    Wilson's interval at the effective number of items (`Clusters.effective`), as in K. K. Saha, D. Miller and S. Wang,
    "A comparison of some approximate confidence intervals for a single proportion for clustered binary outcome data",
    The International Journal of Biostatistics 12 (2016). The effective number is never more than the number
    of items. If all outcomes agree it is about the number of clusters, as nothing then shows how alike the items of a
    cluster are.
    """
    clusters = Clusters.of([float(outcome) for outcome in outcomes], keys)
    count, effective = len(outcomes), clusters.effective()
    share = sum(outcomes) / count
    found = wilson(share * effective, effective)
    method = "Wilson" if clusters.number == count else "Wilson, effective n"
    return Estimate(share, found.low, found.high, count, clusters.number, method)
