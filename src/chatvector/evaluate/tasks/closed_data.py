# SPDX-License-Identifier: Apache-2.0
"""A user's labelled texts, in the formats and spellings of published sets (NSMC, XNLI) or in a table of one's own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.errors import InputError, UsageError, first_five
from chatvector.evaluate import items as item_files
from chatvector.evaluate.task import Language, Source
from chatvector.evaluate.tasks.closed_wordings import PROMPTS
from chatvector.evaluate.tasks.label_words import LABELS, Key, Labels, plain

CODES: dict[str, dict[str, Key]] = {
    "topic": {},
    "sentiment": {"0": "negative", "1": "positive", "neg": "negative", "pos": "positive"},
    "nli": {"0": "entailment", "1": "neutral", "2": "contradiction"},
}
"""Kind of task → code that published files use instead of a label's name → key (NSMC: 0 and 1; XNLI on the hub: 0, 1,
2)."""


@dataclass(frozen=True)
class Row:
    """A text with its label; `hypothesis` is for inference. Rows of the same `cluster` are not independent (XNLI has
    three hypotheses per premise)."""

    id: str
    text: str
    label: Key
    hypothesis: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class UserData:
    """Rows of a user's file, in one language, with the labels that are asked for."""

    language: Language
    rows: tuple[Row, ...]
    labels: Labels
    source: Source


def interleaved(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows shuffled by `seed`, with the labels taking turns as long as there are rows of each."""
    piles: dict[Key, list[Row]] = {}
    for row in rows:
        piles.setdefault(row.label, []).append(row)
    draw = random.Random(seed)
    for label in sorted(piles):
        draw.shuffle(piles[label])
    deepest = max(map(len, piles.values()))
    return [piles[label][depth] for depth in range(deepest) for label in sorted(piles) if depth < len(piles[label])]


def read_data(kind: str, path: Path | str, language: Language, *, licence: str = "not stated") -> UserData:
    """Reads a user's file (formats of `items.read_records`).

    Columns: `text` (or `document`, `sentence`) and `label`; for `nli` `premise` (or `sentence1`), `hypothesis` (or
    `sentence2`) and `label` (or `gold_label`). Labels are the English keys, the language's own names or the codes of
    `CODES`; a topic file may have its own set of labels, which is then asked for by the names in the file.

    Raises:
        UsageError: no such kind, or no prompts in the language.
        InputError: unknown labels. `read_records` raises this and others.
    """
    if kind not in PROMPTS or language not in PROMPTS[kind]:
        there = ", ".join(f"{one} ({', '.join(PROMPTS[one])})" for one in PROMPTS)
        raise UsageError(f"closed-{kind} in {language!r}: there are no prompts for that; there are {there}")
    source, path = item_files.file_source(path, licence), item_files.local_file(path)
    label = ("label", "gold_label")
    if kind == "nli":
        records = item_files.read_records(path, (("text", "premise", "sentence1"), ("hypothesis", "sentence2"), label))
    else:
        records = item_files.read_records(path, (("text", "document", "sentence"), label))
    keys, labels = _known_labels(kind, language, path, records)
    rows = tuple(
        Row(
            id=f"{path.stem}-{number}",
            text=str(record["text"]).strip(),
            label=keys[str(record["label"]).strip()],
            hypothesis=str(record.get("hypothesis", "")).strip() if kind == "nli" else "",
            cluster=str(record["text"]).strip() if kind == "nli" else "",
        )
        for number, record in enumerate(records, 1)
    )
    return UserData(language, rows, labels, source)


def _known_labels(
    kind: str, language: Language, path: Path, records: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Key], Labels]:
    """Name of a label in the file → key, and the labels to ask for."""
    there = sorted({str(record["label"]).strip() for record in records})
    labels = LABELS[kind][language]
    names = {key: key for key in labels} | {label.name: key for key, label in labels.items()} | CODES[kind]
    unknown = [name for name in there if name.lower() not in names]
    if not unknown:
        return {name: names[name.lower()] for name in there}, labels
    if kind != "topic":
        raise InputError(
            f"{path}: {len(unknown)} labels are not of {kind}: {first_five(unknown)}; use {', '.join(labels)}"
        )
    if not 2 <= len(there) <= 30 or any(name.isdigit() for name in there):
        raise InputError(
            f"{path}: {len(there)} different labels ({first_five(there)}); a closed question needs 2 to 30, in words"
        )
    return {name: name for name in there}, {name: plain(name) for name in there}
