# SPDX-License-Identifier: Apache-2.0
"""Reports what a sweep found: in words that the numbers support, and as `sweep.json`, format `chatvector-sweep/1`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from chatvector import __version__
from chatvector.evaluate.halves import HALVES, Half
from chatvector.evaluate.merit import Merits, Spread
from chatvector.evaluate.results import DifferenceRow, FigureRow, Results
from chatvector.evaluate.statistics.decisions import holm
from chatvector.evaluate.sweep import Measured, Sweep

FORMAT = "chatvector-sweep/1"
ITEMS: Mapping[Half, str] = {"development": "items to choose on", "test": "test items"}
"""What reports call the items of each half."""
FORMULA = (
    "merit = Σ weight·part / Σ weight; part = mean of its metrics' utilities; utility = share, or 1 − share where lower"
    " is better, or bits per byte of the target over its own, at most 1"
)


def document(found: Sweep, command: Sequence[str]) -> dict[str, Any]:
    """The content of `sweep.json`. All of it but `run` is the same for the same models, items and seeds.

    `command` has two parts: the arguments of `apply` before the scale, and those after it.
    """
    development, test = (found.halves[half] for half in HALVES)
    chosen = found.settings[found.chosen]
    results = test.evaluation.results
    return {
        "format": FORMAT,
        "chatvector": __version__,
        "suite": found.wanted.suite,
        "seed": found.wanted.seed,
        "limit": found.wanted.limit,
        "languages": list(results.languages),
        "tasks": [[row.name, row.language] for row in results.tasks if not row.rider],
        "items": {half: _items(found.halves[half]) for half in HALVES},
        "formula": FORMULA,
        "weights": {part: found.wanted.weights.get(part, 1.0) for part in development.merits.parts},
        "scales": [
            {
                "scale": one.rules.scale,
                **{half: _point(found.halves[half].merits, number) for half in HALVES},
                "told_from_chosen": number not in development.merits.not_worse,
                "on_front": number in development.merits.front,
            }
            for number, one in enumerate(found.settings)
        ],
        "chosen": chosen.rules.scale,
        "shows": development.merits.shows,
        "figures": [row.model_dump(mode="json") for row in at_chosen(found)],
        "gains": gains(found),
        "groups": None if found.groups is None else _groups(found.groups),
        "warnings": warnings_of({half: found.halves[half].evaluation.results.warnings for half in HALVES}),
        "answer": answer(found),
        "apply": apply_line(found, command),
        "run": {
            "changes": len(found.seconds),
            "median_change_seconds": round(median(found.seconds), 6),
            **{half: found.halves[half].evaluation.results.run for half in HALVES},
        },
    }


def warnings_of(lines: Mapping[Half, Sequence[str]]) -> list[str]:
    """The warnings of both halves. A warning that only one half has begins with the name of that half's items."""
    development, test = (lines[half] for half in HALVES)
    both = [line for line in development if line in test]
    alone = [f"{title}, {line}" for half, title in ITEMS.items() for line in lines[half] if line not in both]
    return [*both, *alone]


def text_of(told: Mapping[str, Any]) -> str:
    """The content of the file."""
    return json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def apply_line(found: Sweep, command: Sequence[str]) -> str:
    """The command that writes the model at the chosen scale."""
    head, tail = command
    return f"chatvector apply {head} {found.settings[found.chosen].flags} {tail}"


def at_chosen(found: Sweep) -> list[FigureRow]:
    """Primary figures over all test items at the chosen scale."""
    results = found.halves["test"].evaluation.results
    name = found.settings[found.chosen].name
    return [row for row in results.figures if row.model == name and row.facet is None and _is_primary(results, row)]


def gains(found: Sweep) -> list[dict[str, Any]]:
    """Primary differences of the chosen scale to the target on the test items. Holm's correction covers only these,
    since no other scale is tested there."""
    results = found.halves["test"].evaluation.results
    name = found.settings[found.chosen].name
    rows = [row for row in results.differences if row.model == name and _is_primary(results, row)]
    corrected = holm([row.p for row in rows])
    return [{**row.model_dump(mode="json"), "p_holm": round(p, 6)} for row, p in zip(rows, corrected, strict=True)]


def answer(found: Sweep) -> str:
    """A few sentences: which scale to take, which scales cannot be told from it, and its figures on the test items."""
    development, test = (found.halves[half] for half in HALVES)
    settings, chosen = found.settings, found.chosen
    names = [one.name for one in settings]
    target = names.index("0")
    same = [number for number in development.merits.not_worse if number != chosen]
    parts: list[str] = []
    if chosen == target:
        parts.append(
            "Take no vector: on the development items no scale was better than 0, the target with the chat format."
        )
    elif target in same:
        parts.append(
            f"{names[chosen]} was best, but cannot be told from 0: these items do not show that the vector helps."
        )
    else:
        parts.append(f"Take {names[chosen]}.")
    tried = f"{len(settings)} scales tried, intervals corrected for them all"
    if same:
        parts.append(f"{_ranges([*same, chosen], names)} cannot be told apart on the development items ({tried}).")
    else:
        parts.append(f"It is told from every other scale on the development items ({tried}).")
    if development.merits.shows is not None:
        parts.append(f"Differences of merit under {100 * development.merits.shows:.0f} points do not show.")
    if chosen != target:
        shown = ", ".join(
            f"{part} {_share(values[chosen])} (0: {_share(values[target])})"
            for part, values in test.merits.parts.items()
        )
        parts.append(f"On test items at {names[chosen]}, in % of the best possible: {shown}.")
    return " ".join(parts)


def _ranges(numbers: Sequence[int], names: Sequence[str]) -> str:
    """The names, with runs of neighbours written as `0.5–1`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = [names[run[0]] if len(run) == 1 else f"{names[run[0]]}–{names[run[-1]]}" for run in runs]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def _share(one: Spread) -> str:
    """The figure in percent with its interval: `67 [55–77]`."""
    if one.low is None or one.high is None:
        return f"{100 * one.value:.0f}"
    return f"{100 * one.value:.0f} [{100 * one.low:.0f}–{100 * one.high:.0f}]"


def _is_primary(results: Results, row: FigureRow | DifferenceRow) -> bool:
    return results.metric(row.task, row.metric).primary


def _items(measured: Measured) -> int:
    return sum(row.items for row in measured.evaluation.results.tasks if not row.rider)


def _point(found: Merits, number: int) -> dict[str, Any]:
    return {
        "merit": found.merit[number].as_json(),
        "parts": {part: values[number].as_json() for part, values in found.parts.items()},
        "minus_chosen": found.differences[number].as_json(),
    }


def _groups(measured: Measured) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "group": one.group, "kind": one.kind, "flags": one.flags, **_point(measured.merits, number)}
        for number, one in enumerate(measured.settings)
        if number > 0
    ]
