# SPDX-License-Identifier: Apache-2.0
"""Two results item by item: what is compared, what is left out, and which drops are too large."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.comparison import Comparison, compare_sides, parse_drop, read_side
from chatvector.evaluate.request import Job, Request
from chatvector.evaluate.run import Evaluation, evaluate
from small_tasks import CAPITALS, Capitals, Scripted, Shouting, knows, model

BASE, GOOD = Scripted("base", knows("France")), Scripted("good", knows(*CAPITALS))
MARKING = {"capitals": Capitals(), "shouting": Shouting()}


def save(found: Evaluation, folder: Path) -> str:
    for name, content in {"results.json": found.results.text(), **found.items}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    return str(folder)


def run(*backends: Scripted, task: Capitals | None = None, limit: int | None = None) -> Evaluation:
    return evaluate(Request(tuple(map(model, backends)), (Job(task or Capitals(), "en", limit),), (Shouting(),)))


def compared(first: str, second: str, **more: object) -> Comparison:
    return compare_sides(read_side(first), read_side(second), MARKING, **more)  # type: ignore[arg-type]


def test_two_runs_give_what_one_run_gives(tmp_path: Path) -> None:
    together = run(BASE, GOOD)
    one, two = save(run(BASE), tmp_path / "one"), save(run(GOOD), tmp_path / "two")
    assert list(compared(one, two).rows) == list(together.results.differences)


def test_two_models_of_one_run(tmp_path: Path) -> None:
    both = save(run(BASE, GOOD), tmp_path)
    found = compared(f"{both}:base", both)
    assert (found.first.model, found.second.model) == ("base", "good"), "the only candidate"
    assert found.second.text == f"{both}:good", "named where there are several"
    assert found.warnings == ()
    back = compared(f"{both}/results.json:good", f"{both}:base")
    assert back.rows[0].value == -found.rows[0].value


def test_a_path_with_a_mark_in_it_is_a_path(tmp_path: Path) -> None:
    place = save(run(GOOD), tmp_path / "a:b")
    assert read_side(place).model == "good"
    assert read_side(f"{place}:good").model == "good"


def test_which_model_is_asked_for(tmp_path: Path) -> None:
    place = save(run(BASE, GOOD, replace(GOOD, name="third")), tmp_path)
    with pytest.raises(UsageError, match=r"which model\? .*:base, .*:good, .*:third"):
        read_side(place)
    with pytest.raises(UsageError, match="no model 'fourth' in there; it has base, good, third"):
        read_side(f"{place}:fourth")


def test_drops(tmp_path: Path) -> None:
    both = save(run(BASE, GOOD), tmp_path)
    fine = compared(f"{both}:base", both, drops=[parse_drop("capitals=2%")])
    assert [(row.drop, row.passed) for row in fine.drops] == [(pytest.approx(-10 / 12, abs=1e-6), True)]
    worse = compared(both, f"{both}:base", drops=[parse_drop("facts=0.02"), parse_drop("capitals/balanced=1")])
    assert [row.passed for row in worse.drops] == [False, True]


def test_strict_drops_count_the_far_end(tmp_path: Path) -> None:
    almost = Scripted("almost", knows("France", "Japan", "Korea", "Peru", "Cuba"))
    both = save(run(GOOD, almost), tmp_path)
    point = compared(f"{both}:good", both, drops=[parse_drop("capitals=0.2")])
    bound = compared(f"{both}:good", both, drops=[parse_drop("capitals=0.2")], strict=True)
    assert (point.drops[0].passed, bound.drops[0].passed) == (True, False)
    assert bound.drops[0].drop == -(bound.rows[0].low or 0.0)


def test_a_drop_that_counts_few_of_the_answers_is_a_warning(tmp_path: Path) -> None:
    both = save(run(GOOD, Scripted("shy", knows("Peru", otherwise=""))), tmp_path)
    found = compared(f"{both}:good", f"{both}:shy", drops=[parse_drop("shouting=0"), parse_drop("capitals=1")])
    assert [(row.task, row.pairs, row.passed) for row in found.drops] == [("shouting", 2, True), ("capitals", 12, True)]
    assert found.warnings == (
        "shouting (en) loud: its drop counts 2 pairs, of 12 answers; the others are left out or missing on a side",
    )


def test_where_less_is_better_a_rise_is_a_drop(tmp_path: Path) -> None:
    loud = Scripted("loud", knows(otherwise="PLEASE"))
    both = save(run(BASE, loud), tmp_path)
    (row,) = compared(f"{both}:base", both, drops=[parse_drop("shouting=0.5")]).drops
    assert (row.drop, row.passed) == (1.0, False)


@pytest.mark.parametrize("text", ["capitals", "capitals=", "=1", "capitals=x", "capitals=-0.1", "all=nan", "all=inf%"])
def test_what_is_no_drop(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--max-drop "):
        parse_drop(text)


def test_a_drop_of_something_unknown(tmp_path: Path) -> None:
    both = save(run(BASE, GOOD), tmp_path)
    with pytest.raises(UsageError, match="--max-drop speed: no such figure here"):
        compared(f"{both}:base", both, drops=[parse_drop("speed=1")])
    with pytest.raises(UsageError, match="neither way is good"):
        compared(f"{both}:base", both, drops=[parse_drop("capitals/characters=1")])


@pytest.mark.parametrize("gate", ["all=2%", "capitals=2%"])
def test_a_figure_that_only_the_first_side_has_does_not_pass(tmp_path: Path, gate: str) -> None:
    """The second side was not asked the task, or all its replies failed there."""
    jobs = Job(Capitals(), "en"), Job(Capitals(name="towns"), "en")
    calls = iter(range(24))
    failing = Scripted("failing", lambda _: None if next(calls) < 12 else "Rome")
    whole = save(evaluate(Request((model(GOOD),), jobs)), tmp_path / "whole")
    part = save(evaluate(Request((model(GOOD),), jobs[1:])), tmp_path / "part")
    lost = save(evaluate(Request((model(failing),), jobs)), tmp_path / "lost")
    marking = {"towns": Capitals(name="towns"), **MARKING}
    for other in (part, lost):
        found = compare_sides(read_side(whole), read_side(other), marking, drops=[parse_drop(gate)])
        missed = [row for row in found.drops if row.task == "capitals"]
        assert [(row.metric, row.drop, row.passed, row.why) for row in missed] == [
            ("accuracy", None, False, f"{other} has no figure")
        ]
        assert (f"capitals (en) is only in {whole}" in found.warnings) == (other == part)
    assert all(row.passed for row in compare_sides(read_side(part), read_side(whole), marking).drops)


def test_another_version_is_not_compared(tmp_path: Path) -> None:
    one = save(run(BASE), tmp_path / "one")
    two = save(run(GOOD, task=Capitals(version="2")), tmp_path / "two")
    found = compared(one, two)
    assert {row.task for row in found.rows} == {"shouting"}
    assert any("capitals (en) has version 1 and 2: not compared" in line for line in found.warnings)


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    one, two = (
        save(evaluate(Request((model(BASE),), (Job(Capitals(version=version), "en"),))), tmp_path / version)
        for version in "12"
    )
    with pytest.raises(InputError, match=r"no item in common: capitals \(en\) has version 1 and 2"):
        compared(one, two)


def test_items_of_one_side_only_are_left_out_and_said(tmp_path: Path) -> None:
    one, two = save(run(BASE, limit=4), tmp_path / "one"), save(run(GOOD), tmp_path / "two")
    found = compared(one, two)
    assert found.rows[0].n == 4
    assert any("items that only one side has, left out: 8" in line for line in found.warnings)


def test_items_that_changed_are_left_out_and_said(tmp_path: Path) -> None:
    one, two = save(run(BASE), tmp_path / "one"), save(run(GOOD), tmp_path / "two")
    path = tmp_path / "two" / "items" / "capitals.en.jsonl"
    path.write_text(path.read_text("utf-8").replace("capital of Peru?", "chief town of Peru?"), "utf-8")
    found = compared(one, two)
    assert found.rows[0].n == 11
    assert any(
        "capitals (en): items that are not the same on both sides, left out: 1" in line for line in found.warnings
    )


def test_a_figure_whose_code_is_not_there_is_left_out_and_said(tmp_path: Path) -> None:
    both = save(run(BASE, GOOD), tmp_path)
    found = compare_sides(read_side(f"{both}:base"), read_side(both), {})
    assert "balanced" not in {row.metric for row in found.rows}
    assert any(
        "capitals/balanced is computed by the task's own code: give it with --task" in one for one in found.warnings
    )
