# SPDX-License-Identifier: Apache-2.0
"""What a report says, against figures that are counted by hand, and that it says no more than they support."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import yaml

from chatvector.errors import UsageError
from chatvector.evaluate.catalogue import STANDARD
from chatvector.evaluate.records import item_of
from chatvector.evaluate.report import charts, samples, tables
from chatvector.evaluate.report.blocks import Table
from chatvector.evaluate.report.document import document
from chatvector.evaluate.report.hub import eval_results, model_index, parse_benchmark, yaml_of
from chatvector.evaluate.report.limits import UNREAD, services, unread
from chatvector.evaluate.report.view import View
from chatvector.evaluate.report.wording import finding, number, recovered, shown, summary, verdict
from chatvector.evaluate.report.writing import file_names, render
from chatvector.evaluate.request import Job, Request
from chatvector.evaluate.results import RecoveryRow, Results
from chatvector.evaluate.run import Evaluation, evaluate
from report_results import RATE, difference, results_of, rows_of
from small_tasks import CAPITALS, Capitals, Reading, Scripted, Shouting, Surprise, knows, model

BASE = Scripted("base", knows("France"))
MERGED = Scripted("merged", knows("France", "Japan", "Korea", "Peru", otherwise="PLEASE"))
CHAT = Reading("chat", knows(*CAPITALS))


@pytest.fixture(scope="module")
def found() -> Evaluation:
    jobs = (Job(Capitals(), "en"), Job(Surprise(), "en"))
    return evaluate(Request(tuple(map(model, (BASE, MERGED, CHAT))), jobs, (Shouting(),), true_chat="chat"))


@pytest.fixture(scope="module")
def view(found: Evaluation) -> View:
    return View(found.results)


# --- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "found", "words"),
    [
        ({"value": 0.2, "low": 0.1, "high": 0.3}, "higher", "higher: better"),
        ({"value": -0.2, "low": -0.3, "high": -0.1}, "lower", "lower: worse"),
        ({"value": 0.2, "low": -0.01, "high": 0.3}, "cannot be told apart", "cannot be told apart"),
        # The test and the interval have to agree.
        ({"value": 0.2, "low": 0.1, "high": 0.3, "p_holm": 0.06, "p": 0.06}, "cannot be told apart", None),
        (
            {"value": 0.2, "low": 0.1, "high": 0.3, "p_holm": 0.06, "p": 0.01},
            "cannot be told apart",
            "cannot be told apart once corrected for all figures",
        ),
        ({"value": 0.2, "low": 0.1, "high": 0.3, "p_holm": None, "p": 0.01}, "higher", "higher: better"),
        ({"value": 1.0, "low": None, "high": None}, "no interval", "no interval"),
        (
            {"value": 0.0, "low": -0.01, "high": 0.01, "p_holm": 1.0, "not_worse": "not worse"},
            "cannot be told apart",
            "cannot be told apart; shown not to be worse by 2 points",
        ),
    ],
)
def test_what_a_difference_allows_to_say(changes: dict[str, Any], found: str, words: str | None) -> None:
    row = difference(**{"p_holm": 0.001, **changes})
    assert finding(row) == found
    assert words is None or verdict(row, RATE) == words


def test_less_is_better_where_the_metric_says_so() -> None:
    row = difference(value=-0.2, low=-0.3, high=-0.1, p_holm=0.001)
    assert verdict(row, RATE.model_copy(update={"better": "lower"})) == "lower: better"
    assert verdict(row, RATE.model_copy(update={"better": "neither"})) == "lower"


def test_the_summary_counts_every_primary_figure_once() -> None:
    metrics = tuple(RATE.model_copy(update={"name": name}) for name in ("up", "down", "open", "few"))
    metrics += (RATE.model_copy(update={"name": "side", "primary": False}),)
    rows = (
        difference(metric="up", value=0.5, low=0.25, high=0.75, p_holm=0.01),
        difference(metric="down", value=-0.5, low=-0.75, high=-0.25, p_holm=0.01),
        difference(metric="open", value=0.05, low=-0.1, high=0.2, p_holm=1.0, detectable=0.2),
        difference(metric="few", low=None, high=None),
        difference(metric="side", value=0.5, low=0.25, high=0.75, p_holm=None),
    )
    lines = summary(results_of(metrics=metrics, differences=rows), "new")
    assert lines == [
        "new against old, by primary figures (4): better 1, worse 1, cannot be told apart 1.",
        "Better: task/up (en: +50 points).",
        "Worse: task/down (en: −50 points).",
        "Cannot be told apart: task/open (en).",
        "Too few items for an interval, so that nothing can be said: task/few (en).",
    ]


def test_no_difference_found_is_not_called_equal() -> None:
    row = difference(value=0.0, low=-0.1, high=0.1, p_holm=1.0)
    assert "does not show that there is none" in render(results_of(differences=(row,)), {})["report.html"]
    told = difference(value=0.2, low=0.1, high=0.3, p_holm=0.01)
    assert "does not show that there is none" not in render(results_of(differences=(told,)), {})["report.html"]
    assert "nothing can be said" in summary(results_of(), "new")[0]


@pytest.mark.parametrize(
    ("value", "unit", "signed", "text"),
    [
        (0.975, "share", False, "98"),
        (0.025, "share", False, "2.5"),
        (0.0, "share", True, "0"),
        (-0.0004, "share", True, "−0.0"),
        (1.23456, "points", True, "+1.23"),
        (-12.0, "tokens", False, "−12"),
    ],
)
def test_numbers(value: float, unit: str, signed: bool, text: str) -> None:
    assert number(value, unit, signed=signed) == text


def test_figures_without_value_or_interval() -> None:
    assert shown(None, None, None, "share") == "–"
    assert shown(0.5, None, None, "share") == "50"
    assert shown(0.5, 0.25, 0.75, "share") == "50 (25–75)"
    assert shown(-0.5, -0.75, -0.25, "share", signed=True) == "−50 (−75 to −25)"


def test_a_gain_that_is_a_loss_is_not_recovered() -> None:
    def row(**changes: Any) -> RecoveryRow:
        given = {"task": "task", "language": "en", "metric": "right", "model": "new", "gain": 0.5, "n": 40}
        return RecoveryRow(**{**given, "value": 0.8, "low": 0.5, "high": 1.1, **changes})

    results = results_of()
    assert recovered(row(), results) == "80 (50–110) %"
    assert recovered(row(value=None, low=None, high=None), results) == "its gain cannot be told from 0"
    assert recovered(row(gain=-0.3), results).startswith("none: the true chat model is worse")


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_headline_has_every_primary_figure_and_no_other(view: View) -> None:
    table = tables.headline(view)
    assert table.columns == ("task", "figure", "base", "merged", "chat", "n", "failed")
    by_label = {row[:2]: row[2:] for row in table.rows}
    assert set(by_label) == {
        ("capitals (en)", "right capital, %"),
        ("surprise (en)", "nats a byte"),
        ("shouting (en)", "in capitals, %"),
    }
    base, merged, chat, count, failed = by_label["capitals (en)", "right capital, %"]
    assert base.startswith("17 (")
    assert merged.startswith("67 (")
    assert chat.startswith("100 (")
    assert (count, failed) == ("12", "0")
    # Two of the models have no likelihoods: that is said, not filled in.
    assert by_label["surprise (en)", "nats a byte"][:2] == ("–", "–")


def test_differences_carry_pairs_and_what_would_have_shown(view: View) -> None:
    table = tables.differences(view, list(view.headline()), "x")
    assert table.columns[3:] == ("minus base", "p (Holm)", "would show", "pairs", "finding")
    row = next(row for row in table.rows if row[0] == "capitals (en)" and row[2] == "merged")
    assert row[3].startswith("+50 (")
    assert row[6] == "12"
    # Candidates first, the true chat model after them.
    assert [row[2] for row in table.rows if row[0] == "capitals (en)"] == ["merged", "chat"]


def test_facets_in_the_order_of_the_results(view: View) -> None:
    (task, *_) = view.results.tasks
    (table,) = tables.parts(view, task)
    assert [row[:2] for row in table.rows] == [("right capital, %", "9"), ("right capital, %", "10")]
    assert table.folded


@pytest.mark.parametrize("name", UNREAD)
def test_what_could_not_be_read_is_a_metric_of_some_task(name: str) -> None:
    made = [entry.make() for entry in (*STANDARD.tasks, *STANDARD.riders)]
    assert any(metric.name == name for one in made for metric in one.metrics)


# --- charts ----------------------------------------------------------------------------------------------------------


def test_only_facets_of_numbers_become_curves() -> None:
    figures = rows_of(
        "right", {"old": {"0": 1.0, "2": 0.5, "8": 0.25}, "new": {"0": 1.0, "2": 1.0, "8": 0.75}}, "distance"
    )
    figures += rows_of("right", {"old": {"word": 1.0, "number": 0.5}}, "kind")
    figures += rows_of("right", {"old": {"1": 1.0}}, "single")
    view = View(results_of(figures=figures))
    (chart,) = charts.curves(view, view.results.tasks[0])
    assert [(one.name, one.number) for one in chart.series] == [("old", 0), ("new", 1)]
    assert [(point.x, point.value) for point in chart.series[0].points] == [(0, 100), (2, 50), (8, 25)]
    assert "new: 0: 100 (90–110), 2: 100 (90–110), 8: 75 (65–85)" in chart.description


def test_better_is_to_the_right_whichever_way_is_good() -> None:
    metric = RATE.model_copy(update={"better": "lower"})
    row = difference(value=-0.25, low=-0.5, high=-0.125, p_holm=0.01)
    figures = rows_of("right", {"old": {"": 0.5}, "new": {"": 0.25}}, None)
    chart = charts.forest(View(results_of(metrics=(metric,), figures=figures, differences=(row,))))
    assert chart is not None
    ((title, (series,)),) = chart.groups
    (point,) = series.points
    assert (point.value, point.low, point.high) == (25, 12.5, 50)
    assert title.endswith("↓")
    assert "other units" not in chart.caption
    assert chart.description.startswith("1 differences are on the better side of 0, 0 on the worse")


def test_figures_in_other_units_are_said_to_be_in_the_table_only() -> None:
    metrics = (RATE, RATE.model_copy(update={"name": "nats", "unit": "nats"}))
    figures = rows_of("right", {"new": {"": 0.5}}, None) + rows_of("nats", {"new": {"": 0.5}}, None)
    rows = (difference(), difference(metric="nats"))
    chart = charts.forest(View(results_of(metrics=metrics, figures=figures, differences=rows)))
    assert chart is not None
    assert len(chart.groups) == 1
    assert chart.caption.endswith("Figures in other units are in the table only.")


# --- samples ---------------------------------------------------------------------------------------------------------


def made(results: Results, marks: Mapping[str, Sequence[float]], **more: Any) -> list[dict[str, Any]]:
    """Records of items 0, 1, … with a mark a model."""
    reply = {"text": "a reply", "stopped": True, "tokens": 1, "prompt_tokens": 1, "special": [], "failure": None}
    item = {"language": "en", "turns": [{"user": "a question", "canned": None}], **more}
    return [
        {
            "item": {"id": f"item-{number}", **item},
            "answers": [
                {
                    "model": row.name,
                    "sample": 0,
                    "replies": [reply],
                    "nats": None,
                    "tokens": None,
                    "marks": {"right": marks[row.name][number]},
                    "failed": None,
                    "riders": {},
                }
                for row in results.models
            ],
        }
        for number in range(len(marks["old"]))
    ]


def why(results: Results, marks: Mapping[str, Sequence[float]]) -> dict[str, str]:
    view = View(results)
    found = samples.samples(view, results.tasks[0], made(results, marks), reveal=False)
    assert found is not None
    return {sample.item: sample.why for sample in found.samples}


def test_samples_are_the_largest_differences_on_both_sides() -> None:
    metric = RATE.model_copy(update={"kind": "mean"})
    results = results_of(metrics=(metric,))
    marks = {"old": [0.0] * 9, "new": [0.0, 0.9, -0.9, 0.5, 0.8, -0.5, -0.8, 0.1, -0.1]}
    chosen = why(results, marks)
    assert {item for item, reason in chosen.items() if "largest wins" in reason} == {"item-1", "item-4"}
    assert {item for item, reason in chosen.items() if "largest losses" in reason} == {"item-2", "item-6"}
    assert sum("drawn at random" in reason for reason in chosen.values()) == samples.EACH
    # Where less is better, wins and losses change places; what is drawn at random does not move.
    turned = why(results_of(metrics=(metric.model_copy(update={"better": "lower"}),)), marks)
    assert {item for item, reason in turned.items() if "largest wins" in reason} == {"item-2", "item-6"}
    assert {item for item in turned if "random" in turned[item]} == {
        item for item in chosen if "random" in chosen[item]
    }


def test_among_equal_differences_the_seed_decides_and_it_is_said() -> None:
    marks = {"old": [False] * 20, "new": [True] * 20}
    by_seed = [why(results_of(seed=seed), marks) for seed in range(4)]
    assert by_seed[0] == why(results_of(seed=0), marks)
    assert len({tuple(chosen) for chosen in by_seed}) > 1
    assert any("one of 20 with the same difference" in reason for reason in by_seed[0].values())
    assert not any("losses" in reason for chosen in by_seed for reason in chosen.values())


def test_a_primary_figure_without_marks_leaves_the_samples_to_the_next() -> None:
    """As of `safety` without a guard."""
    unseen = RATE.model_copy(update={"name": "unsafe", "mark": "unsafe"})
    marks = {"old": [False, False], "new": [True, False]}
    with_one = why(results_of(), marks)
    assert why(results_of(metrics=(unseen, RATE)), marks) == with_one
    view = View(results_of(metrics=(unseen,)))
    assert samples.samples(view, view.results.tasks[0], made(view.results, marks), reveal=False) is None


def test_a_model_alone_has_random_samples_only() -> None:
    results = results_of(models=("old",), reference=None)
    assert set(why(results, {"old": [True, False, True]}).values()) == {"drawn at random"}


# --- limits ----------------------------------------------------------------------------------------------------------


def lines_of(services_given: dict[str, Any]) -> str:
    (lines, *_) = services(View(results_of(services=services_given)))
    assert lines.kind == "lines"
    return "\n".join(lines.lines)


def test_a_judge_without_labels_is_unvalidated() -> None:
    judge = {"kind": "model", "model": "some/judge", "fingerprint": "f" * 64, "validated": {}}
    assert lines_of({"judge": judge}) == "judge: some/judge, fingerprint ffffffffffff; unvalidated"
    checked = lines_of({"judge": {**judge, "validated": {"spearman": 0.71, "labels": 80}}})
    assert checked.endswith("agreement with people's labels: spearman 0.71, labels 80")
    assert "for tests" in lines_of({"judge": {**judge, "kind": "rules"}})


def test_scorers_bring_their_cards() -> None:
    card = {"use": "Smoke tests.", "measured": {"rho": 0.79}, "on": "1 000 records", "licence": "Apache-2.0"}
    scorer = {"name": "linear", "version": "1", "card": card, "forced": False}
    assert "Validation: rho 0.79 on 1 000 records" in lines_of({"toxicity": scorer})
    assert "not measured by us" in lines_of({"toxicity": {**scorer, "card": {**card, "measured": {}}}})
    assert "FORCED" in lines_of({"toxicity": {**scorer, "forced": True}})
    guard = {"model": "a/guard", "validated": {}}
    assert lines_of({"guard": guard}) == "guard: a/guard; not validated here"
    assert lines_of({"guard": {**guard, "validated": {"kappa": 0.8}}}).endswith("given labels: kappa 0.8")
    assert lines_of({"guard": None, "judge": None}) == "guard: none was given\njudge: none was given"


# --- the model card --------------------------------------------------------------------------------------------------


def test_the_hubs_library_reads_the_model_index(view: View) -> None:
    from huggingface_hub.repocard_data import model_index_to_eval_results

    name, found = model_index_to_eval_results(yaml.safe_load(yaml_of(model_index(view, "merged")))["model-index"])
    assert name == "merged"
    assert [(one.dataset_type, one.metric_type, one.metric_value) for one in found] == [
        ("chatvector-capitals", "accuracy", 66.67),
        ("chatvector-shouting", "loud", 33.33),
    ]


def test_the_hubs_library_reads_the_eval_results(view: View) -> None:
    from huggingface_hub import parse_eval_result_entries

    benchmarks = [
        parse_benchmark("capitals=owner/capitals:default@0123abc"),
        parse_benchmark("capitals/balanced=a/b:c"),
    ]
    first, second = parse_eval_result_entries(yaml.safe_load(yaml_of(eval_results(view, "merged", benchmarks))))
    assert (first.dataset_id, first.task_id, first.dataset_revision) == ("owner/capitals", "default", "0123abc")
    assert first.value == second.value == 66.67
    assert "n = 12" in (first.notes or "")


@pytest.mark.parametrize("text", ["capitals", "capitals=owner", "capitals=owner/set", "=a/b:c", "a=b/c:d e"])
def test_benchmarks_that_say_too_little(text: str) -> None:
    with pytest.raises(UsageError, match=f"--benchmark {text}: write"):
        parse_benchmark(text)


@pytest.mark.parametrize(("text", "there"), [("nope=a/b:c", "no such task"), ("capitals/nope=a/b:c", "no such metric")])
def test_benchmarks_that_are_not_here(view: View, text: str, there: str) -> None:
    with pytest.raises(UsageError, match=there):
        eval_results(view, "merged", [parse_benchmark(text)])


def test_cards_of_models_with_like_names_do_not_overwrite_each_other() -> None:
    assert file_names(["org/model", "org-model", "ORG:model", "모델", "///"]) == [
        "org-model",
        "org-model-2",
        "ORG-model-3",
        "모델",
        "model",
    ]
    assert len(set(map(str.casefold, file_names(["a/b", "a-b-2", "a-b"])))) == 3


# --- the whole -------------------------------------------------------------------------------------------------------


def records_of(found: Evaluation) -> dict[tuple[str, str], Any]:
    return {
        (task.name, task.language): [json.loads(line) for line in found.items[task.items_file].splitlines()]
        for task in found.results.tasks
        if task.items_file
    }


def test_sections_of_what_there_is(found: Evaluation) -> None:
    report = document(found.results, records_of(found))
    assert [section.id for section in report.sections] == [
        "findings",
        "figures",
        "differences",
        "recovery",
        "curves",
        "paper",
        "axis-facts",
        "axis-knowledge",
        "axis-manners",
        "samples",
        "limits",
        "card",
        "run",
    ]
    assert "Capital of" in render(found.results, records_of(found))["report.md"]


def test_the_same_results_give_the_same_bytes(found: Evaluation) -> None:
    assert render(found.results, records_of(found)) == render(found.results, records_of(found))


def test_places_on_the_machine_are_left_out(found: Evaluation) -> None:
    run = {**found.results.run, "models": {"base": {"model": "places/secret"}}}
    files = render(found.results.model_copy(update={"run": run}), records_of(found))
    assert not any("secret" in text for text in files.values())
    assert found.results.run["started"] in files["report.html"]


def test_one_model_no_figures_no_items() -> None:
    alone = results_of(models=("old",), reference=None, figures=rows_of("right", {"old": {"": 0.5}}, None))
    text = render(alone, {})["report.md"]
    assert "One model alone" in text
    assert "Differences" not in text
    empty = alone.model_copy(update={"figures": (), "tasks": ()})
    assert "No figure." in render(empty, {})["report.md"]


def test_failed_answers_are_shown_as_failures() -> None:
    shy = replace(MERGED, name="shy", say=lambda prompt: None if "Peru" in prompt.messages[-1][1] else "Paris")
    failing = evaluate(Request((model(BASE), model(shy)), (Job(Capitals(), "en"),)))
    report = document(failing.results, records_of(failing))
    figures = next(section for section in report.sections if section.id == "figures").blocks[0]
    assert figures.kind == "table"
    assert figures.rows[0][-1] == "2 (shy)"
    assert "failed answers, not counted as misses: shy, capitals (en): 2, context" in repr(report)
    assert item_of(records_of(failing)["capitals", "en"][0]["item"]).id == "France/10"


@pytest.mark.parametrize("of_some", [False, True])
def test_replies_that_are_left_out_are_counted_unless_that_is_the_figures_nature(of_some: bool) -> None:
    metric = RATE.model_copy(update={"of_some": of_some})
    figures = tuple(
        row.model_copy(update={"left_out": 3}) for row in rows_of("right", {"old": {"": 0.5}, "new": {"": 0.75}}, None)
    )
    blocks = unread(View(results_of(metrics=(metric,), figures=figures)))
    captions = [block.caption for block in blocks if isinstance(block, Table)]
    assert captions == ([] if of_some else ["Replies that a primary figure does not apply to, and leaves out"])
