# SPDX-License-Identifier: Apache-2.0
"""How figures of an evaluation are printed: shares in percent, everything with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatvector.evaluate.results import DifferenceRow, Results


def figure_table(results: Results) -> str:
    """The primary figures over all items, a column a model."""
    from chatvector.cli.describe import table
    from chatvector.evaluate.report.wording import primary, shown, titled

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
                        titled(metric),
                        *("–" if one is None else shown(one.value, one.low, one.high, metric.unit) for one in cells),
                    ]
                )
    return table(["95 % intervals", "figure", *names], rows)


def difference_table(results: Results) -> str:
    """Primary differences to the reference, with corrected p values and what would have shown."""
    rows = [row for row in results.differences if row.p_holm is not None]
    return differences(rows, results, f"minus {results.reference}")


def differences(rows: Sequence[DifferenceRow], results: Results, title: str) -> str:
    """A table of differences; `results` knows their metrics' units."""
    from chatvector.cli.describe import table
    from chatvector.evaluate.report.wording import number, p_text, shown

    listed: list[list[str]] = []
    for row in rows:
        metric = results.metric(row.task, row.metric)
        listed.append(
            [
                row.model,
                f"{row.task}/{row.metric} ({row.language}){', %' if metric.unit == 'share' else ''}",
                shown(row.value, row.low, row.high, metric.unit, signed=True),
                p_text(row),
                "–" if row.detectable is None else number(row.detectable, metric.unit),
                str(row.n),
            ]
        )
    return table([title, "", "difference", "p (Holm)", "would show", "pairs"], listed)


def recovery_lines(results: Results) -> str:
    """Share of the true chat model's gain, a line a figure."""
    from chatvector.evaluate.report.wording import recovered

    lines = [f"share of the gain of {results.true_chat} over {results.reference}:"]
    for row in results.recovery:
        lines.append(f"  {row.model}, {row.task} ({row.language}) {row.metric}: {recovered(row, results)}")
    return "\n".join(lines)
