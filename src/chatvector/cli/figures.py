# SPDX-License-Identifier: Apache-2.0
"""How figures of an evaluation are printed: shares in percent, everything with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatvector.evaluate.results import DifferenceRow, GateRow, Results


def figure_table(results: Results) -> str:
    """The primary figures over all items, a column a model, and of how many marks they are."""
    from chatvector.cli.describe import table
    from chatvector.evaluate.report.view import View, label
    from chatvector.evaluate.report.wording import titled

    view = View(results)
    rows = [
        [
            label(task),
            titled(metric),
            *(view.cell(task, metric, name) for name in view.names),
            view.count(task, metric),
        ]
        for task, metric in view.headline()
    ]
    return table(["95 % intervals", "figure", *view.names, "n"], rows)


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


def gate_lines(results: Results) -> list[str]:
    """What became of each required figure, and of how many marks it is."""
    from chatvector.evaluate.gates import figure_of

    rows = [(row, figure_of(row, results)) for row in results.gates]
    return [
        f"{'met' if row.passed else 'MISSED'}: {row.text}: {row.model}, {row.task} ({row.language}) {row.metric}"
        f" {counted(row)}{f', n {figure.n}' if figure and row.value is not None else ''}"
        for row, figure in rows
    ]


def counted(row: GateRow) -> str:
    """What counted, as a number."""
    return "no figure" if row.value is None else f"{row.value:.3g}"


def recovery_lines(results: Results) -> str:
    """Share of the true chat model's gain, a line a figure."""
    from chatvector.evaluate.report.wording import recovered

    lines = [f"share of the gain of {results.true_chat} over {results.reference}:"]
    for row in results.recovery:
        lines.append(f"  {row.model}, {row.task} ({row.language}) {row.metric}: {recovered(row, results)}")
    return "\n".join(lines)
