# SPDX-License-Identifier: Apache-2.0
"""Open questions, marked by a judge from 1 to 10 beside a reference answer.

A question of two turns makes two items, one per turn: the judge marks the last reply of an item, which follows the
model's own earlier replies. Every item is asked without and with a system prompt. The items of a question form a
cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatvector.errors import UsageError
from chatvector.evaluate import items as item_files
from chatvector.evaluate.judge.protocol import Exchange, Judge
from chatvector.evaluate.judge.scores import on_target, scores
from chatvector.evaluate.statistics.agreement import spearman
from chatvector.evaluate.task import (
    Answer,
    Item,
    Language,
    Marked,
    Marks,
    Metric,
    Services,
    Source,
    Turn,
    require_language,
)
from chatvector.evaluate.tasks.open_data import SYSTEM_PROMPTS, Question, Questions, read_pairs, read_questions, starter
from chatvector.evaluate.thinking import answer_of
from chatvector.runtime.backend import Sampling

VERSION = "1"
SYSTEMS = ("without", "with")
"""Values of the facet `system`."""


def _length_bias(marked: Sequence[Marked]) -> float | None:
    """Spearman's ρ of raw score and length of the reply in characters: how much the judge may have rewarded length.
    None with fewer than three scored replies."""
    pairs = [(m.marks["raw"], m.marks["characters"]) for m in marked if m.marks["raw"] is not None]
    if len(pairs) < 3:
        return None
    return spearman([float(raw or 0) for raw, _ in pairs], [float(length or 0) for _, length in pairs])


_BY = ("turn", "system", "category")
METRICS = (
    Metric(
        "gated",
        "judge's score, wrong language = 1",
        "gated",
        kind="mean",
        by=_BY,
        primary=True,
        unit="points",
        margin=0.5,
    ),
    Metric("raw", "judge's score whatever the language", "raw", kind="mean", by=("turn", "system"), unit="points"),
    Metric("root", "judge's score, √ in the wrong language", "root", kind="mean", by=("turn", "system"), unit="points"),
    Metric("scored", "verdicts that could be read", "scored", better="neither"),
    Metric("on_target", "replies in their language", "on_target", by=("turn", "system")),
    Metric("characters", "length of the reply", "characters", kind="mean", better="neither", unit="characters"),
    Metric("length_bias", "score against length: ρ", aggregate=_length_bias, kind="mean", better="neither", unit="ρ"),
)


@dataclass(frozen=True)
class OpenTask:
    """The starter questions, or those of `data`.

    Attributes:
        systems: values of SYSTEMS that are asked.
    """

    data: Questions | None = None
    systems: tuple[str, ...] = SYSTEMS
    sampling: Sampling = field(default=Sampling(max_new_tokens=1024))
    axis: str = "instructions"
    version: str = VERSION
    metrics: tuple[Metric, ...] = field(default=METRICS, repr=False)

    def __post_init__(self) -> None:
        if not self.systems or not set(self.systems) <= set(SYSTEMS):
            raise UsageError(f"systems {', '.join(self.systems) or 'none'}: choose from {', '.join(SYSTEMS)}")

    @property
    def name(self) -> str:
        """`open`; the file's name is added for a user's data."""
        return "open" + (f"-{Path(self.data.source.name).stem}" if self.data else "")

    @property
    def languages(self) -> tuple[Language, ...]:
        """Language of the data; without data, the languages that have starter questions."""
        return (self.data.language,) if self.data else item_files.starter_languages("open")

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The items question by question: its turns, each without and with a system prompt. The categories of starter
        questions take turns."""
        del seed
        require_language(self, language)
        if "with" in self.systems and language not in SYSTEM_PROMPTS:
            raise UsageError(f"{self.name}: no system prompt in {language!r}; ask without: systems=('without',)")
        rows = self.data.rows if self.data else starter(language)
        made = [
            self._item(row, language, turn, system)
            for row in rows
            for turn in range(1, len(row.turns) + 1)
            for system in self.systems
        ]
        return made[:limit]

    def sources(self, language: Language) -> list[Source]:
        """The starter file, or the user's file."""
        require_language(self, language)
        return [self.data.source if self.data else item_files.starter_source("open", language)]

    def needs(self) -> tuple[str, ...]:
        """Needs a judge."""
        return ("judge",)

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks: `raw`, `root` and `gated` (None if the verdict could not be read; `judge_reason` says why), `scored`,
        `on_target`, `characters`. An empty answer is not shown to the judge: it gets the lowest score. Raises what the
        judge raises."""
        judge: Judge = services.judge
        exchanges = [exchange_of(answer) for answer in answers]
        spoken = [row for row, exchange in enumerate(exchanges) if exchange.replies[-1].strip()]
        given = dict(zip(spoken, judge.grade([exchanges[row] for row in spoken]), strict=True))
        marks: list[Marks] = []
        for row, exchange in enumerate(exchanges):
            language = language_mark(exchange)
            score = given.get(row)
            found = scores(1.0 if score is None else score.value, language)
            marks.append(
                {
                    "raw": found.raw,
                    "root": found.root,
                    "gated": found.gated,
                    "scored": None if score is None else score.value is not None,
                    "judge_reason": None if score is None else score.reason,
                    "on_target": language,
                    "characters": float(len(exchange.replies[-1])),
                }
            )
        return marks

    def _item(self, row: Question, language: Language, turn: int, system: str) -> Item:
        return Item(
            id=f"{row.id}/{turn}/{system}",
            language=language,
            turns=tuple(Turn(text) for text in row.turns[:turn]),
            system=SYSTEM_PROMPTS[language] if system == "with" else None,
            cluster=row.id,
            expect={"references": list(row.references[:turn])},
            facets={"turn": str(turn), "system": system, "category": row.category},
        )


def exchange_of(answer: Answer) -> Exchange:
    """The exchange that the judge is shown for an answer; the replies are without their thinking."""
    item = answer.item
    return Exchange(
        language=item.language,
        questions=tuple(turn.user for turn in item.turns),
        replies=tuple(answer_of(reply.text) for reply in answer.replies),
        references=tuple(item.expect["references"]),
        system=item.system,
    )


def language_mark(exchange: Exchange) -> bool | None:
    """Whether the last reply is in the language of the exchange; see `judge.scores.on_target`."""
    return on_target(exchange.replies[-1], exchange.language, "\n".join(exchange.questions), exchange.reference)


def open_from_file(
    path: Path | str, language: Language, *, systems: tuple[str, ...] = ("without",), licence: str = "not stated"
) -> OpenTask:
    """The task over a file of the MT-bench family; see `open_data.read_questions`. By default it is asked as published,
    without a system prompt."""
    return OpenTask(read_questions(path, language, licence=licence), systems)


def pairs_from_file(
    path: Path | str, language: Language, *, systems: tuple[str, ...] = ("without",), licence: str = "not stated"
) -> OpenTask:
    """The task over a file of questions and answers; see `open_data.read_pairs`."""
    return OpenTask(read_pairs(path, language, licence=licence), systems)
