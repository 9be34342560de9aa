# SPDX-License-Identifier: Apache-2.0
"""Rung against rung, item by item; and one figure of merit for every rung."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from chatvector.errors import InputError
from chatvector.evaluate.comparison import Marking, Side, compare_sides
from chatvector.evaluate.merit import Merits as MeritFigures
from chatvector.evaluate.merit import Spread, columns, merits
from chatvector.evaluate.report.wording import judged, summary
from chatvector.evaluate.results import DifferenceRow, Results
from chatvector.evaluate.run import Evaluation
from chatvector.evaluate.statistics.decisions import holm
from chatvector.lab.ladder.asking import Asking
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import PAIRS, RUNGS

TITLES = {rung.key: rung.title for rung in RUNGS}
FAMILY = "primary figures of all pairs of rungs"


@dataclass(frozen=True)
class Pair:
    """The differences first − second of every metric that has a better direction, and the sentences that they
    support."""

    first: str
    second: str
    about: str
    rows: tuple[DifferenceRow, ...]
    sentences: tuple[str, ...]


def pairs_of(recipe: LadderRecipe, results: Results, folder: Path, asking: Asking, seed: int) -> tuple[Pair, ...]:
    """All comparisons of PAIRS whose rungs are built. The p values of all pairs are corrected together by Holm.
    `folder` is the directory of the items' files."""
    there = {rung.key for rung in recipe.wanted}
    marking: dict[str, Marking] = {job.task.name: job.task for job in asking.jobs}
    marking |= {rider.name: rider for rider in asking.riders}
    found: list[tuple[str, str, str, tuple[DifferenceRow, ...]]] = []
    for first, second, about in PAIRS:
        if {first, second} <= there:
            theirs, ours = (Side(TITLES[key], results, folder, TITLES[key]) for key in (second, first))
            try:
                rows = compare_sides(theirs, ours, marking, seed=seed).rows
            except InputError:
                rows = ()  # the two were asked nothing in common
            found.append((TITLES[first], TITLES[second], about, rows))
    primary = [row for *_, rows in found for row in rows if row.p_holm is not None]
    corrected = dict(zip(map(id, primary), holm([row.p for row in primary]), strict=True))
    pairs = []
    for first, second, about, rows in found:
        rows = tuple(
            row.model_copy(update={"p_holm": round(corrected[id(row)], 6)}) if id(row) in corrected else row
            for row in rows
        )
        told = results.model_copy(update={"differences": rows, "reference": second})
        pairs.append(Pair(first, second, about, rows, tuple(summary(told, first))))
    return tuple(pairs)


class Merits:
    """The figure of merit of every model on the test items, paired by item and computed as in a sweep
    (docs/sweep.md)."""

    def __init__(self, evaluation: Evaluation, asking: Asking, recipe: LadderRecipe) -> None:
        results = evaluation.results
        self.names = [model.name for model in results.models]
        asked = {(row.name, row.language): str(row.items_file) for row in results.tasks if row.items_file is not None}
        listed = [(job.task, job.language) for job in asking.jobs if (job.task.name, job.language) in asked]
        records = {
            (task.name, language): [
                json.loads(line) for line in evaluation.items[asked[task.name, language]].split("\n") if line
            ]
            for task, language in listed
        }
        self._columns, self._strata = columns(self.names, listed, asking.riders, records)
        self._recipe = recipe
        self._figures: dict[tuple[str, str, str], dict[str, int]] = {}
        for row in results.figures:
            if row.facet is None:
                self._figures.setdefault((row.task, row.language, row.metric), {})[row.model] = row.n

    def counted(self) -> dict[str, list[int]]:
        """Part → number of marks that it counts for each model, summed over the part's metrics."""
        found: dict[str, list[int]] = {}
        for column in self._columns:
            rows = self._figures[column.task, column.language, column.metric]
            before = found.get(column.part, [0] * len(self.names))
            found[column.part] = [one + rows.get(name, 0) for one, name in zip(before, self.names, strict=True)]
        return found

    def __bool__(self) -> bool:
        """Whether any metric counts in the merit."""
        return bool(self._columns)

    def against(self, name: str) -> MeritFigures:
        """All figures, and the differences from the model `name` with intervals that hold for all of them together."""
        recipe = self._recipe
        return merits(
            self._columns,
            self._strata,
            recipe.weights,
            seed=recipe.ask.seed,
            target=0,
            against=self.names.index(name),
        )

    def difference(self, first: str, second: str) -> Spread:
        """The difference of the merits, first − second."""
        return self.against(second).differences[self.names.index(first)]


def findings(pair: Pair, results: Results) -> dict[str, int]:
    """Numbers of primary figures that are better, worse, and open (they cannot be told apart or have no interval)."""
    counts = {"better": 0, "worse": 0, "open": 0}
    for row in pair.rows:
        metric = results.metric(row.task, row.metric)
        if metric.primary:
            counts[judged(row, metric)] += 1
    return counts
