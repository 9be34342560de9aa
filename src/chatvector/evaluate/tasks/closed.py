# SPDX-License-Identifier: Apache-2.0
"""Closed questions: what is a text about, is a review positive, does one sentence follow from another.

Every text is asked in three wordings; the replies to a text form a cluster. Accuracy counts a reply without a readable
label as wrong, because the model was told what to answer. Macro-F1 is over the readable replies only: it says how well
the model labels when it does give a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatvector.errors import UsageError
from chatvector.evaluate import items as item_files
from chatvector.evaluate.task import Answer, Item, Language, Marked, Marks, Metric, Services, Source, Turn
from chatvector.evaluate.tasks.answers import answer_text
from chatvector.evaluate.tasks.closed_data import Row, UserData, interleaved, read_data
from chatvector.evaluate.tasks.closed_wordings import PROMPTS, WORDINGS, ask
from chatvector.evaluate.tasks.label_words import LABELS, Key, Labels
from chatvector.evaluate.tasks.labels import parse_label
from chatvector.runtime.backend import Sampling

_SHORT = Sampling(max_new_tokens=96)
"""Default sampling: room for a sentence around the label. A model that thinks needs more."""


def _macro_f1(marked: Sequence[Marked]) -> float | None:
    """Mean over the gold labels of 2·TP / (2·TP + FP + FN), among replies with a readable label; None if there is
    none."""
    pairs = [(str(m.answer.item.expect["label"]), m.marks["label"]) for m in marked if m.marks["label"] is not None]
    if not pairs:
        return None
    true, gold, given = (
        Counter(g for g, p in pairs if g == p),
        Counter(g for g, _ in pairs),
        Counter(p for _, p in pairs),
    )
    return sum(2 * true[label] / (gold[label] + given[label]) for label in gold) / len(gold)


def _spread(marked: Sequence[Marked]) -> float | None:
    """Accuracy of the best wording minus that of the worst; None with fewer than two wordings."""
    outcomes: dict[str, list[bool]] = {}
    for m in marked:
        outcomes.setdefault(m.answer.item.facets["wording"], []).append(bool(m.marks["correct"]))
    shares = [sum(one) / len(one) for one in outcomes.values()]
    return max(shares) - min(shares) if len(shares) > 1 else None


def _majority(marked: Sequence[Marked]) -> float | None:
    """Accuracy of always giving the most frequent gold label."""
    gold = Counter(m.answer.item.expect["label"] for m in marked)
    return max(gold.values()) / gold.total() if gold else None


METRICS = (
    Metric("accuracy", "accuracy, unparsed = wrong", "correct", by=("wording", "label"), primary=True),
    Metric("macro_f1", "macro-F1 of parsed replies", aggregate=_macro_f1, kind="mean"),
    Metric("parsed", "replies with a readable label", "parsed", by=("wording",)),
    Metric("english_label", "labels given in English", "english", better="lower", of_some=True),
    Metric("wording_spread", "best wording − worst", aggregate=_spread, kind="mean", better="lower"),
    Metric("majority", "always the most frequent label", aggregate=_majority, kind="mean", better="neither"),
)


@dataclass(frozen=True)
class ClosedTask:
    """A closed question about the starter texts, or about `data`.

    Attributes:
        kind: `topic`, `sentiment` or `nli` (which has no starter items and needs `data`).
    """

    kind: str
    data: UserData | None = None
    sampling: Sampling = _SHORT
    axis: str = "instructions"
    version: str = "3"
    metrics: tuple[Metric, ...] = field(default=METRICS, repr=False)

    @property
    def name(self) -> str:
        """`closed-topic` and so on; the file's name is added for a user's data."""
        return f"closed-{self.kind}" + (f"-{Path(self.data.source.name).stem}" if self.data else "")

    @property
    def languages(self) -> tuple[Language, ...]:
        """Language of the data; without data, the languages that have starter items and prompts."""
        if self.data:
            return (self.data.language,)
        return tuple(language for language in PROMPTS[self.kind] if language in item_files.starter_languages(self.kind))

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Three wordings of each text, one after the other. The order of the labels in the prompt rotates from text to
        text, so that no label gains by its place. The texts are ordered so that any first few are balanced by label."""
        made: list[Item] = []
        for row, order in self.rows_in_order(language, seed=seed):
            fields = {"text": row.text} | ({"hypothesis": row.hypothesis} if row.hypothesis else {})
            for number, wording in enumerate(WORDINGS):
                made.append(
                    Item(
                        id=f"{row.id}/{wording}",
                        language=language,
                        turns=(Turn(ask(self.kind, language, number, order, **fields)),),
                        cluster=row.cluster or row.id,
                        expect={"label": row.label, "text": row.text},
                        facets={"wording": wording, "label": row.label},
                    )
                )
        return made[:limit]

    def label_names(self, language: Language) -> dict[Key, str]:
        """Key → name of the label in prompts. Raises UsageError for a language without items."""
        self._check(language)
        return {key: label.name for key, label in self._labels(language).items()}

    def rows_in_order(self, language: Language, *, seed: int) -> list[tuple[Row, list[str]]]:
        """The rows, each with the order of label names in its prompt. They are ordered so that any first few are
        balanced by label."""
        names = list(self.label_names(language).values())
        ordered: list[tuple[Row, list[str]]] = []
        for place, row in enumerate(self._rows(language, seed)):
            turn = place // len(names) % len(names)  # the order changes after each round of labels
            ordered.append((row, names[turn:] + names[:turn]))
        return ordered

    def sources(self, language: Language) -> list[Source]:
        """The starter file, or the user's file."""
        self._check(language)
        return [self.data.source if self.data else item_files.starter_source(self.kind, language)]

    def needs(self) -> tuple[str, ...]:
        """Needs no service: rules read the replies."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks: `label` (None if unreadable), `parsed`, `correct`, `english` (an English label was given; None for
        unreadable replies and where English was asked for), `why` (the reason if there is no label)."""
        del services
        return [self._mark(answer) for answer in answers]

    def _mark(self, answer: Answer) -> Marks:
        item = answer.item
        labels = self._labels(item.language)
        english = LABELS[self.kind].get("en") if item.language != "en" else None
        if english is not None and list(english) != list(labels):
            english = None  # the user's own set of labels has no English names
        read = parse_label(
            answer_text(answer),
            labels,
            item.language,
            english=english,
            prompt=item.turns[-1].user,
            text=str(item.expect["text"]),
        )
        return {
            "label": read.label,
            "parsed": read.label is not None,
            "correct": read.label == item.expect["label"],
            "english": read.english if read.label is not None and english is not None else None,
            "why": read.reason,
        }

    def _check(self, language: Language) -> None:
        if language not in self.languages:
            there = ", ".join(self.languages) or "a file of yours only"
            raise UsageError(f"{self.name}: has no items in {language!r}; it has {there}")

    def _labels(self, language: Language) -> Labels:
        return self.data.labels if self.data else LABELS[self.kind][language]

    def _rows(self, language: Language, seed: int) -> Sequence[Row]:
        if self.data:
            return interleaved(self.data.rows, seed)
        records = item_files.load_starter(self.kind, language)  # labels alternate from line to line
        return [Row(record["id"], record["text"], record["label"]) for record in records]


def closed_from_file(kind: str, path: Path | str, language: Language, *, licence: str = "not stated") -> ClosedTask:
    """A closed question about a user's file; see `closed_data.read_data` for its columns and for what is raised."""
    return ClosedTask(kind, read_data(kind, path, language, licence=licence))
