# SPDX-License-Identifier: Apache-2.0
"""Rows of a user's data files, one at a time, with the columns that a stage reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.checkpoint import hub_data
from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError, first_five
from chatvector.training.recipe import COLUMNS, Stage

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
PAIR = ("prompt", "completion")
"""Columns that stage sft reads if a row has no `messages`."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class DataFile:
    """One data file.

    Attributes:
        path: the file on this machine.
        name: its name in the record, without a local path.
        commit: the hub commit; None for a local file.
        sha256: SHA-256 of the content, in hex.
    """

    path: Path
    name: str
    commit: str | None
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """The file as the record of a training describes it."""
        return {"name": self.name, "commit": self.commit, "sha256": self.sha256}


@dataclass(frozen=True)
class Row:
    """One row of a file. `values` holds the columns of a stage by their standard names; `where` says in messages where
    the row is."""

    where: str
    values: Mapping[str, Any]


def open_data(names: Sequence[str]) -> list[DataFile]:
    """Finds, fetches and hashes the files. Raises MissingInput for a missing or unreadable file, UsageError for another
    kind of file, and HubError."""
    files = []
    for name in names:
        commit = None
        if hub_data.is_address(name):
            fetched = hub_data.fetch(name)
            path, called, commit = fetched.path, fetched.name, fetched.commit
        else:
            path = Path(name).expanduser()
            called = path.name
        if not path.is_file():
            raise MissingInput(f"{name}: no such file; give .jsonl or .parquet, or hf://datasets/ORG/NAME/FILE")
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(f"{name}: cannot read {path.suffix or 'a file without suffix'}; use .jsonl or .parquet")
        files.append(DataFile(path, called, commit, _sha256(path)))
    return files


def read_rows(files: Sequence[DataFile], stage: Stage, columns: Mapping[str, str]) -> Iterator[Row]:
    """The rows of all files, in order.

    Raises DamagedFile for content that is not of the file's format. Raises InputError, which names the row, for a
    column that is missing or empty, and InputError for files without any rows.
    """
    count = 0
    for file in files:
        for where, record in _records(file.path):
            count += 1
            yield Row(where, _picked(record, stage, columns, where))
    if count == 0:
        raise InputError(f"{first_five(file.path for file in files)}: no rows, so there is nothing to train on")


def _picked(record: Mapping[str, Any], stage: Stage, columns: Mapping[str, str], where: str) -> dict[str, Any]:
    names = COLUMNS[stage]
    if stage == "sft" and columns.get("messages", "messages") not in record:
        if all(columns.get(name, name) in record for name in PAIR):
            names = PAIR
    elif stage == "dpo" and columns.get("prompt", "prompt") not in record:
        names = ("chosen", "rejected")  # whole conversations: their common beginning is the prompt
    picked = {name: record.get(columns.get(name, name)) for name in names}
    lacking = [columns.get(name, name) for name, value in picked.items() if value is None or len(_sized(value)) == 0]
    if lacking:
        there = first_five(sorted(map(str, record)))
        raise InputError(
            f"{where}: column {' and '.join(map(repr, lacking))} is missing or empty; the columns are {there}."
            f" Stage {stage} reads {', '.join(COLUMNS[stage])}; the recipe's columns: says what they are called"
        )
    return picked


def _sized(value: Any) -> Sequence[Any]:
    return value.strip() if isinstance(value, str) else value if isinstance(value, Sequence) else (value,)


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return _parquet(path) if path.suffix.lower() == ".parquet" else _json_lines(path)


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        # Bytes are split at \n only, because a JSON string may contain U+2028 and the like unescaped.
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{path}: line {number}"
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if not text.strip():
                    continue
                try:
                    value = json.loads(text.decode("utf-8"))
                except (ValueError, RecursionError) as error:
                    raise DamagedFile(f"{where} is no JSON in UTF-8 ({error}); expected one object a line") from None
                if not isinstance(value, dict):
                    raise DamagedFile(f"{where} is no JSON object but {type(value).__name__}")
                yield where, value
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror or error}") from error


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(1024):
            for record in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", record
    except (pyarrow.ArrowException, OSError) as error:
        raise DamagedFile(f"{path}: is no readable Parquet file ({' '.join(str(error).split())[:200]})") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
