# SPDX-License-Identifier: Apache-2.0
"""Whole evaluations with marks that no model has alone, and with a judge that must not be judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_backend import ScriptedBackend

from chatvector.errors import UsageError
from chatvector.evaluate.judge.model_judge import ModelJudge
from chatvector.evaluate.judge.rule_judge import RuleJudge
from chatvector.evaluate.run import Evaluation, Job, Request, evaluate
from chatvector.evaluate.saving import save
from chatvector.evaluate.task import Services
from chatvector.evaluate.tasks.divergence import DivergenceTask
from chatvector.evaluate.tasks.open import OpenTask
from chatvector.evaluate.tasks.open_data import starter
from chatvector.evaluate.tasks.open_pairs import OpenPairsTask
from chatvector.runtime.backend import Prompt
from small_tasks import Reading, Scripted, model

ANSWERS = {row.turns[turn]: row.references[turn] for row in starter("en") for turn in range(len(row.turns))}


def knows_it(prompt: Prompt) -> str:
    return ANSWERS[prompt.messages[-1][1]]


PERFECT, SILLY = Scripted("perfect", knows_it), Scripted("silly", lambda _: "I like trains.")
ASKED = OpenTask(systems=("without",))


def run(*jobs: Job, services: Services) -> Evaluation:
    return evaluate(Request((model(SILLY), model(PERFECT)), jobs, services=services))


def values(found: Evaluation, task: str, metric: str) -> dict[str, float | None]:
    return {
        row.model: row.value
        for row in found.results.figures
        if (row.task, row.metric, row.facet) == (task, metric, None)
    }


def test_scores_and_preferences_in_one_run(tmp_path: Path) -> None:
    jobs = Job(ASKED, "en", 12), Job(OpenPairsTask(ASKED), "en", 12)
    found = run(*jobs, services=Services(judge=RuleJudge()))
    gated = values(found, "open", "gated")
    assert gated["perfect"] == 10
    assert (gated["silly"] or 0) < 4
    assert values(found, "open-pairs", "preferred") == {"perfect": 1.0, "silly": None}
    (difference,) = [row for row in found.results.differences if (row.task, row.metric) == ("open", "gated")]
    assert (difference.model, difference.not_worse) == ("perfect", "not worse")
    assert found.results.services["judge"]["status"] == "rules, no judgement: for tests"
    save(found, tmp_path / "out", overwrite=False)
    assert '"preferred": 1.0' in (tmp_path / "out" / "items" / "open-pairs.en.jsonl").read_text("utf-8")


def test_the_judge_is_not_judged() -> None:
    judge = ModelJudge(ScriptedBackend(lambda _: "[[9]]", model="perfect"))
    with pytest.raises(UsageError, match="perfect would judge itself"):
        run(Job(ASKED, "en", 2), services=Services(judge=judge))


def test_models_without_distributions_are_not_comparable() -> None:
    task = DivergenceTask()
    readers = [model(Reading(name, lambda _: "")) for name in ("one", "two")]
    found = evaluate(Request(tuple(readers), (Job(task, "ko", 3),)))
    assert values(found, "divergence", "from_reference") == {"one": None, "two": None}
    assert "not comparable: a model tells no distributions" in found.items["items/divergence.ko.jsonl"]
