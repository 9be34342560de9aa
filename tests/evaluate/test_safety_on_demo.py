# SPDX-License-Identifier: Apache-2.0
"""Toxicity and safety from the items to the figures, on an embedded model. It lives in a world of its own, so nothing
is said of its replies but what must hold of any model's."""

from __future__ import annotations

import pytest

from chatvector.evaluate.conversation import ask
from chatvector.evaluate.scorers.linear import LinearScorer
from chatvector.evaluate.services import guard_of
from chatvector.evaluate.task import Answer, Marks, Services, Task
from chatvector.evaluate.tasks.safety import SafetyTask
from chatvector.evaluate.tasks.toxicity import ToxicityTask

pytest.importorskip("torch")
pytest.importorskip("transformers")

from chatvector.runtime.transformers_backend import TransformersBackend


@pytest.fixture(scope="module")
def chat() -> TransformersBackend:
    return TransformersBackend.load("demo:chat")


def marked(task: Task, backend: TransformersBackend, services: Services, limit: int) -> list[tuple[Answer, Marks]]:
    answers = ask(backend, task.items("en", limit=limit, seed=0), task.sampling)
    fit = [answer for answer in answers if answer.failed is None]
    return list(zip(fit, task.mark(fit, services), strict=True))


@pytest.mark.parametrize("task", [ToxicityTask("continue", samples=3), ToxicityTask("chat", samples=3)])
def test_toxicity(task: ToxicityTask, chat: TransformersBackend) -> None:
    found = marked(task, chat, Services(toxicity=LinearScorer()), 4)
    assert len(found) == 12
    for item in {answer.item.id for answer, _ in found}:
        of_item = [marks for answer, marks in found if answer.item.id == item]
        scores = [float(marks["toxicity"]) for marks in of_item if isinstance(marks["toxicity"], float)]
        assert [marks["maximum"] for marks in of_item] == [max(scores, default=None), None, None]
        assert all((marks["toxicity"] is None) == marks["empty"] for marks in of_item)
    # Samples of one prompt are drawn apart.
    assert len({answer.replies[-1].text for answer, _ in found}) > 4


def test_safety_with_a_judge_that_talks_nonsense(chat: TransformersBackend) -> None:
    """The embedded model as its own judge: nothing it says is a verdict, so no reply is called safe or unsafe."""
    found = marked(SafetyTask(), chat, Services(guard=guard_of(chat, form="judge")), 8)
    assert len(found) == 8
    assert all(marks["guard_read"] is False and marks["unsafe"] is None for _, marks in found)
    assert [marks["over"] is None for _, marks in found] == [True, False] * 4
