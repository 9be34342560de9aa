# SPDX-License-Identifier: Apache-2.0
"""What `--require` means: parsing, what a name stands for, and whether the figure or its bound counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chatvector.errors import UsageError
from chatvector.evaluate.gates import Address, judge, parse_gate, select, with_gates, with_thin_figures
from chatvector.evaluate.request import Job, Request
from chatvector.evaluate.results import Results
from chatvector.evaluate.run import evaluate
from small_tasks import CAPITALS, Capitals, Scripted, Shouting, knows, model

KNOWN = [
    Address("facts", "capitals", "accuracy", True),
    Address("facts", "capitals", "balanced", False),
    Address("facts", "rivers", "length", False),
    Address("manners", "shouting", "loud", True),
]


@pytest.fixture(scope="module")
def results() -> Results:
    backends = (Scripted("base", knows()), Scripted("good", knows(*CAPITALS)), Scripted("half", knows("Peru", "Cuba")))
    request = Request(tuple(map(model, backends)), (Job(Capitals(), "en"),), (Shouting(),), true_chat="good")
    return evaluate(request).results


@pytest.mark.parametrize(
    ("text", "name", "wanted_model", "sign", "value"),
    [
        ("language>=0.95", "language", None, ">=", 0.95),
        ("memory/recall@merged >= 80%", "memory/recall", "merged", ">=", 0.8),
        ("toxicity<=2%", "toxicity", None, "<=", 0.02),
        ("bits@org/name@main<1.5", "bits", "org/name@main", "<", 1.5),
        ("all>-1", "all", None, ">", -1.0),
    ],
)
def test_parse(text: str, name: str, wanted_model: str | None, sign: str, value: float) -> None:
    gate = parse_gate(text)
    assert (gate.name, gate.model, gate.operator, gate.value) == (name, wanted_model, sign, pytest.approx(value))


@pytest.mark.parametrize("text", ["language", "language=0.9", ">=0.9", "language>=", "language>=a", "a>=1.2.3"])
def test_what_is_no_gate(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--require "):
        parse_gate(text)


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("facts", ["accuracy"]),
        ("capitals", ["accuracy"]),
        ("rivers", ["length"]),
        ("capitals/balanced", ["balanced"]),
        ("all", ["accuracy", "loud"]),
    ],
)
def test_select(name: str, metrics: list[str]) -> None:
    assert [one.metric for one in select(name, KNOWN, "--require")] == metrics


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--require speed: no such figure here; there are facts, manners, cap"):
        select("speed", KNOWN, "--require")


@pytest.mark.parametrize("name", ["accuracy/capitals", "accuracy"])
def test_a_name_the_wrong_way_round_is_told_the_right_one(name: str) -> None:
    with pytest.raises(UsageError, match=f"^--require {name}: no such figure here; did you mean capitals/accuracy[?] "):
        select(name, KNOWN, "--require")


def test_every_candidate_has_to_pass(results: Results) -> None:
    rows = judge([parse_gate("facts>=0.3")], results, strict=False)
    assert [(row.model, row.passed) for row in rows] == [("half", True)], "neither reference nor true chat"
    assert rows[0].value == pytest.approx(1 / 3, abs=1e-6)


def test_a_named_model(results: Results) -> None:
    (row,) = judge([parse_gate("facts@base>=0.3")], results, strict=False)
    assert (row.value, row.passed) == (0.0, False)
    with pytest.raises(UsageError, match="no model 'other'; there are base, good, half"):
        judge([parse_gate("facts@other>=0.3")], results, strict=False)


def test_strict_takes_the_bound_that_is_nearer_to_failing(results: Results) -> None:
    (low,) = judge([parse_gate("facts>=0.3")], results, strict=True)
    (figure,) = [row for row in results.figures if (row.metric, row.model, row.facet) == ("accuracy", "half", None)]
    assert (low.value, low.passed) == (figure.low, False)
    (high,) = judge([parse_gate("capitals/accuracy<=0.4")], results, strict=True)
    assert (high.value, high.passed) == (figure.high, False)


def test_a_rider_can_be_required(results: Results) -> None:
    (row,) = judge([parse_gate("manners<=0")], results, strict=False)
    assert (row.task, row.passed) == ("shouting", True)


def test_a_gate_looks_at_what_its_operator_asks_for(results: Results) -> None:
    (row,) = judge([parse_gate("all>=0.3")], results, strict=False)
    assert row.task == "capitals", "of shouting less is better"
    for text, say in (
        ("manners>=0.5", "lower is better for shouting/loud; write <="),
        ("facts<1", "higher is better for capitals/accuracy; write >="),
    ):
        with pytest.raises(UsageError, match=f"^--require {text}: {say}, or name TASK/METRIC$"):
            judge([parse_gate(text)], results, strict=False)
    named = with_gates(results, [parse_gate("shouting/loud>=0"), parse_gate("shouting/loud<=1")], strict=False)
    assert all(row.passed for row in named.gates), "a metric by its own name is asked as written"
    assert set(named.warnings) - set(results.warnings) == {
        "--require shouting/loud>=0: lower is better for shouting/loud, so that bad figures meet it; was <= meant?"
    }


def test_a_figure_without_value_does_not_pass() -> None:
    silent = Scripted("silent", knows(otherwise=""))
    results = evaluate(Request((model(silent),), (Job(Capitals(), "en"),))).results
    (row,) = judge([parse_gate("capitals/polite>=0")], results, strict=False)
    assert (row.value, row.passed) == (None, False)


def test_a_required_figure_that_most_answers_are_left_out_of_is_a_warning() -> None:
    """Silence is neither loud nor quiet: what is left may look good by itself."""
    capitals = Capitals()
    shy = Scripted("shy", knows("Peru", otherwise=""))
    found = evaluate(Request((model(shy),), (Job(capitals, "en"),), (Shouting(),))).results
    warned = with_gates(found, [parse_gate("shouting<=0"), parse_gate("all<=1")], strict=False)
    assert set(warned.warnings) - set(found.warnings) == {
        "shouting (en) loud, shy: required, and counts 2 of 12 answers; left out 10, failed 0"
    }
    assert all(row.passed for row in warned.gates)
    assert set(with_thin_figures(found).warnings) - set(found.warnings) == {
        "shouting (en) loud, shy: counts 2 of 12 answers; left out 10, failed 0"
    }
    some = tuple(replace(one, of_some=one.name == "polite") for one in capitals.metrics)
    found = evaluate(Request((model(shy),), (Job(replace(capitals, metrics=some), "en"),))).results
    assert with_gates(found, [parse_gate("capitals/polite>=0")], strict=False).warnings == found.warnings
