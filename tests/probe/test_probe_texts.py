# SPDX-License-Identifier: Apache-2.0
"""Texts for the probe: what comes with the package, and what a user may get wrong in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatvector.errors import InputError, MissingInput, UsageError
from chatvector.runtime.texts import LANGUAGES, MOST_BYTES, packaged, read_conversations, read_documents

TALK = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "반가워요"}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_packaged_texts_are_in_their_language_and_alternate(language: str) -> None:
    texts = packaged(language)
    assert len(texts.documents) >= 10
    assert len(texts.conversations) >= 8
    letters = {"ko": "가-힣", "ja": "ぁ-ん", "zh-Hant": "一-鿿"}[language]
    low, high = letters.split("-")
    for text in (*texts.documents, *(one[-1]["content"] for one in texts.conversations)):
        assert any(low <= letter <= high for letter in text)
    for messages in texts.conversations:
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)


def test_another_language_asks_for_files() -> None:
    with pytest.raises(UsageError, match=r"xx: no texts .*--target-text FILE"):
        packaged("xx")


def test_documents_are_parted_by_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes("\ufeff첫째\r\n둘째\r\n\r\n\r\n셋째\r\n".encode())
    assert read_documents(file) == ("첫째\n둘째", "셋째")


def test_no_more_than_so_many_bytes_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("\n\n".join(["x" * 1000] * 1000), "utf-8")
    assert len(read_documents(file)) == MOST_BYTES // 1000


def test_conversations_are_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    line = json.dumps({"messages": TALK, "id": 3}, ensure_ascii=False)
    file.write_text(f"{line}\n\n{line}\n", "utf-8")
    assert read_conversations(file) == (tuple(TALK), tuple(TALK))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: no valid JSON"),
        ("[]", 'line 2: must be {"messages"'),
        ('{"messages": []}', 'line 2: must be {"messages"'),
        ('{"messages": [{"role": "bot", "content": "x"}]}', "line 2: each message needs a role"),
        ('{"messages": [{"role": "assistant", "content": 3}]}', "line 2: each message needs a role"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "line 2: has no reply"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text(json.dumps({"messages": TALK}) + "\n" + line + "\n", "utf-8")
    with pytest.raises(InputError) as caught:
        read_conversations(file)
    assert said in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="is not there"):
        read_documents(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_documents(tmp_path)
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"no UTF-8 text \(byte 3\)"):
        read_documents(file)
    file.write_text("one", "utf-8")
    with pytest.raises(InputError, match="at least 2"):
        read_documents(file)
    file.write_text(json.dumps({"messages": TALK}), "utf-8")
    with pytest.raises(InputError, match="at least 2"):
        read_conversations(file)
