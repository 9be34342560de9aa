# SPDX-License-Identifier: Apache-2.0
"""Decide go or no-go from losses along the scale: does the vector carry over, or is there a barrier?

A chat vector carries over where target and sum lie in one linearly connected region of weights (Lin et al., arXiv
2503.20110; the idea is Frankle et al., arXiv 1912.05671). With L(s) the loss of target + s·τ on some text, the barrier
at 0 < s < 1 is the height above the straight line between the ends
(Entezari et al., arXiv 2110.06296):

    B(s) = L(s) − [(1 − s)·L(0) + s·L(1)]

Frankle takes the mean of the ends, which is the same at s = 1/2 and says less where the ends differ, as here they
should. The path counts as connected while max B stays within 2 % of the mean of the ends: Frankle's allowance, which he
gives for errors, here of losses.

Connected is not enough. The vector must also do its work (chat replies in the language wanted become likelier), and the
sum must be worth more than the chat model that one has already: on the target's text a good part of the target's
advantage over the chat model has to stay. Base is no reference: chat tuning alone
already costs a little on plain text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Answer = Literal["go", "no-go", "undecided"]

# Share of the mean loss of the two ends.
BARRIER_TOLERANCE = 0.02
# Least share of the target's advantage over the chat model on the target's text that has to stay.
LEAST_KEPT = 0.5
# Differences count from this many standard errors on.
CERTAINTY = 2.0


@dataclass(frozen=True)
class Estimate:
    """An estimate over documents, in bits per byte; `error` is one standard error."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.value - CERTAINTY * self.error

    @property
    def high(self) -> float:
        """The upper end."""
        return self.value + CERTAINTY * self.error


@dataclass(frozen=True)
class Losses:
    """One text along the scale.

    Attributes:
        bits: [scales, documents] float64, bits of the counted part of each document.
        nbytes: [documents] float64, bytes of that part.
    """

    bits: NDArray[np.float64]
    nbytes: NDArray[np.float64]

    def mean(self) -> list[float]:
        """Bits per byte at each scale."""
        return [float(row.sum() / self.nbytes.sum()) for row in self.bits]

    def estimate(self, weights: Sequence[float]) -> Estimate:
        """A weighted sum over the scales, paired by document; the error is that of a ratio of sums over documents."""
        parts = np.asarray(weights, np.float64) @ self.bits
        count = len(self.nbytes)
        value = float(parts.sum() / self.nbytes.sum())
        if count < 2:
            return Estimate(value, math.inf)
        residuals = parts - value * self.nbytes
        spread = math.sqrt(float(residuals @ residuals) * count / (count - 1))
        return Estimate(value, spread / float(self.nbytes.sum()))


@dataclass(frozen=True)
class LossPath:
    """Losses of one text on the way from target to target + τ.

    Attributes:
        loss: bits per byte at each scale.
        change: difference from scale 0, at each scale.
        barrier, barrier_at: the highest B(s), and where; None without a scale between 0 and 1.
        connected: True or False when two standard errors allow it, else None.
        documents, nbytes: amount of text read.
    """

    loss: tuple[float, ...]
    change: tuple[Estimate, ...]
    barrier: Estimate | None
    barrier_at: float | None
    connected: bool | None
    documents: int
    nbytes: int


@dataclass(frozen=True)
class Connectivity:
    """The answer and its evidence.

    Attributes:
        answer: `go`, `no-go` or `undecided`.
        reasons: reasons for the answer, one line each.
        scales: the measured scales, sorted.
        target, chat: the paths on the target's text and on chat replies.
        chat_model_loss: loss of the chat model itself on the target's text, in bits per byte.
        kept: at each scale, the share of the target's advantage over the chat model that is left on the target's text;
            None where there is no sure advantage.
        best_scale: scale with the likeliest chat replies among those that keep enough; None without one.
    """

    answer: Answer
    reasons: tuple[str, ...]
    scales: tuple[float, ...]
    target: LossPath
    chat: LossPath
    chat_model_loss: float
    kept: tuple[float | None, ...]
    best_scale: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `check --json`; keys in docs/probe.md."""
        return asdict(self)


def path(scales: Sequence[float], losses: Losses) -> LossPath:
    """The path of one text. `scales` are sorted and hold 0 and 1."""
    means = losses.mean()
    start, end = scales.index(0.0), scales.index(1.0)
    units = np.eye(len(scales))
    change = tuple(losses.estimate(unit - units[start]) for unit in units)
    found = [
        (losses.estimate(units[place] - (1 - scale) * units[start] - scale * units[end]), scale)
        for place, scale in enumerate(scales)
        if 0 < scale < 1
    ]
    barrier, at = max(found, key=lambda one: one[0].value) if found else (None, None)
    tolerance = BARRIER_TOLERANCE * (means[start] + means[end]) / 2
    connected: bool | None = None
    if barrier is not None and barrier.high <= tolerance:
        connected = True
    elif barrier is not None and barrier.low > tolerance:
        connected = False
    return LossPath(tuple(means), change, barrier, at, connected, len(losses.nbytes), int(losses.nbytes.sum()))


def judge_paths(scales: Sequence[float], target: Losses, chat: Losses, chat_model: Losses) -> Connectivity:
    """Judge go or no-go.

    Args:
        scales: sorted, with 0 and 1 among them.
        target, chat: losses of the merge on the target's text and on chat replies, at these scales.
        chat_model: [1, documents], losses of the chat model itself on the same documents of the target's text.
    """
    paths = path(scales, target), path(scales, chat)
    start = scales.index(0.0)
    (own,) = chat_model.mean()
    # Paired by document, so that a few hard documents do not decide.
    ahead = Losses(np.stack([chat_model.bits[0], target.bits[start]]), target.nbytes).estimate([1, -1])
    kept = tuple((own - loss) / ahead.value if ahead.low > 0 else None for loss in paths[0].loss)
    works = [place for place, scale in enumerate(scales) if scale > 0 and paths[1].change[place].high < 0]
    good = [place for place in works if (kept[place] or 0.0) >= LEAST_KEPT]
    best = min(good, key=lambda place: paths[1].loss[place], default=None)
    answer, reasons = _answer(scales, paths, ahead, works, best, kept)
    chosen = None if best is None else scales[best]
    return Connectivity(answer, reasons, tuple(scales), *paths, own, kept, chosen)


def _answer(
    scales: Sequence[float],
    paths: tuple[LossPath, LossPath],
    ahead: Estimate,
    works: list[int],
    best: int | None,
    kept: tuple[float | None, ...],
) -> tuple[Answer, tuple[str, ...]]:
    named = dict(zip(("the target's text", "chat replies"), paths, strict=True))
    ridges = [
        f"on {name} a barrier of {one.barrier.value:.3f} bits per byte stands at scale {one.barrier_at:g}: target and"
        " target + τ are not linearly connected"
        for name, one in named.items()
        if one.connected is False and one.barrier is not None
    ]
    if ridges:
        return "no-go", tuple(ridges)
    if ahead.low <= 0:
        # Without an advantage on the text there is no share of it that could be lost.
        return "undecided", (
            f"the target is not surely better than the chat model on the target's text (by {ahead.value:+.3f} ±"
            f" {ahead.error:.3f} bits per byte): is it in the language that the target learned, and is it enough?",
        )
    if not works:
        unsure = any(paths[1].change[place].low < 0 for place, scale in enumerate(scales) if scale > 0)
        why = "chat replies do not surely become likelier at any scale"
        return ("undecided", (f"{why}: give more of them",)) if unsure else ("no-go", (f"{why}",))
    if best is None:
        most = max((kept[place] or 0.0) for place in works)
        return "no-go", (
            f"where chat replies become likelier, at most {most:.0%} of the target's advantage over the chat model on"
            f" the target's text is kept, {LEAST_KEPT:.0%} are asked for",
        )
    open_ones = [name for name, one in named.items() if one.connected is None]
    if open_ones:
        return "undecided", (
            f"whether the path is free of barriers is not sure on {' and '.join(open_ones)}: give more text",
        )
    share = kept[best]
    assert share is not None
    return "go", (
        f"linearly connected; at scale {scales[best]:g} chat replies cost {-paths[1].change[best].value:.3f} bits per"
        f" byte less, and {share:.0%} of the target's advantage over the chat model on the target's text is kept",
    )
