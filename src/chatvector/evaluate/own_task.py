# SPDX-License-Identifier: Apache-2.0
"""The user's own task in a few lines: a data file, a question made of its columns, and a function that says yes or no.

Whatever does not fit (dialogues, several metrics, a judge) needs a class that implements
`chatvector.evaluate.task.Task`. docs/own-task.md has both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from chatvector.errors import InputError
from chatvector.evaluate.items import file_source, read_records
from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source, Turn, require_language
from chatvector.evaluate.thinking import answer_of
from chatvector.runtime.backend import Sampling

_METRICS = (Metric("right", "right replies", "right", primary=True),)
_SAMPLING = Sampling(max_new_tokens=256)


@dataclass(frozen=True)
class OwnTask:
    """A task that asks one question per record and marks the reply right or wrong.

    Attributes:
        name: name of the task in the results.
        file: JSONL, CSV, TSV or Parquet with a column for every name in `question`; see `items.read_records`.
        language: language of questions and replies.
        question: the prompt; `{column}` stands for the value of a column.
        right: whether a reply, given without its thinking, is right for a record.
        cluster: a column; records with equal values in it are not independent. None: all records are independent.
    """

    name: str
    file: Path
    language: Language
    question: str
    right: Callable[[str, Mapping[str, Any]], bool]
    cluster: str | None = None
    licence: str = "not stated"
    axis: str = "own"
    version: str = "1"
    sampling: Sampling = _SAMPLING
    metrics: tuple[Metric, ...] = _METRICS

    @property
    def languages(self) -> tuple[Language, ...]:
        """The one language of the task."""
        return (self.language,)

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """One item per record, in file order. Raises UsageError for another language, and what `read_records`
        raises."""
        del seed
        require_language(self, language)
        columns = [name for _, name, _, _ in Formatter().parse(self.question) if name]
        records = read_records(self.file, columns + ([self.cluster] if self.cluster else []))
        return [
            Item(
                id=str(record.get("id", number)),
                language=language,
                turns=(Turn(self.question.format_map(record)),),
                cluster=str(record[self.cluster]) if self.cluster else "",
                expect=record,
            )
            for number, record in enumerate(records[:limit], 1)
        ]

    def sources(self, language: Language) -> list[Source]:
        """The data file."""
        del language
        return [file_source(self.file, self.licence)]

    def needs(self) -> tuple[str, ...]:
        """Needs no services."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """The mark `right` of each answer. Raises InputError, which names the item, if the function `right` fails."""
        del services
        return [{"right": self._right(one)} for one in answers]

    def _right(self, answer: Answer) -> bool:
        try:
            return bool(self.right(answer_of(answer.replies[-1].text), answer.item.expect))
        except Exception as error:
            raise InputError(
                f"task {self.name}, item {answer.item.id}: its function `right` fails: {type(error).__name__}: {error}"
            ) from error
