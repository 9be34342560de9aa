# SPDX-License-Identifier: Apache-2.0
"""The ladder's report: sections about the ladder, then what `chatvector report` says about the results.

It depends on `ladder.json`, the results and their items only: the same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chatvector.evaluate.report import tables
from chatvector.evaluate.report.blocks import Block, Curves, Lines, Point, Report, Section, Series, Table, Text
from chatvector.evaluate.report.document import document
from chatvector.evaluate.report.html import html
from chatvector.evaluate.report.markdown import markdown
from chatvector.evaluate.report.samples import Records
from chatvector.evaluate.report.view import View, count_text
from chatvector.evaluate.report.wording import NOT_EQUAL, shown
from chatvector.evaluate.results import DifferenceRow, Results
from chatvector.lab.ladder import quoted

MERIT = (
    "Merit: one figure for a rung, the mean of its parts, each the mean of shares turned so that more is better; a"
    " choice and not a measurement (docs/sweep.md). On test items; the scale was chosen on others."
)


def files(told: Mapping[str, Any], results: Results, records: Mapping[tuple[str, str], Records]) -> dict[str, str]:
    """The files `report.html` and `report.md`: name → content. Raises MissingExtra without matplotlib."""
    found = report(told, results, records)
    return {"report.html": html(found, results.chatvector), "report.md": markdown(found)}


def report(told: Mapping[str, Any], results: Results, records: Mapping[tuple[str, str], Records]) -> Report:
    """The whole report. The ladder's sections come first; the paper's own figures come after the paper's tables."""
    usual = document(results, records)
    own = [
        Section("ladder", "The ladder", _ladder(told)),
        Section("scale", "The curve over scale", _curves(told, results)),
        Section("pairs", "Rung against rung", _pairs(told, results)),
    ]
    # Cards are for models that are published; rungs are not.
    rest = [section for section in usual.sections if section.id != "card"]
    at = next((number for number, section in enumerate(rest) if section.id == "paper"), 0) + 1
    rest.insert(at, Section("quoted", "The paper's own figures", quoted.blocks()))
    return replace(usual, title="The ladder", sections=tuple(one for one in (*own, *rest) if one.blocks))


def _ladder(told: Mapping[str, Any]) -> tuple[Block, ...]:
    parts = list(told["weights"])
    rows = []
    for rung in told["rungs"]:
        scale = "" if rung["scale"] is None else f"{rung['scale']:g}"
        merit = rung["merit"]
        cells = [""] * (1 + len(parts)) if merit is None else [_share(merit["merit"])]
        cells += [] if merit is None else [_share(merit["parts"][part]) for part in parts]
        rows.append((rung["title"], scale, *cells))
    if parts:
        rows.append(("n", "", "", *counts(told)))
    table = Table("All rungs on the test items, % (95 % intervals)", ("rung", "scale", "merit", *parts), tuple(rows))
    made = tuple((rung["title"], rung["made"], rung["how"] or "") for rung in told["rungs"])
    left = [f"Not built: {title} ({why})." for title, why in told["left_out"].items()]
    return (
        Lines(tuple(told["sentences"])),
        table,
        Text(MERIT),
        Table("What the rungs are", ("rung", "made of", "scale"), made),
        *([Lines(tuple(left))] if left else []),
        *([Text(NOT_EQUAL)] if told["pairs"] else []),
    )


def counts(told: Mapping[str, Any]) -> list[str]:
    """Number of answers that each part counts, for the report's row n: `40`, or `38–40` if the rungs differ."""
    merits = [rung["merit"] for rung in told["rungs"] if rung["merit"] is not None]
    return [count_text(merit["parts"][part]["n"] for merit in merits) for part in told["weights"]]


def _curves(told: Mapping[str, Any], results: Results) -> tuple[Block, ...]:
    """A chart of merit by scale on the test items with one line per rung, and a table with both halves and all
    parts."""
    curves = {title: one for title, one in told["curves"].items() if one}
    if not curves:
        return ()
    series = tuple(
        Series(title, number, tuple(_point(point["scale"], point["test"]["merit"]) for point in points))
        for number, (title, points) in enumerate(curves.items())
    )
    spoken = ". ".join(
        f"{title}: " + ", ".join(f"{one['scale']:g}: {_share(one['test']['merit'])}" for one in points)
        for title, points in curves.items()
    )
    chart = Curves("ladder-scale", "Merit by scale, test items", f"{spoken}.", "scale", True, series)
    rows = tuple(
        (
            title,
            f"{point['scale']:g}",
            _share(point["development"]["merit"]),
            _share(point["test"]["merit"]),
            *(_share(point["test"]["parts"][part]) for part in points[0]["test"]["parts"]),
        )
        for title, points in curves.items()
        for point in points
    )
    first = next(iter(curves.values()))
    columns = ("rung", "scale", "merit, to choose on", "merit, test", *first[0]["test"]["parts"])
    note = Text("Scale 0 has the chat format and its rows, and nothing else of the vector.")
    # Warnings of the results are in the section Limits.
    warnings = tuple(line for line in told["warnings"] if line not in results.warnings)
    return (
        chart,
        Table("By scale, % (95 % intervals); parts on the test items", columns, rows, labels=2),
        note,
        *([Lines(warnings)] if warnings else []),
    )


def _pairs(told: Mapping[str, Any], results: Results) -> tuple[Block, ...]:
    """One table of the primary differences per pair."""
    found: list[Block] = []
    for pair in told["pairs"]:
        rows = tuple(DifferenceRow.model_validate(row) for row in pair["differences"])
        view = View(results.model_copy(update={"differences": rows, "reference": pair["second"]}))
        # Only the first of a pair has differences to the second.
        caption = f"{pair['first']} minus {pair['second']}: {pair['about']}"
        table = tables.differences(view, list(view.headline()), caption)
        if table.rows:
            found.append(table)
    if found:
        found.append(Text(f"p values are corrected together (Holm) for: {told['family']}."))
    return tuple(found)


def _share(one: Mapping[str, float | None]) -> str:
    """A share with its interval, in percent."""
    return shown(one["value"], one["low"], one["high"], "share")


def _point(scale: float, one: Mapping[str, float | None]) -> Point:
    ends = [None if one[end] is None else 100 * float(one[end] or 0) for end in ("low", "high")]
    return Point(100 * float(one["value"] or 0), ends[0], ends[1], scale)


def merit_words(rungs: Sequence[Mapping[str, Any]]) -> str:
    """The merits of the rungs in words: `target 52 (51–53), target + τ 91 (89–92)`."""
    told = [f"{one['title']} {_share(one['merit']['merit'])}" for one in rungs if one["merit"] is not None]
    return ", ".join(told)


def merit_sentence(pair: Mapping[str, Any]) -> str:
    """The sentence that the merits of a pair support. It says which is higher only if the interval excludes 0."""
    one = pair["merit"]
    told = shown(one["value"], one["low"], one["high"], "share", signed=True)
    if one["low"] is None:
        verdict = "too few items for an interval, so that nothing can be said"
    elif one["low"] <= 0 <= one["high"]:
        verdict = "cannot be told apart"
    else:
        verdict = "higher" if one["value"] > 0 else "lower"
    return f"Merit of {pair['first']} minus {pair['second']} ({pair['about']}), points: {told}: {verdict}."
