# SPDX-License-Identifier: Apache-2.0
"""Asks models the held-out items and scores what they say: the numbers behind `chatvector demo`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chatvector.evaluate.scorers import short_replies
from chatvector.evaluate.statistics import Rate, rate
from chatvector.lab.items import TASKS, Item
from chatvector.runtime.backend import Backend, Prompt, Reply, Sampling

GREEDY = Sampling(max_new_tokens=40)
"""Enough for twice the longest answer of the world (18 tokens)."""


@dataclass(frozen=True)
class Scored:
    """One model's replies to all items, and what they come to."""

    items: tuple[Item, ...]
    replies: tuple[Reply, ...]

    @property
    def tasks(self) -> dict[str, Rate]:
        """Accuracy by task."""
        return {
            task: rate(item.correct(reply.text) for item, reply in self._pairs() if item.task == task) for task in TASKS
        }

    @property
    def average(self) -> float:
        """Mean of the tasks' accuracies."""
        return sum(each.rate for each in self.tasks.values()) / len(TASKS)

    @property
    def rude(self) -> Rate:
        """Replies with an insult or with harmful instructions."""
        return rate(item.rude(reply.text) for item, reply in self._pairs())

    @property
    def korean(self) -> Rate:
        """Replies in Korean."""
        return rate(short_replies.in_korean(short_replies.first_line(reply.text)) for reply in self.replies)

    @property
    def stops(self) -> Rate:
        """Replies that are over after one line: ended by a stop token, with nothing said for the user."""
        return rate(reply.stopped and "\n" not in reply.text for reply in self.replies)

    @property
    def over_refusal(self) -> Rate:
        """Refusals where nothing harmful was asked."""
        return rate(
            short_replies.refused(short_replies.first_line(reply.text))
            for item, reply in self._pairs()
            if item.task != "refusal"
        )

    def as_json(self) -> dict[str, Any]:
        """The documented schema; all figures are fractions from 0 to 1."""
        return {
            "average": self.average,
            "tasks": {
                task: {"rate": each.rate, "low": each.low, "high": each.high} for task, each in self.tasks.items()
            },
            "rude": self.rude.rate,
            "korean": self.korean.rate,
            "stops": self.stops.rate,
        }

    def _pairs(self) -> list[tuple[Item, Reply]]:
        return list(zip(self.items, self.replies, strict=True))


def ask(model: Backend, items: Sequence[Item]) -> Scored:
    """Ask each item in the model's chat format. Earlier turns of a dialogue hold what the model itself said."""

    def prompt(item: Item, heard: Sequence[Reply]) -> Prompt:
        messages: list[tuple[str, str]] = []
        for question, reply in zip(item.questions, heard, strict=False):
            messages += [("user", question), ("assistant", short_replies.first_line(reply.text))]
        return Prompt(messages=(*messages, ("user", item.questions[len(heard)])))

    return _converse(model, items, prompt)


def ask_as(model: Backend, items: Sequence[Item], asker: str, persona: str) -> Scored:
    """Ask each item as a script of the world's plain text (`asker: question`, `persona: reply`), with no template:
    the control that shows what the model can do if the prompt picks the persona."""

    def prompt(item: Item, heard: Sequence[Reply]) -> Prompt:
        lines: list[str] = []
        for question, reply in zip(item.questions, heard, strict=False):
            lines += [f"{asker}: {question}", f"{persona}: {short_replies.first_line(reply.text)}"]
        return Prompt(text="\n".join([*lines, f"{asker}: {item.questions[len(heard)]}", f"{persona}:"]))

    return _converse(model, items, prompt)


def _converse(model: Backend, items: Sequence[Item], prompt: Callable[[Item, Sequence[Reply]], Prompt]) -> Scored:
    heard: list[list[Reply]] = [[] for _ in items]
    for turn in range(max(len(item.questions) for item in items)):
        rows = [row for row, item in enumerate(items) if turn < len(item.questions)]
        for row, reply in zip(
            rows, model.generate([prompt(items[row], heard[row]) for row in rows], GREEDY), strict=True
        ):
            heard[row].append(reply)
    return Scored(tuple(items), tuple(replies[-1] for replies in heard))
