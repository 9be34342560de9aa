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
    """A gain and the share of it. `share` is None if the gain has no interval or its interval contains 0: a share of
    nothing says nothing."""

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
    """Gain and share with intervals. All three models are resampled together by cluster; marks are paired by position.

    The share is a ratio of paired differences; it has no value in a resample in which the gain is 0. A share that is
    the same in every resample has no interval. Returns None if the figure has no value.
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
        # The share never varies (all of the gain, or none of it), so resampling cannot tell how far off the truth may
        # be.
        part = replace(part, low=None, high=None, method="none: the same share in every resample")
    return Recovery(found, part)
