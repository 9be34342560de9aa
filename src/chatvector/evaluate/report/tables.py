# SPDX-License-Identifier: Apache-2.0
"""The tables of a report, each a selection of rows of the results: figures, differences, recovery, parts, gates."""

from __future__ import annotations

from collections.abc import Sequence

from chatvector.evaluate.report.blocks import Table
from chatvector.evaluate.report.view import View, label
from chatvector.evaluate.report.wording import NONE, number, p_text, recovered, shown, titled, verdict
from chatvector.evaluate.results import MetricRow, TaskRow


def headline(view: View) -> Table:
    """All primary figures, one column per model."""
    rows = [
        (
            label(task),
            titled(metric),
            *(view.cell(task, metric, name) for name in view.names),
            view.count(task, metric),
            _failed(view, task, metric),
        )
        for task, metric in view.headline()
    ]
    columns = ("task", "figure", *view.names, "n", "failed")
    return Table("Primary figures with their 95 % intervals", columns, tuple(rows), labels=2)


def _failed(view: View, task: TaskRow, metric: MetricRow) -> str:
    """The number of answers that could not be marked: `0`, or the counts by model."""
    counts = {name: row.failed for name in view.names if (row := view.asked(task, metric.name, name)) is not None}
    return ", ".join(f"{count} ({name})" for name, count in counts.items() if count) or "0"


def differences(view: View, pairs: Sequence[tuple[TaskRow, MetricRow]], caption: str, *, folded: bool = False) -> Table:
    """Differences to the reference for the given metrics, one row per metric and model."""
    rows: list[tuple[str, ...]] = []
    for task, metric in pairs:
        for name in view.compared:
            row = view.difference(task, metric.name, name)
            if row is None:
                continue
            rows.append(
                (
                    label(task),
                    titled(metric),
                    name,
                    shown(row.value, row.low, row.high, metric.unit, signed=True),
                    p_text(row),
                    NONE if row.detectable is None else number(row.detectable, metric.unit),
                    str(row.n),
                    verdict(row, metric),
                )
            )
    p = "p (Holm)" if all(metric.primary for _, metric in pairs) else "p"
    columns = ("task", "figure", "model", f"minus {view.results.reference}", p, "would show", "pairs", "finding")
    return Table(caption, columns, tuple(rows), labels=3, folded=folded)


def recovery(view: View) -> Table:
    """Share of the true chat model's gain."""
    rows = []
    for row in view.results.recovery:
        metric = view.results.metric(row.task, row.metric)
        gain = number(row.gain, metric.unit, signed=True)
        rows.append(
            (
                f"{row.task} ({row.language})",
                titled(metric),
                row.model,
                gain,
                recovered(row, view.results),
                str(row.n),
            )
        )
    caption = f"Share of the gain of {view.results.true_chat} over {view.results.reference} that a model has"
    return Table(caption, ("task", "figure", "model", "gain", "recovered", "items"), tuple(rows), labels=3)


def figures(view: View, task: TaskRow) -> Table:
    """All metrics of a task over all items."""
    rows = [
        (titled(metric), *(view.cell(task, metric, name) for name in view.names), view.count(task, metric))
        for metric in task.metrics
        if any(view.figure(task, metric.name, name) for name in view.names)
    ]
    return Table(f"{label(task)}: all figures", ("figure", *view.names, "n"), tuple(rows))


def by_facet(
    view: View, task: TaskRow, metrics: Sequence[MetricRow], facet: str, caption: str, *, folded: bool = True
) -> Table:
    """Metrics of a task split by a facet, one row per metric and value."""
    rows: list[tuple[str, ...]] = []
    for metric in metrics:
        for value in view.facets(task, metric.name).get(facet, ()):
            part = (facet, value)
            if any(view.figure(task, metric.name, name, part) for name in view.names):
                cells = [view.cell(task, metric, name, part) for name in view.names]
                rows.append((titled(metric), value, *cells, view.count(task, metric, part)))
    return Table(caption, ("figure", facet, *view.names, "n"), tuple(rows), labels=2, folded=folded)


def parts(view: View, task: TaskRow) -> list[Table]:
    """One table per facet of the task."""
    facets = dict.fromkeys(facet for metric in task.metrics for facet in view.facets(task, metric.name))
    found = [by_facet(view, task, task.metrics, facet, f"{label(task)}, by {facet}") for facet in facets]
    return [table for table in found if table.rows]


def gates(view: View) -> Table:
    """Required figures, and whether they are met."""
    rows = []
    for row in view.results.gates:
        unit = view.results.metric(row.task, row.metric).unit
        value = "no figure" if row.value is None else number(row.value, unit) + (" %" if unit == "share" else "")
        place = f"{row.task}/{row.metric} ({row.language})"
        rows.append((row.text, row.model, place, value, "met" if row.passed else "MISSED"))
    return Table("Required figures", ("required", "model", "figure", "value", ""), tuple(rows), labels=2)


def spread(view: View) -> Table:
    """Where the variance comes from, for tasks with several samples per item."""
    rows = []
    for row in view.results.spread:
        metric = view.results.metric(row.task, row.metric)
        means = NONE if row.of_sample_means is None else number(row.of_sample_means, metric.unit)
        variances = (f"{row.between_items:.3g}", f"{row.within_item:.3g}")
        rows.append((f"{row.task} ({row.language})", titled(metric), row.model, *variances, means))
    columns = ("task", "figure", "model", "variance of items", "of samples", "sd of the figure, draw to draw")
    return Table("Spread over several samples", columns, tuple(rows), labels=3, folded=True)
