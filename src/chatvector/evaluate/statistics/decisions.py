# SPDX-License-Identifier: Apache-2.0
"""What intervals and p values allow to say: Holm's correction, non-inferiority, and detectable differences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

from chatvector.evaluate.statistics.clusters import Estimate

Verdict = Literal["not worse", "worse", "undecided"]

MARGIN = 0.02
"""Default margin of non-inferiority for shares: two points."""
DISCORDANT = 0.2
"""Share of pairs assumed to differ, before there is data."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the given order. If every hypothesis whose adjusted value is at most α is rejected, the
    chance of any false rejection is at most α, however the tests depend on each other.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979):
    the k-th smallest of m is multiplied by m − k + 1, made monotone, and cut at 1.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def non_inferior(difference: Estimate, margin: float, *, better: Literal["higher", "lower"] = "higher") -> Verdict:
    """Is the second model not worse than the first by more than `margin` (in the figure's unit, ≥ 0)?

    "not worse": the whole interval of the difference is on the good side of the margin; "worse": the whole interval is
    beyond it; "undecided": neither. The interval is a two-sided 95 % one, so each statement errs in at most 2.5 %. The
    bound decides, because a difference that is not significant is no evidence of being no worse. Raises ValueError for
    a negative margin.
    """
    if margin < 0:
        raise ValueError(f"a margin of {margin}: give 0 or more")
    if difference.low is None or difference.high is None:
        return "undecided"
    low, high = (difference.low, difference.high) if better == "higher" else (-difference.high, -difference.low)
    if low > -margin:
        return "not worse"
    return "worse" if high < -margin else "undecided"


def smallest_detectable(standard_error: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """The difference that a two-sided test at `alpha` finds with probability `power`: (z(1−α/2) + z(power))·SE.

    Miller, "Adding error bars to evals", arXiv 2411.00640, section 5. With the default levels 2.80·SE. The normal
    approximation; for a handful of clusters the truth is larger.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * standard_error


def smallest_detectable_rate(count: int, discordant: float = DISCORDANT, *, power: float = 0.8) -> float:
    """The smallest detectable difference of two shares, before there is data: 2.80·sqrt(discordant/count) for `count`
    independent pairs, of which the share `discordant` is assumed to differ. 0.2 and 80 pairs: 14 points; 1 000 pairs:
    4."""
    return smallest_detectable((discordant / count) ** 0.5, power=power)
