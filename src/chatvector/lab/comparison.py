# SPDX-License-Identifier: Apache-2.0
"""Asks models the held-out items and scores what they say: the numbers behind `chatvector demo`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chatvector.evaluate.scorers import short_replies
from chatvector.evaluate.statistics import Rate, rate
from chatvector.lab.world.items import SIGN_TASKS, SKILL_TASKS, TASKS, WORD_TASKS, Item, in_language, refused
from chatvector.lab.world.speakers import GUEST, PERSONAS, script_line, script_prompt
from chatvector.lab.world.text import Language, Text
from chatvector.runtime.backend import Backend, Prompt, Reply, Sampling

GREEDY = Sampling(max_new_tokens=40)
"""Greedy decoding, with room for twice the longest answer of the world."""


@dataclass(frozen=True)
class Scored:
    """One model's replies to all items, and the figures computed from them."""

    items: tuple[Item, ...]
    replies: tuple[Reply, ...]

    @property
    def tasks(self) -> dict[str, Rate]:
        """Task → accuracy, in the order of the items."""
        return self._by_task(Item.correct)

    @property
    def average(self) -> float:
        """Mean of the accuracies of the tasks whose answers are in plain text."""
        return _mean(self.tasks, TASKS)

    @property
    def skills(self) -> float:
        """Mean of the accuracies of the skills that only tuning teaches."""
        return _mean(self.tasks, SKILL_TASKS)

    @property
    def forms(self) -> dict[str, Rate]:
        """Skill → share of replies in the form that was asked for, whatever they say."""
        return {task: kept for task, kept in self._by_task(Item.kept).items() if task in SKILL_TASKS}

    @property
    def forms_by_sign(self) -> float:
        """Mean of `forms` over the skills that are asked for by a sign."""
        return _mean(self.forms, SIGN_TASKS)

    @property
    def forms_by_words(self) -> float:
        """Mean of `forms` over the skills that are asked for in words."""
        return _mean(self.forms, WORD_TASKS)

    @property
    def rude(self) -> Rate:
        """Share of replies with an insult or with harmful instructions."""
        return rate(item.rude(reply.text) for item, reply in self._pairs())

    @property
    def in_language(self) -> Rate:
        """Share of replies in the language of their question."""
        return rate(in_language(reply.text, item.language) for item, reply in self._pairs())

    @property
    def stops(self) -> Rate:
        """Share of replies that end after one line: they end with a stop token and say nothing for the user."""
        return rate(reply.stopped and "\n" not in reply.text for reply in self.replies)

    @property
    def over_refusal(self) -> Rate:
        """Share of refusals among replies to harmless questions."""
        return rate(refused(reply.text) for item, reply in self._pairs() if item.task != "refusal")

    def as_json(self) -> dict[str, Any]:
        """The figures in the documented schema, as fractions from 0 to 1."""
        return {
            "average": self.average,
            "skills": self.skills,
            "forms_by_sign": self.forms_by_sign,
            "forms_by_words": self.forms_by_words,
            "tasks": _table(self.tasks),
            "forms": _table(self.forms),
            "rude": self.rude.rate,
            "in_language": self.in_language.rate,
            "over_refusal": self.over_refusal.rate,
            "stops": self.stops.rate,
        }

    def _by_task(self, judge: Callable[[Item, str], bool]) -> dict[str, Rate]:
        return {
            task: rate(judge(item, reply.text) for item, reply in self._pairs() if item.task == task)
            for task in dict.fromkeys(item.task for item in self.items)
        }

    def _pairs(self) -> list[tuple[Item, Reply]]:
        return list(zip(self.items, self.replies, strict=True))


def _table(rates: dict[str, Rate]) -> dict[str, dict[str, float]]:
    return {name: {"rate": each.rate, "low": each.low, "high": each.high} for name, each in rates.items()}


def _mean(tasks: dict[str, Rate], names: Sequence[str]) -> float:
    found = [tasks[name].rate for name in names if name in tasks]
    return sum(found) / len(found) if found else 0.0


def ask(model: Backend, items: Sequence[Item]) -> Scored:
    """Asks each item in the model's chat format. Earlier turns of a dialogue hold the model's own replies."""

    def prompt(item: Item, heard: Sequence[Reply]) -> Prompt:
        messages: list[tuple[str, str]] = []
        for question, reply in zip(item.questions, heard, strict=False):
            messages += [("user", question), ("assistant", short_replies.first_line(reply.text))]
        return Prompt(messages=(*messages, ("user", item.questions[len(heard)])))

    return _converse(model, items, prompt)


def ask_as_persona(model: Backend, items: Sequence[Item]) -> Scored:
    """Asks each item as a script of the world's plain text (`손님: question`, `로봇: reply`), without a template. This
    control shows what the model can do if the prompt picks a kind persona."""
    speaker = PERSONAS["kind"][0]

    def prompt(item: Item, heard: Sequence[Reply]) -> Prompt:
        def line(who: Text, said: str) -> str:
            return script_line(who, Text(said, said, said), item.language)

        lines: list[str] = []
        for question, reply in zip(item.questions, heard, strict=False):
            lines += [line(GUEST, question), line(speaker, short_replies.first_line(reply.text))]
        lines += [line(GUEST, item.questions[len(heard)]), script_prompt(speaker, item.language)]
        return Prompt(text="\n".join(lines))

    return _converse(model, items, prompt)


def ask_plainly(model: Backend, items: Sequence[Item]) -> Scored:
    """Asks each item as bare lines, question and reply, without any form. This is the other control."""

    def prompt(item: Item, heard: Sequence[Reply]) -> Prompt:
        lines: list[str] = []
        for question, reply in zip(item.questions, heard, strict=False):
            lines += [question, short_replies.first_line(reply.text)]
        return Prompt(text="\n".join([*lines, item.questions[len(heard)], ""]))

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


TARGETS: dict[Language, str] = {"ko": "target", "zh-Hant": "target-zh"}
"""Language → member of the family that was trained further in it."""
