# SPDX-License-Identifier: Apache-2.0
"""Looks up results: the figure of a metric, task and model, over all items or over one value of a facet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from chatvector.evaluate.report.wording import NONE, primary, shown
from chatvector.evaluate.results import DifferenceRow, FigureRow, MetricRow, Results, TaskRow

Part = tuple[str | None, str | None]
"""(facet, value); (None, None) for all items."""
ALL: Part = (None, None)
Key = tuple[str, str, str, str, Part]


@dataclass(frozen=True)
class View:
    """Look-ups in a results file."""

    results: Results

    @property
    def names(self) -> list[str]:
        """Names of the models, in the command's order."""
        return [model.name for model in self.results.models]

    @property
    def compared(self) -> list[str]:
        """Names of the models that are compared with the reference, candidates first."""
        others = [model for model in self.results.models if model.part != "reference"]
        return [model.name for model in sorted(others, key=lambda model: model.part != "candidate")]

    @property
    def candidates(self) -> list[str]:
        """Names of the candidates; if there are none, the name of the first model."""
        return [model.name for model in self.results.models if model.part == "candidate"] or self.names[:1]

    @cached_property
    def _figures(self) -> dict[Key, FigureRow]:
        return {
            (row.task, row.language, row.metric, row.model, (row.facet, row.facet_value)): row
            for row in self.results.figures
        }

    @cached_property
    def _differences(self) -> dict[tuple[str, str, str, str], DifferenceRow]:
        return {(row.task, row.language, row.metric, row.model): row for row in self.results.differences}

    @cached_property
    def _parts(self) -> dict[tuple[str, str, str], dict[str, list[str]]]:
        found: dict[tuple[str, str, str], dict[str, list[str]]] = {}
        for row in self.results.figures:
            if row.facet is not None and row.facet_value is not None:
                values = found.setdefault((row.task, row.language, row.metric), {}).setdefault(row.facet, [])
                if row.facet_value not in values:
                    values.append(row.facet_value)
        return found

    def figure(self, task: TaskRow, metric: str, model: str, part: Part = ALL) -> FigureRow | None:
        """The row of a figure; None if the model was not asked or the figure has no value."""
        row = self._figures.get((task.name, task.language, metric, model, part))
        return None if row is None or row.value is None else row

    def asked(self, task: TaskRow, metric: str, model: str) -> FigureRow | None:
        """The row over all items, with or without a value; None if the model was not asked."""
        return self._figures.get((task.name, task.language, metric, model, ALL))

    def difference(self, task: TaskRow, metric: str, model: str) -> DifferenceRow | None:
        """The row of model minus reference; None if there is none."""
        return self._differences.get((task.name, task.language, metric, model))

    def facets(self, task: TaskRow, metric: str) -> dict[str, list[str]]:
        """Facets that the metric is split by, with their values in order."""
        return self._parts.get((task.name, task.language, metric), {})

    def cell(self, task: TaskRow, metric: MetricRow, model: str, part: Part = ALL) -> str:
        """The figure with its interval as text; `–` without a figure."""
        row = self.figure(task, metric.name, model, part)
        return NONE if row is None else shown(row.value, row.low, row.high, metric.unit)

    def count(self, task: TaskRow, metric: MetricRow, part: Part = ALL) -> str:
        """Number of marks that the models' figures were computed from: `40`, or `38–40` if the models differ."""
        rows = [self.figure(task, metric.name, name, part) for name in self.names]
        return count_text(row.n for row in rows if row is not None)

    def headline(self) -> Iterator[tuple[TaskRow, MetricRow]]:
        """(task, metric) pairs of the headline table: each task's primary metrics (`wording.primary`) that any model
        was asked."""
        for task in self.results.tasks:
            for metric in primary(task.metrics):
                if any(self.asked(task, metric.name, name) for name in self.names):
                    yield task, metric

    @property
    def axes(self) -> dict[str, list[TaskRow]]:
        """Tasks by axis, in the results' order."""
        found: dict[str, list[TaskRow]] = {}
        for task in self.results.tasks:
            found.setdefault(task.axis, []).append(task)
        return found


def count_text(counts: Iterable[int]) -> str:
    """Counts as text: `40`, `38–40` if they differ, `–` for none."""
    found = sorted(set(counts))
    return NONE if not found else str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"


def label(task: TaskRow) -> str:
    """Name and language of a task: `memory (ko)`."""
    return f"{task.name} ({task.language})"
