# SPDX-License-Identifier: Apache-2.0
"""Asks models the held-out items and scores what they say: the numbers behind `chatvector demo`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatvector.evaluate.scorers import short_replies
from chatvector.evaluate.statistics import Rate, rate
from chatvector.lab.items import TASKS, Item
from chatvector.runtime.generation import Reply, Speaker

MAX_NEW_TOKENS = 40
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


def ask(speaker: Speaker, items: Sequence[Item], *, template: str | None = None) -> Scored:
    """Ask each item in the chat format: the model's own template, or `template` where it has none. Earlier turns of a
    dialogue hold what the model itself said."""
    heard: list[list[Reply]] = [[] for _ in items]
    for turn in range(max(len(item.questions) for item in items)):
        rows = [row for row, item in enumerate(items) if turn < len(item.questions)]
        prompts = []
        for row in rows:
            messages = []
            for question, reply in zip(items[row].questions, heard[row], strict=False):
                messages += [{"role": "user", "content": question}]
                messages += [{"role": "assistant", "content": short_replies.first_line(reply.text)}]
            messages.append({"role": "user", "content": items[row].questions[turn]})
            prompts.append(speaker.render(messages, template))
        replies = speaker.continue_(prompts, max_new_tokens=MAX_NEW_TOKENS)
        for row, reply in zip(rows, replies, strict=True):
            heard[row].append(reply)
    return Scored(tuple(items), tuple(replies[-1] for replies in heard))


def ask_as(speaker: Speaker, items: Sequence[Item], asker: str, persona: str) -> Scored:
    """Ask each item as a script of the world's plain text (`asker: question`, `persona: reply`), with no template:
    the control that shows what the model can do if the prompt picks the persona."""
    heard: list[list[Reply]] = [[] for _ in items]
    for turn in range(max(len(item.questions) for item in items)):
        rows = [row for row, item in enumerate(items) if turn < len(item.questions)]
        prompts = []
        for row in rows:
            lines = []
            for question, reply in zip(items[row].questions, heard[row], strict=False):
                lines += [f"{asker}: {question}", f"{persona}: {short_replies.first_line(reply.text)}"]
            prompts.append("\n".join([*lines, f"{asker}: {items[row].questions[turn]}", f"{persona}:"]))
        replies = speaker.continue_(prompts, max_new_tokens=MAX_NEW_TOKENS, begin=True)
        for row, reply in zip(rows, replies, strict=True):
            heard[row].append(reply)
    return Scored(tuple(items), tuple(replies[-1] for replies in heard))
