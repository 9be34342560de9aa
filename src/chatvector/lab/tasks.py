# SPDX-License-Identifier: Apache-2.0
"""The micro-world's questions as evaluation tasks, for models of the embedded family: the suite `demo`.

Items and rules are the held-out ones of `chatvector demo`, run by the evaluation's runner. Other models do not know the
world's words, and the family knows no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

from chatvector.evaluate.halves import Half
from chatvector.evaluate.registry import Entry, Registry, Suite
from chatvector.evaluate.task import Answer, Language, Marks, Metric, Services, Source, Turn, require_language
from chatvector.evaluate.task import Item as EvaluationItem
from chatvector.evaluate.tasks.knowledge import BitsPerByteTask
from chatvector.evaluate.tasks.texts import ENGLISH, TARGET, Text, Texts
from chatvector.evaluate.thinking import answer_of
from chatvector.lab.comparison import GREEDY
from chatvector.lab.controls import Control, world_forms
from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.items import MOST_ITEMS, SKILL_TASKS, TASKS, Item, Part, held_out_items, refused
from chatvector.lab.world.text import LANGUAGES
from chatvector.lab.world.text import Language as WorldLanguage
from chatvector.runtime.backend import Sampling

USUAL_ITEMS = 40
"""Number of items per task if no limit is given: the suite then takes about a minute per model."""
TEXTS = 200
"""Number of texts per language, some 20,000 bytes."""
_TEXT_SEED = 900_001
_METRICS: tuple[Metric, ...] = (
    Metric("correct", "the world's answer, or a refusal of harm", "correct", primary=True),
    Metric("rude", "rude or harmful", "rude", better="lower", primary=True),
    Metric("refused", "harmless request refused", "refused", better="lower", of_some=True),
)
_OF_FORM = (*_METRICS, Metric("kept", "in the form asked for, whatever it says", "kept", primary=True))


def _name(kind: str) -> str:
    return f"demo-{kind}"


@dataclass(frozen=True)
class WorldTask:
    """One of the world's tasks or skills; `kind` is its name in `lab.world.items`."""

    kind: str
    axis: str = "demo"
    version: str = "3"
    languages: tuple[Language, ...] = ("ko", "zh-Hant", "en")
    sampling: Sampling = GREEDY

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics of all tasks; for a skill, also whether its form is kept."""
        return _OF_FORM if self.kind in SKILL_TASKS else _METRICS

    @property
    def name(self) -> str:
        """`demo-sentiment` and so on."""
        return _name(self.kind)

    def part_of(self, metric: str) -> str | None:
        """The part of a sweep's figure of merit to which a metric belongs; each part counts the same."""
        told = {"refusal": "safety", "memory": "memory"}.get(self.kind, "instructions")
        return {"correct": told, "kept": told, "rude": "safety", "refused": "harmless-answered"}[metric]

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[EvaluationItem]:
        """`limit` items of the test part (by default USUAL_ITEMS, at most MOST_ITEMS). Items about the same word form a
        cluster."""
        return self.half_items("test", language, limit=limit, seed=seed)

    def half_items(self, half: Half, language: Language, *, limit: int | None, seed: int) -> list[EvaluationItem]:
        """`items` of one half, which is one of the world's own parts. The development part, which is only used to
        choose settings, has fewer items."""
        require_language(self, language)
        part: Part = "test" if half == "test" else "dev"
        count = min(limit or USUAL_ITEMS, MOST_ITEMS[part])
        # Seed 0 of the command is seed 1 of `chatvector demo`.
        found = held_out_items(count, seed + 1, cast(WorldLanguage, language), (self.kind,), part)
        return [
            EvaluationItem(
                id=f"{self.kind}-{number:03d}" if part == "test" else f"{self.kind}-dev-{number:03d}",
                language=language,
                turns=tuple(Turn(question) for question in item.questions),
                cluster=item.about,
                expect={"answer": item.answer, "harm": list(item.harm), "mark": item.mark},
                sensitive=self.kind == "refusal",
            )
            for number, item in enumerate(found)
        ]

    def controls(self, language: Language) -> Sequence[Control]:
        """The world's forms of plain text to ask in."""
        return world_forms(language)

    def sources(self, language: Language) -> list[Source]:
        """No sources: the package makes the texts itself."""
        del language
        return []

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks by the rules of `lab.world.items`."""
        del services
        return [self._mark(answer) for answer in answers]

    def _mark(self, answer: Answer) -> Marks:
        asked, expect = answer.item, answer.item.expect
        language = cast(WorldLanguage, asked.language)
        questions = tuple(turn.user for turn in asked.turns)
        item = Item(
            self.kind, language, questions, str(expect["answer"]), harm=tuple(expect["harm"]), mark=str(expect["mark"])
        )
        reply = answer_of(answer.replies[-1].text)
        return {
            "correct": item.correct(reply),
            "rude": item.rude(reply),
            "refused": None if self.kind == "refusal" else refused(reply),
            **({"kept": item.kept(reply)} if self.kind in SKILL_TASKS else {}),
        }


@dataclass(frozen=True)
class WorldTexts(BitsPerByteTask):
    """Bits per byte of the world's plain text, drawn with a seed that no training used. The text has no held-out
    names."""

    axis: str = "demo"
    version: str = "1"

    @property
    def name(self) -> str:
        """`demo-text`."""
        return _name("text")

    @property
    def languages(self) -> tuple[Language, ...]:
        """Languages of the world."""
        return LANGUAGES

    def sources(self, language: Language) -> list[Source]:
        """No sources: the package makes the texts itself."""
        del language
        return []

    def part_of(self, metric: str) -> None:
        """None: it belongs to no part of a merit, which counts replies only."""
        del metric

    def _texts(self, language: Language) -> Texts:
        require_language(self, language, "texts")
        kinds: dict[str, WorldLanguage] = {TARGET: cast(WorldLanguage, language)}
        if language != "en":
            kinds[ENGLISH] = "en"
        drawn = {kind: list(islice(documents(_TEXT_SEED, Mixture.only(own)), TEXTS)) for kind, own in kinds.items()}
        rows = [
            Text(f"plain-world-{number:03d}", kind, drawn[kind][number]) for number in range(TEXTS) for kind in kinds
        ]
        return Texts(language, tuple(rows), ())


_ENTRIES = (
    *(Entry(_name(kind), "demo", f"{__name__}:WorldTask", (kind,)) for kind in (*TASKS, *SKILL_TASKS)),
    Entry(_name("text"), "demo", f"{__name__}:WorldTexts"),
)
_SUITE = Suite("the micro-world of demo:base, demo:chat and demo:target", dict.fromkeys(map(_name, TASKS)), ("ko",))
_SKILLS = Suite("what only the tuning of demo:chat teaches", dict.fromkeys(map(_name, SKILL_TASKS)), ("ko",))

WORLD = Registry(_ENTRIES, suites={"demo": _SUITE, "demo-skills": _SKILLS})
"""Tasks and suites that the lab adds to the evaluation's own registry."""
