# SPDX-License-Identifier: Apache-2.0
"""Builds a report from results and items: which sections there are, and in which order. No model or network is used and
nothing is measured.

A section without content (recovery without a true chat model, gates that nobody set) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatvector.evaluate.report import tables
from chatvector.evaluate.report.blocks import Block, Code, Lines, Report, Section, Text
from chatvector.evaluate.report.charts import curves, forest
from chatvector.evaluate.report.hub import Benchmark, card_table, eval_results, model_index, yaml_of
from chatvector.evaluate.report.limits import limits, run_record
from chatvector.evaluate.report.paper import paper_tables
from chatvector.evaluate.report.samples import RULE, Records, samples
from chatvector.evaluate.report.view import View
from chatvector.evaluate.report.wording import NOT_EQUAL, finding, summary
from chatvector.evaluate.results import Results

HIDDEN = (
    "Prompts and replies of items that may hold harm are redacted: length, and the beginning of the text's SHA-256 that"
    " finds it in the items files. `chatvector report --show-harmful` shows them."
)
SHOWN = "Prompts and replies that may hold harm are shown, as asked for (--show-harmful)."


def document(
    results: Results,
    records: Mapping[tuple[str, str], Records],
    *,
    reveal: bool = False,
    benchmarks: Sequence[Benchmark] = (),
) -> Report:
    """The report as sections of blocks.

    Args:
        records: lines of the items files by (task, language).
        reveal: also show the texts of sensitive items.
        benchmarks: which tasks are benchmarks of the hub.

    Raises UsageError for a benchmark whose task or metric is not in the results.
    """
    view = View(results)
    sections = [
        Section("findings", "What was found", _findings(view)),
        Section("figures", "Figures", (tables.headline(view),) if results.figures else (Text("No figure."),)),
        Section("differences", f"Differences to {results.reference}", _differences(view)),
        Section("recovery", "Gain recovered", (tables.recovery(view),) if results.recovery else ()),
        Section("curves", "Curves", _curves(view)),
        Section("paper", "The paper's tables", tuple(paper_tables(view))),
        *_axes(view),
        Section("samples", "Samples", _samples(view, records, reveal=reveal)),
        Section("limits", "Limits", tuple(limits(view))),
        Section("card", "For the model card", _card(view, benchmarks)),
        Section("run", "Run record", tuple(run_record(view))),
    ]
    names = ", ".join(view.names)
    what = f"{results.suite} suite, " if results.suite else ""
    started = str(results.run.get("started", ""))[:10]
    subtitle = f"{what}{', '.join(results.languages)}; {_items(view)}{f'; {started}' if started else ''}"
    return Report(names, subtitle, tuple(section for section in sections if section.blocks))


def _items(view: View) -> str:
    asked = [task for task in view.results.tasks if not task.rider]
    return f"{sum(task.items for task in asked)} items of {len(asked)} tasks, asked of {len(view.names)} models"


def _findings(view: View) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if view.results.gates:
        blocks.append(tables.gates(view))
    if view.results.reference is None:
        blocks.append(Text("One model alone: its figures are below, and there is nothing to compare them with."))
    for name in view.compared if view.results.reference is not None else ():
        first, *rest = summary(view.results, name)
        blocks.append(Text(first))
        if rest:
            blocks.append(Lines(tuple(rest)))
    if any(finding(row) == "cannot be told apart" for row in view.results.differences):
        blocks.append(Text(NOT_EQUAL))
    return tuple(blocks)


def _differences(view: View) -> tuple[Block, ...]:
    if not view.results.differences:
        return ()
    chart = forest(view)
    table = tables.differences(view, list(view.headline()), "Paired differences, item by item")
    return (*([chart] if chart else []), *([table] if table.rows else [Text("No primary figure was compared.")]))


def _curves(view: View) -> tuple[Block, ...]:
    return tuple(chart for task in view.results.tasks for chart in curves(view, task))


def _axes(view: View) -> list[Section]:
    """One section per axis, with all figures, the differences outside the family, and every facet; then the spread."""
    found = []
    for axis, tasks in view.axes.items():
        blocks: list[Block] = []
        for task in tasks:
            table = tables.figures(view, task)
            if not table.rows:
                blocks.append(Text(f"{task.name} ({task.language}): no figure."))
                continue
            blocks.append(table)
            others = [(task, metric) for metric in task.metrics if not metric.primary]
            more = tables.differences(
                view, others, f"{task.name} ({task.language}): other differences, not corrected", folded=True
            )
            blocks += [more] if more.rows else []
            blocks += tables.parts(view, task)
        found.append(Section(f"axis-{axis}", f"Axis: {axis}", tuple(blocks)))
    spread = tables.spread(view)
    if spread.rows:
        found.append(Section("spread", "Several samples", (spread,)))
    return found


def _samples(view: View, records: Mapping[tuple[str, str], Records], *, reveal: bool) -> tuple[Block, ...]:
    found: list[Block] = []
    hidden = False
    for task in view.results.tasks:
        rows = records.get((task.name, task.language))
        if rows is None:
            continue
        chosen = samples(view, task, rows, reveal=reveal)
        if chosen is not None:
            found.append(chosen)
            hidden = hidden or any(record["item"].get("sensitive") for record in rows)
    if not found:
        return ()
    return (Text(RULE), *([Text(SHOWN if reveal else HIDDEN)] if hidden else []), *found)


def _card(view: View, benchmarks: Sequence[Benchmark]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for name in view.candidates:
        table = card_table(view, name)
        if not table.rows:
            continue
        blocks.append(table)
        blocks.append(Code(f"{name}: model-index, for the front matter of README.md", yaml_of(model_index(view, name))))
        entries = eval_results(view, name, benchmarks)
        if entries:
            blocks.append(Code(f"{name}: .eval_results/chatvector.yaml", yaml_of(entries)))
    if blocks and not benchmarks:
        blocks.append(
            Text(
                "No .eval_results entries: the hub takes them for data sets that it lists as benchmarks only. Where a"
                " task is one, say so: --benchmark TASK=OWNER/DATASET:TASK_ID."
            )
        )
    return tuple(blocks)
