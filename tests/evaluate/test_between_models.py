# SPDX-License-Identifier: Apache-2.0
"""Whole evaluations with marks that no model has alone, and with a judge that must not be judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from scripted_backend import ScriptedBackend

from chatvector.errors import UsageError
from chatvector.evaluate.halves import half_of
from chatvector.evaluate.judge.labels import Labels, read_labels
from chatvector.evaluate.judge.model_judge import ModelJudge
from chatvector.evaluate.judge.rule_judge import RuleJudge
from chatvector.evaluate.request import Job, Request
from chatvector.evaluate.run import Evaluation, evaluate
from chatvector.evaluate.saving import save
from chatvector.evaluate.task import Services, Task
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
ITEMS = ASKED.items("en", limit=24, seed=0)


def run(*jobs: Job, services: Services) -> Evaluation:
    return evaluate(Request((model(SILLY), model(PERFECT)), jobs, services=services))


def values(found: Evaluation, task: str, metric: str) -> dict[str, float | None]:
    return {
        row.model: row.value
        for row in found.results.figures
        if (row.task, row.metric, row.facet) == (task, metric, None)
    }


def test_scores_and_preferences_in_one_run(tmp_path: Path) -> None:
    jobs = Job(ASKED, "en", 24), Job(OpenPairsTask(ASKED), "en", 24)
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


def people(tmp_path: Path, count: int, label: Callable[[int], object]) -> Labels:
    rows = [{"id": f"{item.id}", "model": "perfect", "label": label(n)} for n, item in enumerate(ITEMS[:count])]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_labels(path)


def test_labels_validate_a_judge(tmp_path: Path) -> None:
    request = Request(
        (model(SILLY), model(PERFECT)), (Job(ASKED, "en", 24),), services=Services(judge=judge_by_length())
    )
    plain = evaluate(request)
    assert plain.results.services["judge"]["status"] == "unvalidated"
    assert "judge judge: unvalidated (--judge-labels validates one)" in plain.results.warnings
    lengths = [len(item.expect["references"][-1]) % 10 + 1 for item in ITEMS]
    found = evaluate(replace(request, judge_labels=people(tmp_path, 22, lengths.__getitem__)))
    judge = found.results.services["judge"]
    assert judge["status"] == "validated"
    assert judge["validated"] == {"labels": 22, "unread": 0, "spearman": pytest.approx(1), "kappa": 1}
    assert not any("unvalidated" in line for line in found.results.warnings)
    few = evaluate(replace(request, judge_labels=people(tmp_path, 5, lengths.__getitem__)))
    assert few.results.services["judge"]["status"] == "unvalidated"
    assert any("5 labels have a verdict that was read, and 20 are needed" in line for line in few.results.warnings)


def judge_by_length() -> ModelJudge:
    """Gives the last digit of a reply's length, and nothing readable to the silly one."""

    def say(prompt: Prompt) -> str:
        text = prompt.messages[-1][1]
        reply = text.split("Reply to be judged ====================\n")[1].split("\n\n====")[0]
        return "hm" if "trains" in reply else f"[[{len(reply) % 10 + 1}]]"

    return ModelJudge(ScriptedBackend(say, model="judge"))


def test_verdicts_that_were_not_read_are_a_warning() -> None:
    found = run(Job(ASKED, "en", 3), services=Services(judge=judge_by_length()))
    assert "open (en), silly: verdicts that could not be read: 3 of 3" in found.results.warnings
    assert values(found, "open", "gated")["silly"] is None


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


@pytest.mark.parametrize("task", [OpenPairsTask(ASKED), DivergenceTask()])
def test_what_only_compares_is_not_asked_of_one_model(task: OpenPairsTask | DivergenceTask) -> None:
    alone = Scripted("alone", knows_it)
    services = Services(judge=RuleJudge())
    with pytest.raises(UsageError, match=f"^task {task.name} needs two models to compare: name another$"):
        evaluate(Request((model(alone),), (Job(task, "en", 2),), services=services))
    assert alone.asked == []
    jobs = Job(ASKED, "en", 2), Job(cast(Task, half_of(task, "test")), "en", 2, asked_for=False)
    found = evaluate(Request((model(alone),), jobs, services=services)).results
    assert [(row.task, row.why) for row in found.absent] == [(task.name, "needs two models to compare: name another")]
