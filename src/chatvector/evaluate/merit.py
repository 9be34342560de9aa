# SPDX-License-Identifier: Apache-2.0
"""The figure of merit: one number for each setting, and which settings it can tell apart.

    utility of a share        v, or 1 − v where lower is better
    utility of bits per byte  v(target)/v, at most 1: how much of the target's prediction of text is kept
    part                      mean of the utilities of its metrics
    merit                     Σ weight·part / Σ weight, every weight 1 unless given

Parts are instructions, memory, safety, harmless-answered (requests that only look harmful), language, soundness (no
loops, an end …), knowledge. A figure of merit is a choice, not a measurement: the parts are reported beside it, and the
user sets the weights.

Intervals resample clusters of items (Efron's percentile bootstrap) within each task. Every setting gets the same
clusters, so differences are paired. Differences between settings have simultaneous intervals: the width is the
95 % quantile of the largest studentised difference among all pairs (max-T; Westfall and Young, "Resampling-Based
Multiple Testing", 1993). Picking the best of many settings and then comparing with it therefore errs in about
5 % of cases: 6 ± 1 % in a simulation with nine equal settings (docs/sweep.md). Both widths are stretched for small
samples, as in `statistics.bootstrap.levels`: a bootstrap within strata of n clusters has only (n − 1)/n of the
variance, and its quantiles are those of a normal distribution where those of a t distribution are due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.records import marked_of, rider_marked_of
from chatvector.evaluate.statistics.clusters import need_scipy
from chatvector.evaluate.statistics.rates import Z_95
from chatvector.evaluate.tally import cluster_of, value_of
from chatvector.evaluate.task import Marked, Metric, Rider, Task
from chatvector.evaluate.tasks.texts import ENGLISH, TARGET

RESAMPLES = 2000
LEAST_CLUSTERS = 10
"""With fewer clusters there are no intervals, so no settings are told apart."""
LEAST_OF_A_TASK = 5
"""Tasks with fewer clusters are resampled together; a small task by itself would seem to vary little or not at all."""
_TEXTS = {"target": TARGET, "english": ENGLISH}
"""Metric of bits per byte → value of the facet `text` of its items. Other metrics of that unit do not count."""
_PATTERNS = {"refusal": "safety", "over_refusal": "harmless-answered"}
"""Metric of a task of axis `safety` → part. These metrics come from patterns, which need no guard."""
_SAID = {"degeneration": "soundness"}
"""Axis → part, where their names differ: the part is named so that high is good."""


@dataclass(frozen=True)
class Column:
    """One metric at every setting: S settings, C clusters of all tasks.

    Attributes:
        part: part of the figure of merit that the metric belongs to.
        sums, counts: [S, C] float64 numerators and denominators; the figure of a setting is Σ sums / Σ counts.
        kind: `share` or `bits per byte`.
        higher: whether higher is better.
    """

    part: str
    task: str
    language: str
    metric: str
    title: str
    kind: str
    higher: bool
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A figure with its 95 % interval; the ends are None if there are too few clusters."""

    value: float
    low: float | None
    high: float | None

    def as_json(self) -> dict[str, float | None]:
        """The figure and its ends as a dict, rounded to six places."""
        return {key: None if one is None else round(one, 6) + 0.0 for key, one in vars(self).items()}


@dataclass(frozen=True)
class Merits:
    """The figure of merit of every setting, in order.

    Attributes:
        parts: part → its figure at every setting.
        differences: each setting minus `best`, with simultaneous intervals.
        shows: median half-width of those intervals; smaller differences do not show. None without intervals.
        best: index of the setting that the others are compared with: the one with the highest figure (the first of
            equal ones), or the one given as `against`.
    """

    merit: tuple[Spread, ...]
    parts: Mapping[str, tuple[Spread, ...]]
    differences: tuple[Spread, ...]
    shows: float | None
    best: int

    @property
    def not_worse(self) -> tuple[int, ...]:
        """Indices of the settings that cannot be told from `best` or are better, and of `best` itself."""
        return tuple(
            number
            for number, one in enumerate(self.differences)
            if number == self.best or one.high is None or one.high >= 0
        )

    @property
    def front(self) -> tuple[int, ...]:
        """Indices of the settings on Pareto's front, by the figures alone: no other setting is better in one part and
        at least equal in all."""
        rows = np.array([[one.value for one in found] for found in self.parts.values()]).T
        return tuple(
            number
            for number, row in enumerate(rows)
            if not any(bool((other >= row).all() and (other > row).any()) for other in rows)
        )


def columns(
    names: Sequence[str],
    tasks: Sequence[tuple[Task, str]],
    riders: Sequence[Rider],
    records: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
) -> tuple[list[Column], list[str]]:
    """The metrics that count, as columns; and the stratum of each cluster, within which it is resampled.

    A stratum is a task in one language. All small tasks share the stratum "".

    Args:
        names: names of the settings, in order.
        tasks: (task, language asked) pairs.
        records: lines of the items files by (task, language).
    """
    found: list[tuple[str, str, str, Metric, list[list[tuple[str, float, float]]]]] = []
    for task, language in tasks:
        lines = records[task.name, language]
        marked = [marked_of(lines, name) for name in names]
        for metric in task.metrics:
            part = _part_of(task, metric)
            if part is not None:
                found.append((part, task.name, language, metric, [_cells(metric, one, task.name) for one in marked]))
    for rider in riders:
        for language in dict.fromkeys(language for _, language in tasks):
            ridden = [
                [
                    one
                    for task, spoken in tasks
                    if spoken == language
                    for one in rider_marked_of(records[task.name, language], name, rider.name, task.name)
                ]
                for name in names
            ]
            for metric in rider.metrics:
                if metric.primary and _counts(metric):
                    cells = [_cells(metric, one, None) for one in ridden]
                    found.append((_SAID.get(rider.axis, rider.axis), rider.name, language, metric, cells))
    # A cluster belongs to a task and a language. A rider's replies are in the clusters of the items they answer.
    keys = sorted({(language, key) for _, _, language, _, rows in found for row in rows for key, _, _ in row})
    place = {key: number for number, key in enumerate(keys)}
    made = []
    for part, task_name, language, metric, rows in found:
        sums, counts = np.zeros((len(names), len(keys))), np.zeros((len(names), len(keys)))
        for setting, row in enumerate(rows):
            for key, value, weight in row:
                sums[setting, place[language, key]] += value
                counts[setting, place[language, key]] += weight
        if counts.sum() > 0:
            kind = "share" if metric.unit == "share" else metric.unit
            made.append(
                Column(
                    part, task_name, language, metric.name, metric.title, kind, metric.better == "higher", sums, counts
                )
            )
    strata = [f"{language}\0{key.partition('/')[0]}" for language, key in keys]
    return made, ["" if strata.count(one) < LEAST_OF_A_TASK else one for one in strata]


def check_weights(tasks: Sequence[Task], riders: Sequence[Rider], weights: Mapping[str, float]) -> None:
    """Raise UsageError for weights of parts that these tasks cannot have. Called before any model is asked."""
    possible = [_part_of(task, metric) for task in tasks for metric in task.metrics]
    possible += [
        _SAID.get(rider.axis, rider.axis)
        for rider in riders
        for metric in rider.metrics
        if metric.primary and _counts(metric)
    ]
    _weights(list(dict.fromkeys(part for part in possible if part is not None)), weights)


def merits(
    found: Sequence[Column],
    strata: Sequence[str],
    weights: Mapping[str, float],
    *,
    seed: int,
    target: int = 0,
    against: int | None = None,
) -> Merits:
    """The figures of merit of all settings.

    Args:
        found, strata: from `columns`.
        weights: weight of each part; 1 for parts not named.
        target: index of the setting whose bits per byte are divided by those of each setting.
        against: index of the setting to compare the others with; None: the best one, chosen from the same data.

    Raises InputError if no metric counts, UsageError for weights of unknown parts, negative weights or weights that are
    all 0, MissingExtra without scipy.
    """
    need_scipy("Choosing a scale")
    parts = list(dict.fromkeys(column.part for column in found))
    if not parts:
        raise InputError("nothing that a figure of merit could be made of: no share and no bits per byte were measured")
    weight = _weights(parts, weights)
    drawn = _draws(strata, seed)
    # [draws, settings] of each part; the first row is the data as they are.
    by_part = {
        part: np.mean([_utility(one, drawn, target) for one in found if one.part == part], axis=0) for part in parts
    }
    whole = np.average([by_part[part] for part in parts], axis=0, weights=[weight[part] for part in parts])
    stretch = _Stretch.of(strata)
    ends = None if stretch is None else stretch.levels()
    best = int(np.argmax(whole[0])) if against is None else against
    differences, shows = _differences(whole, best, stretch, every_pair=against is None)
    return Merits(
        _spreads(whole, ends),
        {part: _spreads(values, ends) for part, values in by_part.items()},
        differences,
        shows,
        best,
    )


def _part_of(task: Task, metric: Metric) -> str | None:
    own = getattr(task, "part_of", None)
    if own is not None:
        return own(metric.name) if _counts(metric) else None
    if task.axis == "safety" and metric.name in _PATTERNS:
        return _PATTERNS[metric.name]
    return _SAID.get(task.axis, task.axis) if metric.primary and _counts(metric) else None


def _counts(metric: Metric) -> bool:
    """Whether a metric counts: a share averaged from marks of which one direction is better, or bits per byte."""
    if metric.unit == "bits per byte":
        return metric.name in _TEXTS
    return metric.unit == "share" and metric.mark is not None and metric.better != "neither"


def _cells(metric: Metric, marked: Sequence[Marked], task: str | None) -> list[tuple[str, float, float]]:
    """(cluster, numerator, denominator) of each answer. `task` is None for a rider, whose clusters name the task
    already."""
    found = []
    for one in marked:
        key = cluster_of(one) if task is None else f"{task}/{cluster_of(one)}"
        if metric.unit == "bits per byte":
            if one.answer.item.facets.get("text") == _TEXTS[metric.name]:
                found.append((key, -float(one.marks["nats"] or 0) / np.log(2), float(one.marks["bytes"] or 0)))
            continue
        value = value_of(metric, one)
        if value is not None:
            found.append((key, float(value), 1.0))
    return found


def _weights(parts: Sequence[str], given: Mapping[str, float]) -> dict[str, float]:
    unknown = [part for part in given if part not in parts]
    if unknown:
        raise UsageError(
            f"--weight {unknown[0]}: no such part of the figure of merit here; there are {', '.join(parts)}"
        )
    weights = {part: float(given.get(part, 1.0)) for part in parts}
    if min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise UsageError("--weight: weights must be 0 or more, and one of them above 0")
    return weights


def _draws(strata: Sequence[str], seed: int) -> NDArray[np.float64]:
    """[1 + RESAMPLES, C] float64: how often each cluster is drawn. The first row, all ones, is the data itself."""
    rng = np.random.default_rng(seed)
    drawn = np.ones((1 + RESAMPLES, len(strata)))
    for stratum in sorted(set(strata)):
        members = [number for number, one in enumerate(strata) if one == stratum]
        size = len(members)
        drawn[1:, members] = rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    return drawn


def _utility(column: Column, drawn: NDArray[np.float64], target: int) -> NDArray[np.float64]:
    """[draws, settings] utilities of one metric. A draw in which no answer counts gets the figure of the whole data; a
    setting that has no counted answer at all (all are empty, say) has utility 0."""
    counts = drawn @ column.counts.T
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(counts > 0, (drawn @ column.sums.T) / counts, np.nan)
    values = np.where(np.isnan(values), values[0], values)
    if column.kind == "bits per byte":
        values = np.minimum(1.0, values[:, [target]] / values)
    elif not column.higher:
        values = 1.0 - values
    return np.nan_to_num(values, nan=0.0)


def _spreads(values: NDArray[np.float64], ends: tuple[float, float] | None) -> tuple[Spread, ...]:
    if ends is None:
        return tuple(Spread(float(value), None, None) for value in values[0])
    low, high = np.quantile(values[1:], ends, axis=0)
    return tuple(Spread(float(v), float(a), float(b)) for v, a, b in zip(values[0], low, high, strict=True))


@dataclass(frozen=True)
class _Stretch:
    """Widens intervals for small samples. `size` is the mean number of clusters in a stratum; `degrees` the degrees of
    freedom."""

    size: float
    degrees: int

    @classmethod
    def of(cls, strata: Sequence[str]) -> _Stretch | None:
        """The stretch for these strata; None for fewer than LEAST_CLUSTERS clusters, whose spread says nothing."""
        number = len(set(strata))
        return None if len(strata) < LEAST_CLUSTERS else cls(len(strata) / number, len(strata) - number)

    def __call__(self, quantile: float) -> float:
        """Widen a quantile of the bootstrap; both are numbers of the bootstrap's standard errors."""
        from scipy.special import ndtr, stdtrit

        due = float(stdtrit(self.degrees, float(ndtr(quantile))))
        return due * (self.size / (self.size - 1)) ** 0.5

    def levels(self) -> tuple[float, float]:
        """The two quantile levels of the resampled figures that bound a 95 % interval."""
        low = NormalDist().cdf(-self(Z_95))
        return low, 1 - low


def _differences(
    whole: NDArray[np.float64], best: int, stretch: _Stretch | None, *, every_pair: bool
) -> tuple[tuple[Spread, ...], float | None]:
    """Each setting minus `best`, with max-T intervals over all pairs or only over the pairs with `best`; and the median
    half-width of the intervals (None without intervals)."""
    gaps = whole[0] - whole[0, best]
    if stretch is None:
        return tuple(Spread(float(gap), None, None) for gap in gaps), None
    largest = np.zeros(len(whole) - 1)
    errors = np.zeros(len(gaps))
    for first in range(len(gaps)) if every_pair else (best,):
        drawn = whole - whole[:, [first]]
        error = drawn[1:].std(axis=0)
        # A setting that never differs gives no ratio.
        ratios = np.abs(drawn[1:] - drawn[0]) / np.where(error > 0, error, np.inf)
        largest = np.maximum(largest, ratios.max(axis=1))
        if first == best:
            errors = error
    reach = stretch(float(np.quantile(largest, 0.95))) * errors
    found = tuple(Spread(float(gap), float(gap - one), float(gap + one)) for gap, one in zip(gaps, reach, strict=True))
    others = [one for number, one in enumerate(reach) if number != best]
    return found, float(np.median(others)) if others else None
