# SPDX-License-Identifier: Apache-2.0
"""Turns marked answers into rows of results: figures with intervals, paired differences, recovery, spread.

Answers are paired by (item, sample): what one model could not answer is left out for both. An item without a cluster is
a cluster of its own, so several samples of it are not taken to be independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import fmean
from typing import Any, Literal

from chatvector.errors import InputError
from chatvector.evaluate.results import DifferenceRow, FigureRow, MetricRow, RecoveryRow, SpreadRow
from chatvector.evaluate.statistics.bootstrap import figure_interval, mean_interval
from chatvector.evaluate.statistics.clusters import Estimate
from chatvector.evaluate.statistics.decisions import MARGIN, holm, non_inferior, smallest_detectable
from chatvector.evaluate.statistics.paired import Difference, figure_difference, mean_difference, rate_difference
from chatvector.evaluate.statistics.rates import Z_95, clustered_rate
from chatvector.evaluate.statistics.recovery import recovered
from chatvector.evaluate.statistics.spread import split
from chatvector.evaluate.task import Answer, Item, Marked, Metric

FAMILY = "primary metrics that have a good direction, all tasks and languages, every model against the reference"


@dataclass(frozen=True)
class Block:
    """One task (or rider) in one language, with the answers of every model that could be asked.

    Attributes:
        marked: marked answers by model, in the order of items and samples.
        failed: by model, the answers that could not be marked.
    """

    task: str
    axis: str
    version: str
    language: str
    metrics: tuple[Metric, ...]
    items: tuple[Item, ...]
    marked: Mapping[str, Sequence[Marked]] = field(default_factory=dict)
    failed: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    rider: bool = False


def metric_row(metric: Metric) -> MetricRow:
    """A metric as a row of the results."""
    kind: Literal["rate", "mean", "figure"] = metric.kind if metric.mark is not None else "figure"
    return MetricRow(
        name=metric.name,
        title=metric.title,
        mark=metric.mark,
        kind=kind,
        better=metric.better,
        primary=metric.primary,
        unit=metric.unit,
        margin=margin_of(metric),
        of_some=metric.of_some,
    )


def margin_of(metric: Metric) -> float | None:
    """By how much a model may be worse and still count as not worse, in the metric's unit; None: no margin."""
    if metric.better == "neither":
        return None
    return MARGIN if metric.margin is None and metric.unit == "share" else metric.margin


def cluster_of(marked: Marked) -> str:
    """The cluster that the answer is resampled with."""
    return marked.answer.item.cluster or marked.answer.item.id


def value_of(metric: Metric, marked: Marked) -> float | bool | None:
    """The mark that a metric averages; None if it does not apply. Raises InputError if its type does not fit the
    metric's kind."""
    mark = marked.marks.get(metric.mark or "")
    if mark is None or isinstance(mark, bool):
        return mark
    if metric.kind == "mean" and isinstance(mark, int | float) and isfinite(mark):
        return mark
    wanted = "true or false" if metric.kind == "rate" else "a finite number"
    raise InputError(
        f"{marked.answer.item.id}: mark {metric.mark!r} is {mark!r}, metric {metric.name!r} wants {wanted}"
    )


def _applies(metric: Metric, marked: Marked) -> bool:
    """Does the answer count in the metric?"""
    if metric.aggregate is None:
        return value_of(metric, marked) is not None
    return metric.counts is None or metric.counts(marked)


def estimate(metric: Metric, answers: Sequence[Marked], seed: int) -> tuple[Estimate | None, int]:
    """A figure with its interval (None if it has no value), and the number of answers that its mark does not apply
    to."""
    if not answers:
        return None, 0
    if metric.aggregate is not None:
        counted = [one for one in answers if _applies(metric, one)]
        keys = [cluster_of(one) for one in counted]
        return (figure_interval(counted, keys, metric.aggregate, seed=seed) if counted else None), 0
    values, keys = [], []
    for one in answers:
        value = value_of(metric, one)
        if value is not None:
            values.append(value)
            keys.append(cluster_of(one))
    left_out = len(answers) - len(values)
    if not values:
        return None, left_out
    if metric.kind == "rate":
        return clustered_rate(values, keys), left_out
    return mean_interval([float(value) for value in values], keys, seed=seed), left_out


def figures(block: Block, model: str, seed: int) -> list[FigureRow]:
    """Every metric of a model, over all items and by facet."""
    answers, failed = block.marked.get(model, ()), block.failed.get(model, ())
    rows = []
    for metric in block.metrics:
        rows.append(_figure(block, metric, model, answers, len(failed), seed))
        for facet in metric.by:
            for value in facet_values(block.items, facet):
                part = [one for one in answers if one.answer.item.facets.get(facet) == value]
                lost = sum(one.item.facets.get(facet) == value for one in failed)
                rows.append(_figure(block, metric, model, part, lost, seed, facet, value))
    return rows


def facet_values(items: Iterable[Item], facet: str) -> list[str]:
    """Values of a facet, sorted: numbers by size, then words."""

    def place(value: str) -> tuple[bool, float, str]:
        try:
            return False, float(value), value
        except ValueError:
            return True, 0.0, value

    return sorted({item.facets[facet] for item in items if facet in item.facets}, key=place)


def _figure(
    block: Block,
    metric: Metric,
    model: str,
    answers: Sequence[Marked],
    failed: int,
    seed: int,
    facet: str | None = None,
    facet_value: str | None = None,
) -> FigureRow:
    found, left_out = estimate(metric, answers, seed)
    return FigureRow(
        task=block.task,
        language=block.language,
        metric=metric.name,
        model=model,
        facet=facet,
        facet_value=facet_value,
        value=None if found is None else found.value,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        n=0 if found is None else found.count,
        clusters=0 if found is None else found.clusters,
        left_out=left_out,
        failed=failed,
        method="none: no value" if found is None else found.method,
    )


def paired(metric: Metric, *models: Sequence[Marked]) -> list[tuple[Marked, ...]]:
    """The answers that all models have and that the metric applies to, in the first model's order."""

    def by_key(answers: Sequence[Marked]) -> dict[tuple[str, int], Marked]:
        return {(one.answer.item.id, one.answer.sample): one for one in answers if _applies(metric, one)}

    first, *others = (by_key(answers) for answers in models)
    return [
        (one, *(other[key] for other in others)) for key, one in first.items() if all(key in other for other in others)
    ]


def compare(metric: Metric, first: Sequence[Marked], second: Sequence[Marked], seed: int) -> Difference | None:
    """Second − first on the answers that both have; None if there is no pair or the figure has no value."""
    pairs = paired(metric, first, second)
    if not pairs:
        return None
    keys = [cluster_of(pair[0]) for pair in pairs]
    if metric.aggregate is not None:
        # A pair is discordant if its marks differ; the answers themselves always differ.
        return figure_difference(
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            keys,
            metric.aggregate,
            same=lambda a, b: dict(a.marks) == dict(b.marks),
            seed=seed,
        )
    values: list[tuple[Any, Any]] = [(value_of(metric, pair[0]), value_of(metric, pair[1])) for pair in pairs]
    find = rate_difference if metric.kind == "rate" else mean_difference
    return find([value[0] for value in values], [value[1] for value in values], keys, seed=seed)


def difference_row(
    block: Block, metric: Metric, model: str, reference: str, found: Difference, p_holm: float | None = None
) -> DifferenceRow:
    """A difference as a row of the results."""
    interval, margin = found.interval, margin_of(metric)
    detectable = verdict = None
    if interval.low is not None and interval.high is not None:
        # From the width of the interval: for models that never differ the standard error would be 0.
        detectable = smallest_detectable((interval.high - interval.low) / (2 * Z_95))
        if margin is not None and metric.better != "neither":
            verdict = non_inferior(interval, margin, better=metric.better)
    return DifferenceRow(
        task=block.task,
        language=block.language,
        metric=metric.name,
        model=model,
        reference=reference,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=interval.count,
        clusters=interval.clusters,
        discordant=found.discordant,
        p=found.p,
        p_holm=p_holm,
        test=found.test,
        method=interval.method,
        detectable=detectable,
        not_worse=verdict,
    )


def differences(blocks: Sequence[Block], models: Sequence[str], reference: str, seed: int) -> list[DifferenceRow]:
    """Differences of all other models to the reference, for every metric of which one direction is better. p values are
    corrected by Holm within FAMILY."""
    found: list[tuple[Block, Metric, str, Difference]] = []
    for block in blocks:
        for model in models:
            if model == reference:
                continue
            for metric in block.metrics:
                if metric.better == "neither":
                    continue
                one = compare(metric, block.marked.get(reference, ()), block.marked.get(model, ()), seed)
                if one is not None:
                    found.append((block, metric, model, one))
    inside = [at for at, (_, metric, _, _) in enumerate(found) if metric.primary]
    corrected = dict(zip(inside, holm([found[at][3].p for at in inside]), strict=True))
    return [
        difference_row(block, metric, model, reference, one, corrected.get(at))
        for at, (block, metric, model, one) in enumerate(found)
    ]


def recovery(block: Block, model: str, reference: str, chat: str, seed: int) -> list[RecoveryRow]:
    """The share of the true chat model's gain that a model has, for the primary metrics of which one direction is
    better."""
    rows = []
    for metric in block.metrics:
        if not metric.primary or metric.better == "neither":
            continue
        sides = [block.marked.get(name, ()) for name in (model, reference, chat)]
        triples = paired(metric, *sides)
        if not triples:
            continue
        keys = [cluster_of(one[0]) for one in triples]
        if metric.aggregate is not None:
            ours, low, high = ([one[side] for one in triples] for side in range(3))
            found = recovered(ours, low, high, keys, metric.aggregate, seed=seed)
        else:
            values = [[float(value_of(metric, one) or 0) for one in triple] for triple in triples]
            ours, low, high = ([one[side] for one in values] for side in range(3))
            found = recovered(ours, low, high, keys, fmean, seed=seed)
        if found is None:
            continue
        share = found.share
        rows.append(
            RecoveryRow(
                task=block.task,
                language=block.language,
                metric=metric.name,
                model=model,
                gain=found.gain.value,
                value=None if share is None else share.value,
                low=None if share is None else share.low,
                high=None if share is None else share.high,
                n=len(triples),
            )
        )
    return rows


def spread(block: Block, model: str) -> list[SpreadRow]:
    """Variance between items and between samples, for every metric that averages a mark, if items have several
    samples."""
    rows = []
    for metric in block.metrics:
        if metric.mark is None:
            continue
        by_item: dict[str, list[float]] = {}
        for one in block.marked.get(model, ()):
            value = value_of(metric, one)
            if value is not None:
                by_item.setdefault(one.answer.item.id, []).append(float(value))
        found = split(list(by_item.values()))
        if found is not None:
            rows.append(
                SpreadRow(
                    task=block.task,
                    language=block.language,
                    metric=metric.name,
                    model=model,
                    between_items=found.between_items,
                    within_item=found.within_item,
                    of_sample_means=found.of_sample_means,
                )
            )
    return rows
