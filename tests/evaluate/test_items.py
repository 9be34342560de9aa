# SPDX-License-Identifier: Apache-2.0
"""Item files: starter sets by name, user data by path, and what is said of files that will not do."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError
from chatvector.evaluate import items
from public_data import public_data


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def starters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(items, "STARTERS", tmp_path)
    return tmp_path


def test_a_starter_with_and_without_head(starters: Path) -> None:
    plain = written(starters, "topic.ko.jsonl", '{"id": "a", "text": "축구"}\n{"id": "b", "text": "쌀"}\n')
    written(starters, "topic.en.jsonl", '{"version": "3", "licence": "CC0-1.0"}\n{"id": "a", "text": "football"}\n')
    assert items.load_starter("topic", "ko") == [{"id": "a", "text": "축구"}, {"id": "b", "text": "쌀"}]
    assert items.load_starter("topic", "en") == [{"id": "a", "text": "football"}]
    korean, english = items.starter_source("topic", "ko"), items.starter_source("topic", "en")
    assert (korean.name, korean.version, korean.licence) == ("chatvector topic.ko", "1", "Apache-2.0")
    assert korean.sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()
    assert (english.version, english.licence) == ("3", "CC0-1.0")
    assert items.starter_languages("topic") == ("en", "ko")


def test_a_starter_that_is_not_there(starters: Path) -> None:
    written(starters, "topic.ko.jsonl", '{"id": "a"}\n')
    with pytest.raises(UsageError, match=r"'topic': none in 'th'; it is there in ko"):
        items.load_starter("topic", "th")
    with pytest.raises(UsageError, match=r"'topics': none in 'ko'; no set has that name"):
        items.starter_source("topics", "ko")
    with pytest.raises(UsageError, match="none in"):
        items.load_starter("topic", "../topic.ko")


def test_a_starter_that_would_be_a_bug_of_ours(starters: Path) -> None:
    written(starters, "twice.ko.jsonl", '{"id": "a"}\n{"id": "a"}\n')
    written(starters, "bare.ko.jsonl", '{"id": "a"}\n{"text": "x"}\n')
    with pytest.raises(AssertionError, match="comes twice"):
        items.load_starter("twice", "ko")
    with pytest.raises(AssertionError, match="without id"):
        items.load_starter("bare", "ko")


def test_every_starter_in_the_package_can_be_read() -> None:
    for path in items.STARTERS.glob("*.jsonl"):
        name, language, suffix = path.name.split(".")
        assert suffix == "jsonl"
        assert items.load_starter(name, language)
        assert len(items.starter_source(name, language).sha256) == 64


def test_the_same_records_in_every_format(tmp_path: Path) -> None:
    rows = [{"text": '그는 "네", 라고', "label": "positive"}, {"text": "好 ", "label": "negative"}]
    lines = io.StringIO()
    writer = csv.DictWriter(lines, ["text", "label"])
    writer.writeheader()
    writer.writerows(rows)
    from pyarrow import Table, parquet

    parquet.write_table(Table.from_pylist(rows), tmp_path / "a.parquet")
    for name, content in {
        "a.jsonl": "".join(f"{json.dumps(row, ensure_ascii=False)}\n\n" for row in rows),
        "a.json": json.dumps(rows),
        "a.csv": lines.getvalue(),
        "bom.csv": "\ufeff" + lines.getvalue(),
        "a.tsv": "text\tlabel\n" + "".join(f"{row['text']}\t{row['label']}\n" for row in rows),
        "a.txt": "text\tlabel\r\n" + "".join(f"{row['text']}\t{row['label']}\r\n" for row in rows),
    }.items():
        written(tmp_path, name, content)
    for name in ("a.jsonl", "a.json", "a.csv", "bom.csv", "a.tsv", "a.txt", "a.parquet"):
        assert items.read_records(tmp_path / name, ("text", "label")) == rows, name


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1), min_size=1))
def test_any_text_survives_jsonl_and_csv(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("items")
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([["text", "n"], *([text, "1"] for text in texts)])
    jsonl = "".join(json.dumps({"text": text, "n": "1"}, ensure_ascii=False) + "\n" for text in texts)
    for path in (written(folder, "a.csv", lines.getvalue()), written(folder, "a.jsonl", jsonl)):
        assert [record["text"] for record in items.read_records(path, ("text",))] == texts


def test_a_column_of_several_names_gets_the_first(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "id\tdocument\tlabel\n1\t재밌다\t1\n")
    assert items.read_records(path, (("text", "document"), "label")) == [{"id": "1", "text": "재밌다", "label": "1"}]


def test_a_file_without_header(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", '\ufeff"one, two"\nthree\n')
    assert items.read_records(path, ("text",), header=("text",)) == [{"text": "one, two"}, {"text": "three"}]


def test_other_columns_and_falsy_values_stay(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": "x", "label": 0, "more": [1]}')
    assert items.read_records(path, ("text", "label")) == [{"text": "x", "label": 0, "more": [1]}]


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("a.jsonl", "", InputError, "has no records"),
        ("a.jsonl", "\n \n", InputError, "has no records"),
        ("a.json", "[]", InputError, "has no records"),
        ("a.csv", "text,label\n", InputError, "has no records"),
        ("a.csv", "", InputError, "has no records"),
        ("a.jsonl", '{"text": "a"}\n{"tekst": "b"}', InputError, r"'text' is missing or empty in 1 of 2 .*line 2"),
        ("a.jsonl", '{"text": ""}', InputError, "'text' is missing or empty in 1 of 1"),
        ("a.jsonl", '{"text": null}', InputError, "'text' is missing or empty in 1 of 1"),
        ("a.csv", "review,label\nfine,1\n", InputError, r"'text' is missing .*its columns are label, review"),
        ("a.jsonl", '{"text": "a"}\n{"text": ', DamagedFile, "line 2 is no JSON"),
        ("a.jsonl", '["text"]', DamagedFile, "line 1 is no JSON object but list"),
        ("a.json", '{"text": "a"}', DamagedFile, "holds no list but dict"),
        ("a.json", "[1]", DamagedFile, "record 1 is no JSON object but int"),
        ("a.json", "{", DamagedFile, "is no JSON"),
        ("a.jsonl", b'{"text": "a"}\n' + b"\xff", DamagedFile, "line 2 is not UTF-8"),
        ("a.csv", "text,label\na,1\nb\n", DamagedFile, r"line 3 has 1 fields, expected 2 \(text, label\)"),
        ("a.csv", 'text,label\n"a,1\n', DamagedFile, "record at line 2 cannot be read"),
        ("a.csv", f"text\n{'a' * 200_000}\n", DamagedFile, "field larger than"),
        ("a.parquet", b"PAR1 not really", DamagedFile, "is no Parquet file"),
        ("a.xlsx", b"PK", UsageError, r"cannot read \.xlsx"),
        ("a", b"text", UsageError, "cannot read a file without suffix"),
    ],
)
def test_files_that_will_not_do(
    tmp_path: Path, name: str, content: str | bytes, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        items.read_records(written(tmp_path, name, content), ("text",))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_all_names_of_a_missing_column_are_said(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "review\nfine\n")
    with pytest.raises(InputError, match=r"column 'text' \(or 'document'\) is missing"):
        items.read_records(path, (("text", "document"),))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no such file"):
        items.read_records(tmp_path / "a.csv", ("text",))
    with pytest.raises(MissingInput, match="no such file"):
        items.read_records(tmp_path, ("text",))
    with pytest.raises(MissingInput, match="cannot be read"):
        items.file_source(tmp_path / "a.csv")


def test_the_source_of_a_users_file_names_no_folder(tmp_path: Path) -> None:
    source = items.file_source(written(tmp_path, "mine.csv", "text\na\n"), "CC0-1.0")
    assert (source.name, source.licence) == ("mine.csv", "CC0-1.0")
    assert source.sha256 == hashlib.sha256(b"text\na\n").hexdigest()


@pytest.mark.parametrize(
    ("name", "required", "header", "count"),
    [
        ("sentiment/nsmc.ko.test.jsonl", (("text", "document"), "label"), None, 1000),
        ("retention/xnli.dev.ko.tsv", ("sentence1", "sentence2", "gold_label"), None, 2490),
        ("safety/multijail.csv", ("en", "ko"), None, 315),
        ("safety/xstest_prompts.csv", ("prompt",), None, 450),
        ("safety/xsafety/zh/Insult.csv", ("text",), ("text",), 200),
        ("verifiable/ifeval.ja.jsonl", ("prompt", "instruction_id_list"), None, 172),
        ("dialogue/chatbot.ko.csv", ("Q", "A"), None, 11823),
    ],
)
def test_public_files(
    name: str, required: tuple[items.Column, ...], header: tuple[str, ...] | None, count: int
) -> None:
    assert len(items.read_records(public_data(name), required, header=header)) == count
