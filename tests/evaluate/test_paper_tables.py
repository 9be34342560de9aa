# SPDX-License-Identifier: Apache-2.0
"""The paper's tables in a report: what they are made from, and what is said of those that are missing."""

from __future__ import annotations

from typing import Any

import pytest

from chatvector.evaluate.catalogue import STANDARD
from chatvector.evaluate.report.paper import PAPER, PaperTable, paper_tables
from chatvector.evaluate.report.view import View
from report_results import RATE, results_of, rows_of


def test_the_papers_tables_are_made_from_their_facets() -> None:
    metric = RATE.model_copy(update={"name": "unsafe", "better": "lower"})
    figures = rows_of(
        "unsafe", {"old": {"insults": 0.75, "crimes": 0.5}, "new": {"insults": 0.25, "crimes": 0.0}}, "category"
    )
    results = results_of(metrics=(metric,), figures=figures, axis="safety")
    blocks = paper_tables(View(results))
    (table,) = [block for block in blocks if block.kind == "table"]
    assert "table 3" in table.caption
    assert table.columns == ("figure", "category", "old", "new", "n")
    assert table.rows == (
        ("right replies, %", "insults", "75 (65–85)", "25 (15–35)", "40"),
        ("right replies, %", "crimes", "50 (40–60)", "0 (−10 to 10)", "40"),
    )
    (missing,) = [block for block in blocks if block.kind == "lines"]
    assert [line.split(": ")[1].split(" (")[0] for line in missing.lines] == [
        "Open questions without and with system prompt, judged",
        "Toxicity by attribute",
        "Language of the reply, by task",
    ]


@pytest.mark.parametrize(
    ("axis", "services", "flags"),
    [
        ("facts", {}, "--axis safety --guard"),
        ("safety", {"guard": None}, "--guard"),
        ("facts", {"guard": {"model": "g"}}, "--axis safety"),
        ("safety", {"guard": {"model": "g"}}, "it was asked, and no figure came of it"),
    ],
)
def test_what_a_table_of_the_paper_lacks_is_named(axis: str, services: dict[str, Any], flags: str) -> None:
    metric = RATE.model_copy(update={"name": "unsafe", "better": "lower"})
    (lines,) = paper_tables(View(results_of(metrics=(metric,), axis=axis, services=services)))
    assert lines.kind == "lines"
    assert f"Not measured here: Unsafe replies by category (table 3) ({flags})." in lines.lines


@pytest.mark.parametrize("wanted", PAPER, ids=lambda wanted: wanted.axis)
def test_the_papers_tables_name_metrics_that_tasks_have(wanted: PaperTable) -> None:
    entries = [entry for entry in (*STANDARD.tasks, *STANDARD.riders) if entry.axis == wanted.axis]
    riders = {entry.name for entry in STANDARD.riders}
    found = set()
    for entry in entries:
        for metric in entry.make().metrics:
            # Riders are split by task, too: the runner sees to that.
            facets = {*metric.by, *(("task",) if entry.name in riders else ()), None}
            if wanted.facet in facets:
                found.add(metric.name)
    for name in wanted.metrics:
        assert any(one == name or (name.endswith("_") and one.startswith(name)) for one in found), name


def test_toxicity_by_attribute() -> None:
    metric = RATE.model_copy(update={"name": "mean_insult", "title": "mean insult", "unit": "score"})
    figures = rows_of("mean_insult", {"old": {"": 0.5}, "new": {"": 0.25}}, None)
    blocks = paper_tables(View(results_of(metrics=(metric,), figures=figures, axis="toxicity")))
    (table,) = [block for block in blocks if block.kind == "table"]
    assert table.rows == (("mean insult, score", "0.5 (0.4–0.6)", "0.25 (0.15–0.35)", "40"),)
