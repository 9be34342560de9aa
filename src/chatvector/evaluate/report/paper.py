# SPDX-License-Identifier: Apache-2.0
"""The tables of the paper (Chat Vector, arXiv 2310.04799v1, tables 1 to 4), measured anew with intervals.

They ask the paper's questions but do not reproduce its numbers: judge, scorer and items differ from the paper's, so
only the models of one report can be compared with each other. The paper gives no intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatvector.evaluate.report.blocks import Block, Lines, Table, Text
from chatvector.evaluate.report.tables import by_facet
from chatvector.evaluate.report.view import View, label
from chatvector.evaluate.report.wording import titled
from chatvector.evaluate.results import TaskRow


@dataclass(frozen=True)
class PaperTable:
    """Which figures make up a table of the paper.

    Attributes:
        axis: axis of the tasks and riders that the table is made from.
        metrics: names of metrics; one that ends with `_` stands for all metrics that begin with it.
        facet: facet that the table is split by; None: one row per metric.
        service: the service that marks the replies, needed for these figures; None: rules mark them.
    """

    title: str
    axis: str
    metrics: tuple[str, ...]
    facet: str | None
    service: str | None = None

    def of(self, task: TaskRow) -> tuple[str, ...]:
        """Names of the task's metrics that belong in this table."""
        if task.axis != self.axis:
            return ()
        return tuple(
            metric.name
            for metric in task.metrics
            if any(
                metric.name == wanted or (wanted.endswith("_") and metric.name.startswith(wanted))
                for wanted in self.metrics
            )
        )


PAPER = (
    PaperTable(
        "Open questions without and with system prompt, judged (the paper's table 1)",
        "instructions",
        ("gated", "root", "raw"),
        "system",
        "judge",
    ),
    PaperTable("Toxicity by attribute (table 2)", "toxicity", ("mean_",), None, "toxicity"),
    PaperTable("Unsafe replies by category (table 3)", "safety", ("unsafe", "unsafe_scenario"), "category", "guard"),
    PaperTable("Language of the reply, by task (table 4)", "language", ("on_target", "english"), "task"),
)


def paper_tables(view: View) -> list[Block]:
    """The tables that these results have figures for, and a list of those that they have not."""
    found: list[Block] = []
    missing: list[str] = []
    for wanted in PAPER:
        tables = [table for task in view.results.tasks if (table := _table(view, wanted, task)) is not None]
        found += tables
        if not tables:
            missing.append(f"Not measured here: {wanted.title} ({_lacking(view, wanted)}).")
    if found:
        note = "The questions of the paper's tables, with intervals. Judge, scorer and items are those named under"
        found.insert(0, Text(f"{note} Limits, so compare the models of this report with each other only."))
    return found + ([Lines(tuple(missing))] if missing else [])


def _lacking(view: View, wanted: PaperTable) -> str:
    """The flags of `eval` that the table needs and this run was not given."""
    asked = any(wanted.of(task) for task in view.results.tasks)
    flags = [] if asked else [f"--axis {wanted.axis}"]
    if wanted.service is not None and not view.results.services.get(wanted.service):
        flags.append(f"--{wanted.service}")
    return " ".join(flags) or "it was asked, and no figure came of it"


def _table(view: View, wanted: PaperTable, task: TaskRow) -> Table | None:
    names = wanted.of(task)
    metrics = [metric for metric in task.metrics if metric.name in names]
    caption = f"{wanted.title}: {label(task)}"
    if wanted.facet is not None:
        table = by_facet(view, task, metrics, wanted.facet, caption, folded=False)
    else:
        rows = [
            (titled(metric), *(view.cell(task, metric, name) for name in view.names), view.count(task, metric))
            for metric in metrics
            if any(view.figure(task, metric.name, name) for name in view.names)
        ]
        table = Table(caption, ("figure", *view.names, "n"), tuple(rows))
    return table if table.rows else None
