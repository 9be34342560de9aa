# SPDX-License-Identifier: Apache-2.0
"""Share of the true chat model's gain that another model has: (model − reference)/(chat − reference)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chatvector.evaluate.statistics.bootstrap import AGGREGATE_RESAMPLES, figure_interval
from chatvector.evaluate.statistics.clusters import Estimate

T = TypeVar("T")


@dataclass(frozen=True)
class Recovery:
    """`share` is None where the interval of the gain holds 0: a share of nothing says nothing."""

    gain: Estimate
    share: Estimate | None


def recovered(
    model: Sequence[T],
    reference: Sequence[T],
    chat: Sequence[T],
    keys: Sequence[Hashable],
    figure: Callable[[Sequence[T]], float | None],
    *,
    seed: int,
    resamples: int = AGGREGATE_RESAMPLES,
) -> Recovery | None:
    """Gain and share with intervals, all three models resampled together by cluster; marks are paired by position.

    The bootstrap of a ratio of paired differences; a resample in which the gain is 0 has no share. A share that is the
    same in every resample has no interval. None where the
    figure has no value.
    """
    triples = list(zip(model, reference, chat, strict=True))

    def gain(drawn: Sequence[tuple[T, T, T]]) -> float | None:
        high, low = figure([one[2] for one in drawn]), figure([one[1] for one in drawn])
        return None if high is None or low is None else high - low

    def share(drawn: Sequence[tuple[T, T, T]]) -> float | None:
        whole, part = gain(drawn), figure([one[0] for one in drawn])
        low = figure([one[1] for one in drawn])
        return (part - low) / whole if whole and part is not None and low is not None else None

    found = figure_interval(triples, keys, gain, seed=seed, resamples=resamples)
    if found is None:
        return None
    if found.low is None or found.high is None or found.low <= 0 <= found.high:
        return Recovery(found, None)
    part = figure_interval(triples, keys, share, seed=seed, resamples=resamples)
    if part is not None and part.low == part.high:
        # Where the gain is, the model has it, or has none of it: resampling cannot say how near to that the truth is.
        part = replace(part, low=None, high=None, method="none: the same share in every resample")
    return Recovery(found, part)
