# SPDX-License-Identifier: Apache-2.0
"""How figures of an evaluation are printed: shares in percent, everything with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatvector.evaluate.results import DifferenceRow, MetricRow, Results


def shown(value: float | None, low: float | None, high: float | None, unit: str, *, signed: bool = False) -> str:
    """`98 (95–99)`: shares in percent, other units with three digits; without an interval the figure alone."""
    if value is None:
        return "–"
    numbers = [None if one is None else _number(one, unit, signed) for one in (value, low, high)]
    if numbers[1] is None or numbers[2] is None:
        return f"{numbers[0]}"
    between = " to " if signed else "–"
    return f"{numbers[0]} ({numbers[1]}{between}{numbers[2]})"


def _number(value: float, unit: str, signed: bool) -> str:
    sign = "+" if signed else ""
    if unit == "share":
        text = f"{100 * value:{sign}.1f}" if abs(value) < 0.0995 and value else f"{100 * value:{sign}.0f}"
    else:
        text = f"{value:{sign}.3g}"
    return text.replace("-", "−")


def figure_table(results: Results) -> str:
    """The primary figures over all items, a column a model."""
    from chatvector.cli.describe import table

    names = [model.name for model in results.models]
    found = {(row.task, row.language, row.metric, row.model): row for row in results.figures if row.facet is None}
    rows: list[list[str]] = []
    for task in results.tasks:
        for metric in primary(task.metrics):
            cells = [found.get((task.name, task.language, metric.name, name)) for name in names]
            if any(cells):
                label = f"{task.name} ({task.language})"
                rows.append(
                    [
                        label,
                        _title(metric),
                        *("–" if one is None else shown(one.value, one.low, one.high, metric.unit) for one in cells),
                    ]
                )
    return table(["95 % intervals", "figure", *names], rows)


def primary(metrics: Sequence[MetricRow]) -> list[MetricRow]:
    """The primary metrics; of a task without any, the first."""
    return [one for one in metrics if one.primary] or list(metrics[:1])


def _title(metric: MetricRow) -> str:
    return f"{metric.title}, %" if metric.unit == "share" else f"{metric.title}, {metric.unit}"


def difference_table(results: Results) -> str:
    """Primary differences to the reference, with corrected p values and what would have shown."""
    rows = [row for row in results.differences if row.p_holm is not None]
    return differences(rows, results, f"minus {results.reference}")


def differences(rows: Sequence[DifferenceRow], results: Results, title: str) -> str:
    """A table of differences; `results` knows their metrics' units."""
    from chatvector.cli.describe import table

    listed: list[list[str]] = []
    for row in rows:
        metric = results.metric(row.task, row.metric)
        p = row.p if row.p_holm is None else row.p_holm
        listed.append(
            [
                row.model,
                f"{row.task}/{row.metric} ({row.language}){', %' if metric.unit == 'share' else ''}",
                shown(row.value, row.low, row.high, metric.unit, signed=True),
                "< 0.001" if p < 0.001 else f"{p:.3f}",
                "–" if row.detectable is None else _number(row.detectable, metric.unit, signed=False),
                str(row.n),
            ]
        )
    return table([title, "", "difference", "p (Holm)", "would show", "pairs"], listed)


def recovery_lines(results: Results) -> str:
    """Share of the true chat model's gain, a line a figure."""
    lines = [f"share of the gain of {results.true_chat} over {results.reference}:"]
    for row in results.recovery:
        share = (
            "its gain cannot be told from 0"
            if row.value is None
            else f"{shown(row.value, row.low, row.high, 'share')} %"
        )
        lines.append(f"  {row.model}, {row.task} ({row.language}) {row.metric}: {share}")
    return "\n".join(lines)
