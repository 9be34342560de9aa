# SPDX-License-Identifier: Apache-2.0
"""Data files: what is read, and what is said of files that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError
from chatvector.training.data import open_data, read_rows
from training.training_data import CONVERSATIONS, PAIRS, TEXTS, write_jsonl


def rows_of(path: str, stage: Any, **columns: str) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read_rows(open_data([path]), stage, columns)]


def test_json_lines_and_parquet_hold_the_same(tmp_path: Path) -> None:
    lines = write_jsonl(tmp_path / "a.jsonl", CONVERSATIONS)
    parquet.write_table(pa.Table.from_pylist(CONVERSATIONS), tmp_path / "a.parquet")
    assert rows_of(lines, "sft") == CONVERSATIONS == rows_of(str(tmp_path / "a.parquet"), "sft")


def test_several_files_in_order(tmp_path: Path) -> None:
    names = [write_jsonl(tmp_path / f"{n}.jsonl", [{"text": str(n)}]) for n in range(3)]
    rows = list(read_rows(open_data(names), "cp", {}))
    assert [row.values["text"] for row in rows] == ["0", "1", "2"]
    assert rows[2].where == f"{names[2]}: line 1"


def test_text_keeps_separators_of_lines_that_json_allows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes("\ufeff".encode() + '{"text": "a\u2028b"}\n\n{"text": "c"}'.encode())
    assert rows_of(str(path), "cp") == [{"text": "a\u2028b"}, {"text": "c"}]


def test_columns_can_be_called_otherwise(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"body": "a", "title": "b"}])
    assert rows_of(path, "cp", text="body") == [{"text": "a"}]
    with pytest.raises(InputError, match=r"line 1: column 'text' is missing or empty; the columns are body, title"):
        rows_of(path, "cp")


def test_prompt_and_completion_stand_for_messages(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b"}])
    assert rows_of(path, "sft") == [{"prompt": "a", "completion": "b"}]


@pytest.mark.parametrize(
    ("stage", "row", "column"),
    [
        ("cp", {"text": "  "}, "'text'"),
        ("cp", {"text": None}, "'text'"),
        ("sft", {"messages": []}, "'messages'"),
        ("sft", {"prompt": "a"}, "'messages'"),
        ("dpo", {"prompt": "a", "chosen": "b"}, "'rejected'"),
        ("dpo", {"prompt": "a"}, "'chosen' and 'rejected'|'chosen'"),
    ],
)
def test_missing_and_empty_columns_are_named(tmp_path: Path, stage: str, row: dict[str, Any], column: str) -> None:
    good: Any = {"cp": TEXTS, "sft": CONVERSATIONS, "dpo": PAIRS}[stage][0]
    path = write_jsonl(tmp_path / "a.jsonl", [good, row])
    with pytest.raises(InputError, match=rf"line 2: column ({column}) .*missing or empty"):
        rows_of(path, stage)


@pytest.mark.parametrize(
    ("name", "content", "error", "complaint"),
    [
        ("a.jsonl", b"", InputError, "no rows, so there is nothing to train on"),
        ("a.jsonl", b"{}{}", DamagedFile, "line 1 is no JSON"),
        ("a.jsonl", b"[1]", DamagedFile, "line 1 is no JSON object but list"),
        ("a.jsonl", b'{"text": "\xff"}', DamagedFile, "line 1 is no JSON in UTF-8"),
        ("a.jsonl", b"[" * 100_000, DamagedFile, "line 1 is no JSON"),
        ("a.parquet", b"PAR1", DamagedFile, "no readable Parquet"),
        ("a.csv", b"text\na\n", UsageError, "cannot read .csv; use .jsonl or .parquet"),
    ],
)
def test_files_that_do_not_fit(
    tmp_path: Path, name: str, content: bytes, error: type[Exception], complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=complaint):
        rows_of(str(tmp_path / name), "cp")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no such file"):
        open_data([str(tmp_path / "none.jsonl")])
    with pytest.raises(UsageError, match="no file of a data set"):
        open_data(["hf://datasets/org"])
