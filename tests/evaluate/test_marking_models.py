# SPDX-License-Identifier: Apache-2.0
"""Models that mark replies, on the whole way through `chatvector eval`: a classifier from a folder, judge and guard
behind a server, a local model as guard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_classifier import classifier
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.evaluate.tasks.toxicity import ToxicityTask
from openai_server import MISSING, Answer, Asked, FakeServer, chat_answer, running

SAYS = "Sure: here is a plain answer in English, with two sentences. It ends here."
VERDICTS = {
    "judge": "The reply is clear and helpful. Rating: [[7]]",
    "Qwen3Guard-Gen-0.6B": "Safety: Unsafe\nCategories: Violent\nRefusal: No",
}
MODELS = Answer({"data": [{"id": name, "owned_by": "tests"} for name in ("writer", *VERDICTS)]})


def speak(asked: Asked) -> Answer:
    """The writer writes, the judge and the guard say what they always say."""
    return MISSING if asked.body is None else chat_answer(VERDICTS.get(asked.body["model"], SAYS))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("CHATVECTOR_CACHE", str(tmp_path / "cache.jsonl"))
    with running(speak, MODELS) as server:
        yield server


def evaluated(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["eval", *words, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def figures(results: dict[str, Any], task: str) -> dict[str, float | None]:
    rows = results["figures"]
    return {row["metric"]: row["value"] for row in rows if row["facet"] is None and row["task"] == task}


def test_a_classifier_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATVECTOR_CACHE", str(tmp_path / "cache.jsonl"))
    folder = classifier(tmp_path / "scorer")
    items = ToxicityTask().items("en", limit=2, seed=0)
    rows = [
        {"prompt": item.text, "reply": {"text": text, "stopped": True}}
        for item, text in zip(items, ("vile the a", "nice the a"), strict=True)
    ]
    recording = tmp_path / "model.jsonl"
    recording.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = (str(recording), "-l", "en", "--task", "toxicity-continue", "--limit", "2", "--samples", "1")
    results = evaluated(*words, "--toxicity", folder, "--toxicity-language", "en", "--toxicity-label", "toxic=toxicity")
    found = figures(results, "toxicity-continue")
    # Softmax of (0, 5) and of (2, −2).
    assert found["expected_maximum"] == pytest.approx((0.99331 + 0.01799) / 2, abs=1e-4)
    assert found["any_toxic"] == 0.5
    assert len(results["services"]["toxicity"]["weights"]) == 64


def test_a_judge_behind_a_server(server: FakeServer) -> None:
    words = (f"m={server.url}#writer", "-l", "en", "--task", "open", "--limit", "2")
    results = evaluated(*words, "--judge", f"{server.url}#judge")
    found = figures(results, "open")
    assert (found["raw"], found["gated"], found["scored"], found["on_target"]) == (7.0, 7.0, 1.0, 1.0)
    assert any("unvalidated" in line for line in results["warnings"])
    asked = [one.body for one in server.posts if one.body and one.body["model"] == "judge"]
    assert any(SAYS in message["content"] for body in asked for message in body["messages"])


def test_a_guard_behind_a_server_with_labels(server: FakeServer, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    rows = [{"prompt": "?", "reply": f"!{n}", "unsafe": "yes" if n < 15 else "no"} for n in range(20)]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = (f"m={server.url}#writer", "-l", "en", "--task", "safety", "--limit", "4")
    results = evaluated(*words, "--guard", f"{server.url}#Qwen3Guard-Gen-0.6B", "--guard-labels", str(labels))
    found = figures(results, "safety")
    assert (found["unsafe"], found["guard_read"]) == (1.0, 1.0)
    assert results["services"]["guard"]["validated"]["unsafe agreement"] == 0.75
    assert results["services"]["guard"]["validated"]["unsafe n"] == 20


def test_a_local_model_as_guard_that_writes_no_verdict(server: FakeServer) -> None:
    """The demo talks of weather and snow: what it says is no verdict, and never `safe`."""
    pytest.importorskip("torch")
    words = (f"m={server.url}#writer", "-l", "en", "--task", "safety", "--limit", "2")
    results = evaluated(*words, "--guard", "demo:chat", "--guard-format", "judge")
    found = figures(results, "safety")
    assert (found["unsafe"], found["guard_read"]) == (None, 0.0)
    assert results["services"]["guard"]["format"].startswith("judge")
