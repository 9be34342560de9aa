# SPDX-License-Identifier: Apache-2.0
"""The protocol over seeds and the experiments beside it: what they count by themselves is right."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from experiments import protocol
from experiments.findings import crossing, drift, prediction

from chatvector.lab.models import EMBEDDING
from chatvector.lab.tokens import END_OF_TURN, SPECIAL
from chatvector.lab.world.exchanges import SINGLE_TURN, Choice

TURN = SPECIAL.index(END_OF_TURN)


def row(task: str, metric: str, value: float, n: int = 4, **more: Any) -> dict[str, Any]:
    return {"task": task, "metric": metric, "model": "target", "facet": None, "value": value, "n": n} | more


def test_figures_of_a_ladder_by_hand(tmp_path: Path) -> None:
    rows = [
        row("demo-fact", "correct", 0.5),
        row("demo-refusal", "correct", 1.0),
        row("demo-fact", "rude", 0.25, n=12),
        row("demo-refusal", "rude", 0.5),
        row("demo-fact", "refused", 0.25),
        row("demo-refusal", "refused", 0.0, n=0),
        row("language", "on_target", 0.9),
        row("degeneration", "no_stop", 0.02),
        row("demo-text", "target", 0.3),
        row("demo-fact", "correct", 0.0, facet="kind"),
    ]
    (tmp_path / "results.json").write_text(json.dumps({"figures": rows}), "utf-8")
    told = protocol.figures(tmp_path, ("fact", "refusal"))["target"]
    assert told == {
        "average": 0.75,
        "fact": 0.5,
        "refusal": 1.0,
        "rude": (0.25 * 12 + 0.5 * 4) / 16,
        "refused": 0.25,
        "language": 0.9,
        "stops": 0.98,
        "text": 0.3,
    }


def test_forms_of_a_ladder_by_hand(tmp_path: Path) -> None:
    asked = {"end-sign": 0.9, "begin-sign": 0.6, "note-sign": 0.3, "end-mark": 0.2, "twice": 0.0, "one-word": 0.1}
    rows = [
        *(row(f"demo-{skill}", "kept", share) for skill, share in asked.items()),
        *(row(f"demo-{skill}", "correct", 0.5) for skill in asked),
        *(row(f"demo-{skill}", metric, 0.0) for skill in asked for metric in ("rude", "refused")),
        row("language", "on_target", 1.0),
        row("degeneration", "no_stop", 0.0),
    ]
    (tmp_path / "results.json").write_text(json.dumps({"figures": rows}), "utf-8")
    told = protocol.figures(tmp_path, tuple(asked))["target"]
    assert [told[key] for key in protocol.SKILL_FIGURES] == pytest.approx([0.6, 0.1, 0.5])


@pytest.mark.parametrize("kind", crossing.KINDS)
def test_a_tuning_has_its_form_where_it_is_called_for_and_nowhere_else(kind: str) -> None:
    """By the same rule that replies are judged by."""
    rng = Random(1)
    called = []
    for asked in (True, False):
        for number in (0, 1):
            for task in ("knowledge", "fact"):
                turn = crossing.turn(kind, SINGLE_TURN[task](Choice(rng)), number, Choice(rng), asked)
                for said in (turn.answer.en, turn.answer.ko, turn.answer["zh-Hant"]):
                    assert crossing.kept(kind, turn.mark, said) is turn.called
                called.append(turn.called)
    assert called.count(True) == (8 if kind == "every reply" else 4)
    for messages in islice(crossing.dialogues(kind, 1), 50):
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)


def case(text: tuple[float, ...], merit: tuple[float, ...], vector: float = 0.06) -> prediction.Case:
    return prediction.Case("a case", vector, 0.05, text, merit)


def test_forecasts_by_hand() -> None:
    """The constants are medians of the design, and a forecast for one of its own cases is exact with one case."""
    one = case((0.20, 0.21, 0.22, 0.24, 0.28, 0.32), (0.3, 0.6, 0.8, 0.7, 0.5, 0.4))
    assert (one.best, one.gain, one.cost(0.5)) == (0.5, 0.5, pytest.approx(0.1))
    assert one.regret(0.5) == 0
    assert one.regret(0.625) == pytest.approx(0.05)
    scales, gains = prediction.rules([one])
    assert [rule(one) for rule in scales.values()] == [0.5, pytest.approx(0.5), pytest.approx(0.5, abs=0.003)]
    assert [rule(one) for rule in gains.values()] == [0.5, pytest.approx(0.5)]
    longer = case(one.text, one.merit, vector=0.12)
    always, by_length, by_text = (rule(longer) for rule in scales.values())
    assert (always, by_length, by_text) == (0.5, pytest.approx(0.25), pytest.approx(0.5, abs=0.003))
    assert scales[next(name for name in scales if "/" in name)](case(one.text, one.merit, vector=1e-6)) == 1.25


def test_base_trained_further_is_a_model_with_or_without_a_format(tmp_path: Path) -> None:
    chat = crossing.tuned("by sign", tmp_path / "chat", 1)
    plain = Path(drift.trained(tmp_path / "plain", 0))
    assert "chat_template" in json.loads((chat / "tokenizer_config.json").read_text("utf-8"))
    assert "chat_template" not in json.loads((plain / "tokenizer_config.json").read_text("utf-8"))
    start, tuned, same = (weights[EMBEDDING] for weights in map(drift.weights, ("demo:base", str(chat), str(plain))))
    assert torch.equal(start, same), "no step was made"
    assert tuned[TURN].norm() > 10 * start[TURN].norm(), "the end of turn begins as that of a document"
