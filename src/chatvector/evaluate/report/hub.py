# SPDX-License-Identifier: Apache-2.0
"""What model cards and the hub take from an evaluation: a section to paste, `model-index`, `.eval_results` entries.

The hub has two formats, as documented in 2026 (hub-docs `eval-results.md`; `EvalResult` and `EvalResultEntry` of
huggingface_hub): `model-index` in the card's front matter takes any task. `.eval_results/*.yaml` takes only results on
data sets that the hub lists as benchmarks, each by `dataset.id` and the `task_id` of the data set's own `eval.yaml`.
The user has to say which tasks these are; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatvector.errors import UsageError
from chatvector.evaluate.report.blocks import Table
from chatvector.evaluate.report.characters import one_line
from chatvector.evaluate.report.view import View, label
from chatvector.evaluate.report.wording import finding, shown, titled
from chatvector.evaluate.results import FigureRow, MetricRow, TaskRow

_BENCHMARK = re.compile(
    r"(?P<task>[^/=]+)(/(?P<metric>[^=]+))?=(?P<dataset>[\w.-]+/[\w.-]+):(?P<id>[\w.-]+)(@(?P<revision>[0-9a-f]{7,40}))?"
)


@dataclass(frozen=True)
class Benchmark:
    """A task that is a benchmark of the hub. `metric` None means the task's first primary metric."""

    task: str
    metric: str | None
    dataset: str
    task_id: str
    revision: str | None = None


def parse_benchmark(text: str) -> Benchmark:
    """Parse `TASK[/METRIC]=OWNER/DATASET:TASK_ID[@REVISION]`. Raises UsageError."""
    match = _BENCHMARK.fullmatch(text)
    if match is None:
        raise UsageError(f"--benchmark {text}: write TASK[/METRIC]=OWNER/DATASET:TASK_ID, the id as in its eval.yaml")
    return Benchmark(match["task"], match["metric"], match["dataset"], match["id"], match["revision"])


def card_table(view: View, model: str) -> Table:
    """A table of a model's primary figures and their differences to the reference."""
    rows = []
    reference = view.results.reference
    compared = reference is not None and reference != model
    for task, metric in view.headline():
        row = view.figure(task, metric.name, model)
        if row is None:
            continue
        cells = [label(task), titled(metric), view.cell(task, metric, model), str(row.n)]
        if compared:
            difference = view.difference(task, metric.name, model)
            cells.append(
                "–"
                if difference is None
                else f"{finding(difference)}: "
                + shown(difference.value, difference.low, difference.high, metric.unit, signed=True)
            )
        rows.append(tuple(cells))
    columns = ("task", "figure", "value (95 % interval)", "n", *([f"against {reference}"] if compared else []))
    return Table(f"Evaluation of {model}", columns, tuple(rows), labels=2)


def model_index(view: View, model: str) -> dict[str, Any]:
    """`model-index` of the card's front matter: the model's primary figures, one entry per task and
    language."""
    found: list[dict[str, Any]] = []
    for task in view.results.tasks:
        metrics = [
            {"type": metric.name, "value": _value(row, metric), "name": titled(metric)}
            for one, metric in view.headline()
            if one is task and (row := view.figure(task, metric.name, model)) is not None
        ]
        if metrics:
            found.append(
                {
                    "task": {"type": "text-generation", "name": "Text Generation"},
                    "dataset": {
                        "name": f"chatvector {label(task)}, version {task.version}",
                        "type": f"chatvector-{task.name}",
                        "config": task.language,
                    },
                    "metrics": metrics,
                }
            )
    return {"model-index": [{"name": model, "results": found}]}


def eval_results(view: View, model: str, benchmarks: Sequence[Benchmark]) -> list[dict[str, Any]]:
    """Entries of `.eval_results/*.yaml` for tasks that the user says are benchmarks of the hub.

    Raises UsageError for a task or metric that is not in the results.
    """
    found: list[dict[str, Any]] = []
    for one in benchmarks:
        tasks = [task for task in view.results.tasks if task.name == one.task]
        if not tasks:
            there = ", ".join(dict.fromkeys(task.name for task in view.results.tasks))
            raise UsageError(f"--benchmark {one.task}: no such task here; there are {there}")
        for task in tasks:
            metric = next((each for each in task.metrics if each.name == (one.metric or _first(task).name)), None)
            if metric is None:
                names = ", ".join(each.name for each in task.metrics)
                raise UsageError(f"--benchmark {one.task}/{one.metric}: no such metric here; there are {names}")
            row = view.figure(task, metric.name, model)
            if row is not None:
                found.append(_entry(view, one, metric, row))
    return found


def _entry(view: View, one: Benchmark, metric: MetricRow, row: FigureRow) -> dict[str, Any]:
    dataset = {"id": one.dataset, "task_id": one.task_id}
    if one.revision is not None:
        dataset["revision"] = one.revision
    started = view.results.run.get("started")
    interval = shown(row.value, row.low, row.high, metric.unit)
    notes = (
        f"{titled(metric)}: {interval}, n = {row.n}; chatvector {view.results.chatvector} {row.task} ({row.language})"
    )
    return {
        "dataset": dataset,
        "value": _value(row, metric),
        **({"date": started} if started else {}),
        "notes": notes,
    }


def _first(task: TaskRow) -> MetricRow:
    return next((metric for metric in task.metrics if metric.primary), task.metrics[0])


def _value(row: FigureRow, metric: MetricRow) -> float:
    """The figure's value; shares in percent, as on leaderboards."""
    value = row.value or 0.0
    return round(100 * value, 2) if metric.unit == "share" else value


def yaml_of(document: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """The document as YAML, with keys in their order and texts made visible on one line."""
    import yaml

    return yaml.safe_dump(_fit(document), sort_keys=False, allow_unicode=True, width=1000)


def _fit(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {key: _fit(one) for key, one in value.items()}
    return [_fit(one) for one in value] if isinstance(value, list | tuple) else value
