# SPDX-License-Identifier: Apache-2.0
"""Reads item files: the starter sets that come with the package, and the user's own data by path.

A starter set is `items/NAME.LANGUAGE.jsonl`: one JSON object a line, each with a unique `id`. Its first line may be a
head without an `id`, `{"version": "2", "licence": "Apache-2.0"}`; a file without one is version 1 under the project's
licence. What else the records hold is up to the task that reads them.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chatvector.checkpoint import hub_data
from chatvector.errors import DamagedFile, InputError, MissingExtra, MissingInput, UsageError, first_five
from chatvector.evaluate.task import Language, Source

STARTERS = Path(__file__).with_name("items")
LICENCE = "Apache-2.0"
"""Licence of starter files that do not name one; the project wrote all of them."""

Column = str | tuple[str, ...]
"""A column's name, or several names that it may have in a file; records always use the first."""

Numbered = Iterator[tuple[int, dict[str, Any]]]
"""(line, record) pairs: the line a record begins on (in Parquet and JSON lists its number), counted from 1."""


def starter_languages(name: str) -> tuple[Language, ...]:
    """The languages of the starter set `name`, sorted; empty if there is no such set."""
    return tuple(sorted(path.name.split(".")[1] for path in STARTERS.glob(f"{name}.*.jsonl")))


def load_starter(name: str, language: Language) -> list[dict[str, Any]]:
    """The records of a starter set in file order, without its head. Raises UsageError if there is none."""
    return _starter(name, language)[1]


def starter_source(name: str, language: Language) -> Source:
    """Where a starter set's items come from. `sha256` is the hash of the whole file, head included."""
    path = _starter_path(name, language)
    head, _ = _starter(name, language)
    return Source(
        name=f"chatvector {name}.{language}",
        licence=str(head.get("licence", LICENCE)),
        version=str(head.get("version", "1")),
        sha256=sha256(path),
    )


def file_source(path: Path | str, licence: str = "not stated") -> Source:
    """Where a user's items come from: the file's name (not its path) and hash; for a hub address also the commit."""
    if isinstance(path, str) and hub_data.is_address(path):
        found = hub_data.fetch(path)
        return Source(name=found.name, licence=licence, version=found.commit, sha256=sha256(found.path))
    path = Path(path)
    return Source(name=path.name, licence=licence, version="", sha256=sha256(path))


def local_file(path: Path | str) -> Path:
    """The path itself; for a hub address (`hub_data`) the path of the fetched file."""
    return hub_data.fetch(path).path if isinstance(path, str) and hub_data.is_address(path) else Path(path)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises MissingInput if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror or error}") from error


def read_records(
    path: Path | str, required: Sequence[Column], *, header: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The records of a user's data file. Each has a value in every required column; other columns are kept.

    Args:
        path: `.jsonl` or `.ndjson` (an object a line), `.json` (a list of objects), `.csv` (RFC 4180), `.tsv` or
            `.txt` (tabs, quotation marks are text), `.parquet`; or a hub address (`hub_data`) of such a file. Text is
            UTF-8, with or without byte order mark.
        required: columns in which each record must have a value (an empty string is no value).
        header: names of the columns of a CSV or TSV file whose first line is data.

    Returns:
        Records in file order. Values from CSV and TSV are strings; other formats keep their types.

    Raises:
        MissingInput: no such file. DamagedFile: not what its name says. InputError: no records, or a column is
        missing. UsageError: another kind of file. MissingExtra: Parquet without pyarrow. HubError: see `hub_data`.
    """
    path = local_file(path)
    if not path.is_file():
        raise MissingInput(f"{path}: no such file; give a .jsonl, .json, .csv, .tsv or .parquet file with items")
    records = [(line, _named(record, required)) for line, record in _numbered(path, header)]
    if not records:
        raise InputError(f"{path}: has no records, so there is nothing to evaluate; is it the right file?")
    for column in required:
        name, *others = (column,) if isinstance(column, str) else column
        lacking = [line for line, record in records if record.get(name) in (None, "")]
        if lacking:
            called = f"{name!r}" + (f" (or {', '.join(map(repr, others))})" if others else "")
            there = first_five(sorted({key for _, record in records for key in record}))
            raise InputError(
                f"{path}: column {called} is missing or empty in {len(lacking)} of {len(records)} records "
                f"(line {first_five(lacking)}); its columns are {there}"
            )
    return [record for _, record in records]


def _named(record: Mapping[str, Any], required: Sequence[Column]) -> dict[str, Any]:
    """The record with each column that has several names stored under the first of them."""
    renamed = dict(record)
    for column in required:
        if isinstance(column, str) or column[0] in renamed:
            continue
        for other in column[1:]:
            if other in renamed:
                renamed[column[0]] = renamed.pop(other)
                break
    return renamed


def _numbered(path: Path, header: Sequence[str] | None) -> Numbered:
    kind = path.suffix.lower()
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(path)
    if kind == ".json":
        return _json_list(path)
    if kind in (".csv", ".tsv", ".txt"):
        return _separated(path, header, tabs=kind != ".csv")
    if kind == ".parquet":
        return _parquet(path)
    what = kind or "a file without suffix"
    raise UsageError(f"{path}: cannot read {what}; use .jsonl, .json, .csv, .tsv or .parquet")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DamagedFile(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from error


def _object(path: Path, where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamagedFile(f"{path}: {where} is no JSON object but {type(value).__name__}; expected one object a record")
    return value


def _json_lines(path: Path) -> Numbered:
    # Not splitlines(): a JSON string may hold U+2028 and similar separators unescaped.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DamagedFile(f"{path}: line {number} is no JSON ({error}); expected one object a line") from error
            yield number, _object(path, f"line {number}", value)


def _json_list(path: Path) -> Numbered:
    try:
        values = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: is no JSON ({error})") from error
    if not isinstance(values, list):
        raise DamagedFile(f"{path}: holds no list but {type(values).__name__}; expected a list of objects")
    for number, value in enumerate(values, 1):
        yield number, _object(path, f"record {number}", value)


def _separated(path: Path, header: Sequence[str] | None, *, tabs: bool) -> Numbered:
    # Published TSV files (XNLI, NSMC) contain bare quotation marks, so in TSV they are ordinary characters.
    lines = _text(path).replace("\r\n", "\n").split("\n")
    options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    reader = csv.reader((f"{line}\n" for line in lines), **options)
    names: list[str] | None = list(header) if header is not None else None
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DamagedFile(f"{path}: record at line {begins} cannot be read ({error})") from error
        if not row:
            continue
        if names is None:
            names = [name.strip() for name in row]
        elif len(row) != len(names):
            raise DamagedFile(
                f"{path}: line {begins} has {len(row)} fields, expected {len(names)} ({first_five(names)}); "
                "is the separator right?"
            )
        else:
            yield begins, dict(zip(names, row, strict=True))


def _parquet(path: Path) -> Numbered:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra("eval", f"reading Parquet files ({path.name})") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise DamagedFile(f"{path}: is no Parquet file ({str(error).splitlines()[0]})") from error
    yield from enumerate(rows, 1)


def _starter_path(name: str, language: Language) -> Path:
    path = STARTERS / f"{name}.{language}.jsonl"
    if language not in (there := starter_languages(name)):
        says = f"it is there in {', '.join(there)}" if there else "no set has that name"
        raise UsageError(f"starter items {name!r}: none in {language!r}; {says}")
    return path


def _starter(name: str, language: Language) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The head (empty if there is none) and the records. The files are our own, so a missing or repeated id is a bug
    (AssertionError)."""
    path = _starter_path(name, language)
    records = [record for _, record in _json_lines(path)]
    head = records.pop(0) if records and "id" not in records[0] else {}
    ids = [record.get("id") for record in records]
    assert all(isinstance(id_, str) and id_ for id_ in ids), f"{path.name}: a record without id"
    assert len(set(ids)) == len(ids), f"{path.name}: an id comes twice"
    return head, records
