# SPDX-License-Identifier: Apache-2.0
"""Compares two results, or two models of one, item by item: what is better, what is worse, and is any drop too large.

Works from the items files, so that differences are paired even if the two models were evaluated on different days. Only
tasks of the same version are compared, and only items that are the same on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatvector.errors import InputError, UsageError, first_five
from chatvector.evaluate.gates import Address, countable, known_in, number, select
from chatvector.evaluate.records import marked_of, read_lines, rider_marked_of
from chatvector.evaluate.results import DifferenceRow, Results, TaskRow, read_results, results_path
from chatvector.evaluate.statistics.decisions import holm
from chatvector.evaluate.tally import Block, compare, difference_row
from chatvector.evaluate.task import Marked, Metric, Rider, Task

FORMAT = "chatvector-comparison/1"

Marking = Task | Rider
"""Object whose metrics hold the functions that compute figures from all marks at once (`Metric.aggregate`)."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a model in a results file. `text` is how messages name it."""

    text: str
    results: Results
    folder: Path
    model: str


@dataclass(frozen=True)
class Drop:
    """The largest drop that is allowed, `most`, in the metric's unit. `text` is what the user wrote."""

    text: str
    name: str
    most: float


@dataclass(frozen=True)
class DropRow:
    """One drop that was checked against its limit.

    `drop` is the size that counted. It is null if there is none, which does not pass; `why` then says what is missing.
    `pairs` is the number of answers that both sides have and that the figure counts.
    """

    text: str
    task: str
    language: str
    metric: str
    drop: float | None
    most: float
    passed: bool
    pairs: int
    why: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Differences second − first, and the drops that were checked."""

    first: Side
    second: Side
    rows: tuple[DifferenceRow, ...]
    drops: tuple[DropRow, ...]
    warnings: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """The document that `compare --json` prints."""
        return {
            "format": FORMAT,
            "first": {"results": str(self.first.folder), "model": self.first.model},
            "second": {"results": str(self.second.folder), "model": self.second.model},
            "differences": [row.model_dump(mode="json") for row in self.rows],
            "drops": [vars(row) for row in self.drops],
            "warnings": list(self.warnings),
        }


def read_side(text: str) -> Side:
    """Read a side written as `RESULTS` or `RESULTS:MODEL`. Without MODEL it is the only candidate; if the results hold
    several models, its name is added to the side's `text`.

    If a file or directory with the whole text as its name exists, the text is a path, colons included. Otherwise it is
    split at the first colon that follows an existing path. Raises UsageError, which lists the models, if the model is
    unknown or the choice is not clear; and what `read_results` raises.
    """
    place, model = Path(text), ""
    if not place.exists():
        for colon in (match.start() for match in re.finditer(":", text)):
            if Path(text[:colon]).exists():
                place, model = Path(text[:colon]), text[colon + 1 :]
                break
    results = read_results(place)
    names = [one.name for one in results.models]
    if not model:
        candidates = [one.name for one in results.models if one.part == "candidate"]
        if len(candidates) != 1:
            raise UsageError(f"{text}: which model? {', '.join(f'{place}:{name}' for name in names)}")
        (model,) = candidates
        text = f"{text}:{model}" if len(names) > 1 else text
    if model not in names:
        raise UsageError(f"{text}: no model {model!r} in there; it has {', '.join(names)}")
    return Side(text, results, results_path(place).parent, model)


def parse_drop(text: str) -> Drop:
    """Parse `METRIC=0.02` or `METRIC=2%`, where METRIC is a name as `--require` takes it. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--max-drop {text}: write METRIC=VALUE, such as 'memory=0.02' or 'all=2%'")
    most = number(value, f"--max-drop {text}")
    if most < 0:
        raise UsageError(f"--max-drop {text}: a drop is 0 or more")
    return Drop(text, name, most)


def compare_sides(
    first: Side,
    second: Side,
    marking: Mapping[str, Marking],
    *,
    drops: Sequence[Drop] = (),
    strict: bool = False,
    seed: int = 0,
) -> Comparison:
    """Differences second − first of all metrics of which one direction is better.

    Args:
        marking: tasks and riders by name, to compute figures of all marks. A figure of all marks whose task is not in
            it is left out, with a warning.
        strict: drops are judged by the worse end of the interval instead of the difference itself.

    Raises InputError if nothing can be compared, UsageError for a drop that no figure can have.
    """
    warnings: list[str] = []
    if (first.folder.resolve(), first.model) == (second.folder.resolve(), second.model):
        warnings.append(f"both sides are {first.model} of {first.folder}: nothing can differ")
    blocks = [
        (row, one) for row in second.results.tasks if (one := _block(row, first, second, marking, warnings)) is not None
    ]
    theirs = {(row.name, row.language) for row in second.results.tasks}
    warnings += [
        f"{row.name} ({row.language}) is only in {first.text}"
        for row in first.results.tasks
        if (row.name, row.language) not in theirs
    ]
    rows: list[DifferenceRow] = []
    primary: list[int] = []
    for _, block in blocks:
        for metric in block.metrics:
            found = compare(metric, block.marked["first"], block.marked["second"], seed)
            if found is not None:
                if metric.primary:
                    primary.append(len(rows))
                rows.append(difference_row(block, metric, second.model, first.model, found))
    if not rows:
        why = f": {first_five(warnings)}" if warnings else ""
        raise InputError(f"{first.text} and {second.text} have no item in common{why}")
    for at, p in zip(primary, holm([rows[at].p for at in primary]), strict=True):
        rows[at] = rows[at].model_copy(update={"p_holm": round(p, 6)})
    tasks = [*first.results.tasks, *second.results.tasks]
    known = [*known_in(first.results), *known_in(second.results)]
    better = {(row.name, metric.name): metric.better for row in tasks for metric in row.metrics}
    lost = {address: why for address, why in _lost(first, second, rows) if better[address[0], address[2]] != "neither"}
    seen = [found for drop in drops for found in _drops(drop, rows, lost, known, better, strict=strict)]
    warnings += dict.fromkeys(line for row in seen if (line := _thin(row, (first, second))))
    return Comparison(first, second, tuple(rows), tuple(seen), tuple(warnings))


def _thin(row: DropRow, sides: Sequence[Side]) -> str | None:
    """A warning if a drop was computed from fewer than half of the answers; else None."""
    figures = [
        one
        for side in sides
        for one in side.results.figures
        if (one.task, one.language, one.metric, one.model, one.facet)
        == (row.task, row.language, row.metric, side.model, None)
    ]
    asked = countable(figures, sides[0].results.metric(row.task, row.metric))
    if row.drop is None or 2 * row.pairs >= asked:
        return None
    return (
        f"{row.task} ({row.language}) {row.metric}: its drop counts {row.pairs} pairs, of {asked} answers; the others"
        " are left out or missing on a side"
    )


def _lost(first: Side, second: Side, rows: Sequence[DifferenceRow]) -> list[tuple[tuple[str, str, str], str]]:
    """Figures of the first side that have no difference, as ((task, language, metric), reason)."""
    measured = [
        {
            (one.task, one.language, one.metric)
            for one in side.results.figures
            if one.model == side.model and one.facet is None and one.value is not None
        }
        for side in (first, second)
    ]
    made = {(row.task, row.language, row.metric) for row in rows}
    return [
        (address, "not compared" if address in measured[1] else f"{second.text} has no figure")
        for address in sorted(measured[0] - made)
    ]


def _drops(
    drop: Drop,
    rows: Sequence[DifferenceRow],
    lost: Mapping[tuple[str, str, str], str],
    known: Sequence[Address],
    better: Mapping[tuple[str, str], str],
    *,
    strict: bool,
) -> list[DropRow]:
    found: list[DropRow] = []
    for address in select(drop.name, known, "--max-drop"):
        higher = better[address.task, address.metric] == "higher"
        for row in rows:
            if (row.task, row.metric) != (address.task, address.metric):
                continue
            worst = row.low if higher else row.high
            counted = worst if strict else row.value
            amount = None if counted is None else 0.0 - counted if higher else counted
            passed = amount is not None and amount <= drop.most
            why = "no interval" if amount is None else None
            found.append(DropRow(drop.text, row.task, row.language, row.metric, amount, drop.most, passed, row.n, why))
        found += [
            DropRow(drop.text, task, language, metric, None, drop.most, False, 0, why)
            for (task, language, metric), why in lost.items()
            if (task, metric) == (address.task, address.metric)
        ]
    if not found:
        raise UsageError(
            f"--max-drop {drop.text}: nothing could drop: neither way is good for it, or the first side has no figure"
        )
    return found


def _block(
    row: TaskRow, first: Side, second: Side, marking: Mapping[str, Marking], warnings: list[str]
) -> Block | None:
    """A task of the second side with both models' marks; None, with a warning, if the first side lacks it or has
    another version of it."""
    name = f"{row.name} ({row.language})"
    twin = next((one for one in first.results.tasks if (one.name, one.language) == (row.name, row.language)), None)
    if twin is None:
        warnings.append(f"{name} is only in {second.text}")
        return None
    if twin.version != row.version:
        warnings.append(f"{name} has version {twin.version} and {row.version}: not compared")
        return None
    sides = {"first": _marks(first, row), "second": _marks(second, row)}
    sides = _same_items(sides, name, warnings)
    metrics = _metrics(row, marking.get(row.name), warnings)
    items = tuple({one.answer.item.id: one.answer.item for listed in sides.values() for one in listed}.values())
    return Block(row.name, row.axis, row.version, row.language, metrics, items, sides, {}, row.rider)


def _marks(side: Side, row: TaskRow) -> list[Marked]:
    if not row.rider:
        (own,) = [one for one in side.results.tasks if (one.name, one.language) == (row.name, row.language)]
        return marked_of(read_lines(side.folder / (own.items_file or "")), side.model)
    found: list[Marked] = []
    for task in side.results.tasks:
        if task.items_file is not None and task.language == row.language:
            found += rider_marked_of(read_lines(side.folder / task.items_file), side.model, row.name, task.name)
    return found


def _same_items(sides: Mapping[str, list[Marked]], name: str, warnings: list[str]) -> dict[str, list[Marked]]:
    """Leave out items whose id is equal on both sides but whose content differs. Warn of these and of unshared
    items."""
    asked = [{one.answer.item.id: one.answer.item for one in listed} for listed in sides.values()]
    differ = {key for key in asked[0].keys() & asked[1].keys() if asked[0][key] != asked[1][key]}
    if differ:
        warnings.append(f"{name}: items that are not the same on both sides, left out: {len(differ)}")
    alone = len(asked[0].keys() ^ asked[1].keys())
    if alone:
        warnings.append(f"{name}: items that only one side has, left out: {alone}")
    return {side: [one for one in listed if one.answer.item.id not in differ] for side, listed in sides.items()}


def _metrics(row: TaskRow, marking: Marking | None, warnings: list[str]) -> tuple[Metric, ...]:
    """The metrics of which one direction is better. Those computed from all marks are left out, with a warning, unless
    `marking` has their code."""
    known = {} if marking is None else {metric.name: metric for metric in marking.metrics}
    found: list[Metric] = []
    for metric in row.metrics:
        if metric.better == "neither":
            continue
        coded = known.get(metric.name) if metric.mark is None else None
        if metric.mark is None and (coded is None or coded.aggregate is None):
            warnings.append(f"{row.name}/{metric.name} is computed by the task's own code: give it with --task")
            continue
        found.append(
            Metric(
                metric.name,
                metric.title,
                metric.mark,
                None if coded is None else coded.aggregate,
                kind="rate" if metric.kind == "rate" else "mean",
                better=metric.better,
                primary=metric.primary,
                unit=metric.unit,
                margin=metric.margin,
                counts=None if coded is None else coded.counts,
            )
        )
    return tuple(found)
