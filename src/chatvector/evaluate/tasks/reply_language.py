# SPDX-License-Identifier: Apache-2.0
"""`reply-language`: does a model answer in the language of the prompt, or in the one that the prompt asks for?

There are two kinds of prompts, as in the Language Confusion Benchmark (Marchisio et al. 2024, arXiv 2406.20052): asked
and answered in one language (monolingual), and asked in another language with a request for this one (crosslingual).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from chatvector.errors import InputError, UsageError, first_five
from chatvector.evaluate import items as item_files
from chatvector.evaluate.languages.known import known, matches
from chatvector.evaluate.languages.marks import language_marks, language_metrics
from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source, Turn
from chatvector.evaluate.tasks.answers import answer_text
from chatvector.runtime.backend import Sampling

_SAMPLING = Sampling(max_new_tokens=512)
NAME = "reply-language"


@dataclass(frozen=True)
class Row:
    """A prompt. `expected` is the tag of the language to answer in; `zh` accepts either script of Chinese."""

    id: str
    prompt: str
    kind: str
    asked: str
    expected: str


@dataclass(frozen=True)
class UserPrompts:
    """Prompts of a user's file, all to be answered in one language."""

    language: Language
    rows: tuple[Row, ...]
    source: Source


@dataclass(frozen=True)
class ReplyLanguage:
    """The starter prompts, 30 monolingual and 12 crosslingual ones per language, or those of `data`."""

    data: UserPrompts | None = None
    sampling: Sampling = _SAMPLING
    axis: str = "language"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default=language_metrics(("kind", "asked")), repr=False)

    @property
    def name(self) -> str:
        """`reply-language`; the file's name is added for a user's data."""
        return NAME + (f"-{Path(self.data.source.name).stem}" if self.data else "")

    @property
    def languages(self) -> tuple[Language, ...]:
        """Language of the data; without data, the languages that have starter prompts."""
        return (self.data.language,) if self.data else item_files.starter_languages(NAME)

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Items of one turn each. Starter prompts keep their order, in which five monolingual and two crosslingual ones
        alternate; a user's prompts are shuffled."""
        return [_item(row, language) for row in self._rows(language, seed)[:limit]]

    def sources(self, language: Language) -> list[Source]:
        """The starter file, or the user's file."""
        return [self.data.source if self.data else item_files.starter_source(NAME, language)]

    def needs(self) -> tuple[str, ...]:
        """Needs no service: scripts and Lingua tell the languages."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:  # noqa: ARG002
        """Marks of `language_marks`."""
        return [
            language_marks(answer_text(answer), str(answer.item.expect["language"]), answer.item.turns[-1].user)
            for answer in answers
        ]

    def _rows(self, language: Language, seed: int) -> Sequence[Row]:
        if self.data is None:
            records = item_files.load_starter(NAME, language)
            return [Row(one["id"], one["prompt"], one["kind"], one["asked"], language) for one in records]
        if language != self.data.language:
            raise UsageError(f"{self.name}: has no prompts for {language!r}; it has {self.data.language}")
        shuffled = list(self.data.rows)
        Random(seed).shuffle(shuffled)
        return shuffled


def reply_language_from_file(path: Path | str, language: Language, *, licence: str = "not stated") -> ReplyLanguage:
    """The task on a file of prompts, such as those of the Language Confusion Benchmark.

    Columns: `prompt` (or `Q`, of pairs as in songys/Chatbot_data), and `language` (the one to answer in; without it all
    rows are for the argument `language`). Rows for other languages are left out. `zh` fits both scripts of Chinese, and
    a reply in either script passes then. A row with `phrasing`, the wording of the request in crosslingual files, is
    crosslingual.

    Raises UsageError for a language that the meter does not know, InputError for a file without a prompt for the
    language, and what `items.read_records` raises.
    """
    known(language)
    address, path = path, item_files.local_file(path)
    records = item_files.read_records(path, (("prompt", "Q"),))
    rows = []
    for number, record in enumerate(records, 1):
        expected = str(record.get("language") or language)
        if matches(expected, language):
            kind = "crosslingual" if record.get("phrasing") else "monolingual"
            asked = "another" if record.get("phrasing") else language
            rows.append(Row(f"{path.stem}-{number:04d}", str(record["prompt"]), kind, asked, expected))
    if not rows:
        there = first_five(sorted({str(record.get("language")) for record in records}))
        raise InputError(f"{path}: none of its {len(records)} prompts is for {language}; they are for {there}")
    return ReplyLanguage(UserPrompts(language, tuple(rows), item_files.file_source(address, licence)))


def _item(row: Row, language: Language) -> Item:
    return Item(
        id=row.id,
        language=language,
        turns=(Turn(row.prompt),),
        expect={"language": row.expected},
        facets={"kind": row.kind, "asked": row.asked},
    )
