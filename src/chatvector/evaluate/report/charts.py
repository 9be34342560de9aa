# SPDX-License-Identifier: Apache-2.0
"""The charts of a report: differences to the reference, and figures along facets whose values are numbers (memory by
distance).

The numbers of every chart are in a table too; charts carry a description for readers who cannot see them.
"""

from __future__ import annotations

from chatvector.evaluate.report.blocks import Curves, Forest, Point, Series
from chatvector.evaluate.report.view import View, label
from chatvector.evaluate.report.wording import NONE, finding, shown, titled
from chatvector.evaluate.results import MetricRow, TaskRow

MOST_GROUPS = 40
"""Most figures in one chart of differences; nobody reads more."""


def forest(view: View) -> Forest | None:
    """The chart of primary differences of shares, with signs turned so that better is to the right; None if there are
    none."""
    groups: list[tuple[str, tuple[Series, ...]]] = []
    counts = {"better": 0, "worse": 0, "open": 0}
    for task, metric in view.headline():
        if metric.unit != "share" or metric.better == "neither":
            continue
        series = []
        for name in view.compared:
            row = view.difference(task, metric.name, name)
            if row is None:
                continue
            turn = 100 if metric.better == "higher" else -100
            low, high = (None, None) if row.low is None or row.high is None else (turn * row.low, turn * row.high)
            point = Point(turn * row.value, low, high) if turn > 0 else Point(turn * row.value, high, low)
            series.append(Series(name, view.names.index(name), (point,)))
            told = finding(row) in ("higher", "lower")
            counts["open" if not told else "better" if point.value > 0 else "worse"] += 1
        if series:
            less = " ↓" if metric.better == "lower" else ""
            groups.append((f"{label(task)}: {metric.title}{less}", tuple(series)))
    if not groups:
        return None
    shown_groups = tuple(groups[:MOST_GROUPS])
    measured = [
        metric for task, metric in view.headline() if any(view.difference(task, metric.name, n) for n in view.compared)
    ]
    others = any(metric.unit != "share" for metric in measured)
    cut = " Figures in other units are in the table only." if others else ""
    cut += f" The first {MOST_GROUPS} of {len(groups)} figures." if len(groups) > MOST_GROUPS else ""
    return Forest(
        "differences-chart",
        f"Differences to {view.results.reference} with 95 % intervals, in points. To the right is better, where"
        f" less is better (↓) too.{cut}",
        f"{counts['better']} differences are on the better side of 0, {counts['worse']} on the worse,"
        f" {counts['open']} cannot be told from 0. The numbers are in the table of differences.",
        f"← worse · points · better than {view.results.reference} →",
        shown_groups,
    )


def curves(view: View, task: TaskRow) -> list[Curves]:
    """One chart for each primary metric and each facet that has two or more values, all of them numbers."""
    found = []
    for metric in task.metrics:
        if not metric.primary:
            continue
        for facet, values in view.facets(task, metric.name).items():
            numbers = [_number(value) for value in values]
            if len(numbers) > 1 and None not in numbers:
                chart = _curve(view, task, metric, facet, values)
                if chart is not None:
                    found.append(chart)
    return found


def _curve(view: View, task: TaskRow, metric: MetricRow, facet: str, values: list[str]) -> Curves | None:
    percent = metric.unit == "share"
    scale = 100 if percent else 1
    series, spoken = [], []
    for place, name in enumerate(view.names):
        points, words = [], []
        for value in values:
            row = view.figure(task, metric.name, name, (facet, value))
            if row is not None and row.value is not None:
                ends = (row.low, row.high) if row.low is not None and row.high is not None else (None, None)
                scaled = [None if end is None else scale * end for end in ends]
                points.append(Point(scale * row.value, scaled[0], scaled[1], float(value)))
            words.append(f"{value}: {NONE if row is None else shown(row.value, row.low, row.high, metric.unit)}")
        if points:
            series.append(Series(name, place, tuple(points)))
            spoken.append(f"{name}: {', '.join(words)}")
    if not series:
        return None
    return Curves(
        f"curve-{task.name}-{task.language}-{metric.name}-{facet}",
        f"{label(task)}: {titled(metric)}, by {facet}",
        f"By {facet}, with 95 % intervals. {'. '.join(spoken)}.",
        facet,
        percent,
        tuple(series),
    )


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
