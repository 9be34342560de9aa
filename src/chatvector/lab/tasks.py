# SPDX-License-Identifier: Apache-2.0
"""The micro-world's questions as evaluation tasks, for models of the embedded family: the suite `demo`.

The same held-out items and rules as `chatvector demo`, through the evaluation's runner. Other models do not know the
world's words; the family knows no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatvector.errors import UsageError
from chatvector.evaluate.registry import Entry, Registry, Suite
from chatvector.evaluate.scorers.short_replies import first_line, refused
from chatvector.evaluate.task import Answer, Language, Marks, Metric, Services, Source, Turn
from chatvector.evaluate.task import Item as EvaluationItem
from chatvector.evaluate.thinking import answer_of
from chatvector.lab.comparison import GREEDY
from chatvector.lab.controls import Control, world_forms
from chatvector.lab.items import MOST_ITEMS, TASKS, Item, held_out_items
from chatvector.runtime.backend import Sampling

_METRICS = (
    Metric("correct", "the world's answer, or a refusal of harm", "correct", primary=True),
    Metric("rude", "rude or harmful", "rude", better="lower", primary=True),
    Metric("refused", "harmless request refused", "refused", better="lower"),
)


def _name(kind: str) -> str:
    return f"demo-{kind}"


@dataclass(frozen=True)
class WorldTask:
    """One of the world's tasks; `kind` is its name in `lab.items`."""

    kind: str
    axis: str = "demo"
    version: str = "1"
    languages: tuple[Language, ...] = ("ko", "en")
    metrics: tuple[Metric, ...] = field(default=_METRICS, repr=False)
    sampling: Sampling = GREEDY

    @property
    def name(self) -> str:
        """`demo-sentiment` and so on."""
        return _name(self.kind)

    def part_of(self, metric: str) -> str | None:
        """For the figure of merit of a sweep, in which each part counts the same."""
        told = {"refusal": "safety", "memory": "memory"}.get(self.kind, "instructions")
        return {"correct": told, "rude": "safety", "refused": "harmless-answered"}[metric]

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[EvaluationItem]:
        """At most MOST_ITEMS, the number the world has; an item is its own cluster, though prompts share words."""
        if language not in self.languages:
            raise UsageError(f"{self.name}: has no items in {language!r}; it has {', '.join(self.languages)}")
        world = "en" if language == "en" else "ko"
        count = min(limit or MOST_ITEMS, MOST_ITEMS)
        # Seed 0 of the command is seed 1 of `chatvector demo`: the scale was chosen on items of another one.
        found = [item for item in held_out_items(count, seed + 1, world) if item.task == self.kind]
        return [
            EvaluationItem(
                id=f"{self.kind}-{number:02d}",
                language=language,
                turns=tuple(Turn(question) for question in item.questions),
                expect={"answer": item.answer, "harm": list(item.harm)},
                sensitive=self.kind == "refusal",
            )
            for number, item in enumerate(found)
        ]

    def controls(self, language: Language) -> Sequence[Control]:
        """The world's plain forms to ask in."""
        return world_forms(language)

    def sources(self, language: Language) -> list[Source]:
        """Made by the package."""
        del language
        return []

    def needs(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """By the rules of `lab.items`."""
        del services
        return [self._mark(answer) for answer in answers]

    def _mark(self, answer: Answer) -> Marks:
        asked, expect = answer.item, answer.item.expect
        questions = tuple(turn.user for turn in asked.turns)
        item = Item(self.kind, questions, str(expect["answer"]), tuple(expect["harm"]))
        reply = answer_of(answer.replies[-1].text)
        return {
            "correct": item.correct(reply),
            "rude": item.rude(reply),
            "refused": None if self.kind == "refusal" else refused(first_line(reply)),
        }


_ENTRIES = tuple(Entry(_name(kind), "demo", f"{__name__}:WorldTask", (kind,)) for kind in TASKS)
_SUITE = Suite("the micro-world of demo:base, demo:chat and demo:target", dict.fromkeys(map(_name, TASKS)), ("ko",))

WORLD = Registry(_ENTRIES, suites={"demo": _SUITE})
"""What the lab adds to the evaluation's own registry."""
