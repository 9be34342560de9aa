# SPDX-License-Identifier: Apache-2.0
"""Bits per byte: how well a model predicts ordinary text, in the language evaluated, in English, and in another one.

    bits per byte = −Σ ln p(text) / (ln 2 · Σ bytes(text)),   bytes in UTF-8

The measure does not depend on the tokenizer: a text has the same bytes however it is split, so models with different
vocabularies can be compared. Each line is scored on its own, after what the tokenizer puts before a text
(`runtime.likelihood`); the end of the text is not predicted. Text with several bytes per character (Korean, Chinese)
has fewer bits per byte than English: compare models on one text, not texts with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chatvector.errors import UsageError
from chatvector.evaluate.task import Answer, Item, Language, Marked, Marks, Metric, Services, Source
from chatvector.evaluate.tasks.texts import ENGLISH, OTHER, OTHERS, TARGET, Text, Texts, starter, whole_lines
from chatvector.runtime.backend import Sampling

MARGIN = 0.02
"""Bits per byte by which a model may be worse than the reference and still counts as not worse. Continual pre-training
gains several times as much in its language."""


def bits_per_byte(nats: float, byte_count: float) -> float:
    """−nats / (ln 2 · bytes)."""
    return -nats / (math.log(2) * byte_count)


def _together(marked: Sequence[Marked]) -> float | None:
    """Bits per byte of all texts together; None if there are no texts."""
    byte_count = sum(float(m.marks["bytes"] or 0) for m in marked)
    return bits_per_byte(sum(float(m.marks["nats"] or 0) for m in marked), byte_count) if marked else None


def of_kind(kind: str) -> Callable[[Marked], bool]:
    """A function that says whether an answer's text is of the kind `kind`."""
    return lambda marked: marked.answer.item.facets["text"] == kind


def _metric(name: str, title: str, kind: str | None, *, primary: bool = False, by: tuple[str, ...] = ()) -> Metric:
    return Metric(
        name,
        title,
        aggregate=_together,
        kind="mean",
        better="lower",
        by=by,
        primary=primary,
        unit="bits per byte",
        margin=MARGIN,
        counts=None if kind is None else of_kind(kind),
    )


METRICS = (
    _metric("target", "bits per byte, language evaluated", TARGET, primary=True),
    _metric("english", "bits per byte, English", ENGLISH, primary=True),
    _metric("other", "bits per byte, another language", OTHER),
    _metric("all", "bits per byte, all texts", None, by=("text", "kind")),
)


@dataclass(frozen=True)
class BitsPerByteTask:
    """Bits per byte of the starter lines, or of `data`."""

    data: Texts | None = None
    axis: str = "knowledge"
    version: str = "1"
    metrics: tuple[Metric, ...] = field(default=METRICS, repr=False)

    @property
    def name(self) -> str:
        """`bits-per-byte`; the file's name is added for a user's data."""
        return "bits-per-byte" + (f"-{self.data.name}" if self.data else "")

    @property
    def languages(self) -> tuple[Language, ...]:
        """Language of the data; without data, the languages that have starter lines."""
        return (self.data.language,) if self.data else tuple(OTHERS)

    @property
    def sampling(self) -> Sampling:
        """Default settings; likelihood items draw nothing."""
        return Sampling()

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """One item per text. The texts of a line stand side by side and form a cluster; `limit` never splits them."""
        del seed
        return [text_item(row, language) for row in whole_lines(self._texts(language).rows, limit)]

    def sources(self, language: Language) -> list[Source]:
        """The starter files, or the user's files."""
        return list(self._texts(language).sources)

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks of each text: `nats`, `bytes`, `tokens` and `bits_per_byte`."""
        del services
        return [text_marks(answer) for answer in answers]

    def _texts(self, language: Language) -> Texts:
        if language not in self.languages:
            raise UsageError(f"{self.name}: has no texts in {language!r}; it has {', '.join(self.languages)}")
        return self.data or starter(language)


def text_item(row: Text, language: Language) -> Item:
    """An item that asks for the likelihood of a text."""
    # Ids of starter lines look like plain-news-03: the part in the middle is the kind of prose.
    parts = row.line.split("-")
    facets = {"text": row.kind} | ({"kind": parts[1]} if parts[0] == "plain" else {})
    return Item(f"{row.line}/{row.kind}", language, text=row.text, mode="likelihood", cluster=row.line, facets=facets)


def text_marks(answer: Answer) -> Marks:
    """Marks of a text from its likelihood; `tokens` is None if the number of tokens is not known."""
    assert answer.nats is not None, f"{answer.item.id}: a likelihood item without a likelihood"
    assert answer.item.text is not None
    byte_count = len(answer.item.text.encode())
    return {
        "nats": answer.nats,
        "bytes": float(byte_count),
        "tokens": None if answer.tokens is None else float(answer.tokens),
        "bits_per_byte": bits_per_byte(answer.nats, byte_count),
    }
