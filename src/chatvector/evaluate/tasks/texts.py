# SPDX-License-Identifier: Apache-2.0
"""Plain texts for likelihoods: the starter lines, parallel in five languages, and a user's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError
from chatvector.evaluate import items as item_files
from chatvector.evaluate.task import Language, Source

TARGET, ENGLISH, OTHER = "target", "english", "other"
"""Values of the facet `text`: the language evaluated, English, and another language that was not trained for."""

OTHERS: Mapping[Language, Language] = {"en": "ko", "ko": "ja", "ja": "ko", "zh-Hant": "ja", "zh-Hans": "ja"}
"""Evaluated language → language of the texts of the kind OTHER."""


@dataclass(frozen=True)
class Text:
    """One text. Texts of the same `line` say the same thing in several languages."""

    line: str
    kind: str
    text: str


@dataclass(frozen=True)
class Texts:
    """Texts for one evaluated language, with their sources. The kinds of a line stand side by side."""

    language: Language
    rows: tuple[Text, ...]
    sources: tuple[Source, ...]
    name: str = ""


def kinds_of(language: Language) -> dict[str, Language]:
    """Kind → language of the starter lines. There is no kind ENGLISH if English is the language evaluated."""
    kinds = {TARGET: language} if language == "en" else {TARGET: language, ENGLISH: "en"}
    return kinds | {OTHER: OTHERS[language]}


def starter(language: Language) -> Texts:
    """The starter lines in the evaluated language, English and another one. Raises UsageError for a language that has
    none."""
    if language not in OTHERS:
        raise UsageError(f"plain texts: none in {language!r}; there are {', '.join(OTHERS)}, or give files of your own")
    kinds = kinds_of(language)
    columns = {kind: item_files.load_starter("plain", each) for kind, each in kinds.items()}
    rows = [
        Text(record["id"], kind, column[number]["text"])
        for number, record in enumerate(columns[TARGET])
        for kind, column in columns.items()
    ]
    sources = tuple(item_files.starter_source("plain", each) for each in kinds.values())
    return Texts(language, tuple(rows), sources)


def read_texts(files: Mapping[str, Path | str], language: Language, *, licence: str = "not stated") -> Texts:
    """Reads a user's texts. `files` maps a kind (`target`, `english`, `other` or a name of one's own) to its file.

    A `.txt` file holds one text per line (NTREX); the other formats of `items.read_records` have a column `text`. If
    all files have the same number of texts they are taken to be parallel, and lines of the same number form a cluster.

    Raises UsageError without a file for `target`, InputError for an empty file, and what `read_records` raises.
    """
    if TARGET not in files:
        raise UsageError(f"texts: give at least a file for {TARGET!r}, the language that is evaluated")
    columns = {kind: _texts(item_files.local_file(path)) for kind, path in files.items()}
    parallel = len({len(column) for column in columns.values()}) == 1
    longest = max(len(column) for column in columns.values())
    rows = [
        Text(f"{number:05d}" if parallel else f"{number:05d}-{kind}", kind, column[number - 1])
        for number in range(1, longest + 1)
        for kind, column in columns.items()
        if number <= len(column)
    ]
    sources = tuple(item_files.file_source(path, licence) for path in files.values())
    return Texts(language, tuple(rows), sources, item_files.local_file(files[TARGET]).stem)


def whole_lines(rows: Sequence[Text], limit: int | None) -> Sequence[Text]:
    """The first `limit` texts, or fewer so that no line is split, but at least one whole line; all without a limit."""
    if limit is None or limit >= len(rows):
        return rows
    end = max(limit, 1)
    while end > 1 and rows[end].line == rows[end - 1].line:
        end -= 1
    while end < len(rows) and rows[end].line == rows[0].line:
        end += 1
    return rows[:end]


def _texts(path: Path) -> list[str]:
    if path.suffix.lower() != ".txt":
        return [str(record["text"]) for record in item_files.read_records(path, ["text"])]
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError(f"{path}: has no text; give one text a line")
    return found
