# SPDX-License-Identifier: Apache-2.0
"""Sums in words: which number a reply gives, and the published files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from scripted_backend import ScriptedBackend

from chatvector.errors import InputError, MissingInput, UsageError
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.task import Services
from chatvector.evaluate.tasks.maths import ASK, last_number, maths_from_file
from public_data import public_data


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("18", "18"),
        ("16 − 3 − 4 = 9, and 9 × 2 = 18.", "18"),
        ("The answer is $70,000.", "70000"),
        ("答えは1,234,567円です。", "1234567"),
        ("정답: 18개", "18"),
        ("答案是１８。", "18"),
        ("3.50", "3.5"),
        ("−5", "-5"),
        ("x-5", "5"),
        ("room 12-18", "18"),
        ("1, 2, 3", "3"),
        ("It is version 1.2.3", "1.2"),
        ("no idea", None),
        ("", None),
    ],
)
def test_the_last_number(reply: str, number: str | None) -> None:
    assert last_number(reply) == (None if number is None else Decimal(number))


def test_marks(tmp_path: Path) -> None:
    path = tmp_path / "mgsm.tsv"
    path.write_text("How many are 2 and 2?\t4\nHow many are a thousand and 1?\t1,001\n", "utf-8")
    task = maths_from_file(path, "en", licence="CC-BY-4.0")
    items = task.items("en", limit=None, seed=0)
    assert items[0].turns[0].user == ASK["en"].format(question="How many are 2 and 2?")
    for reply, expected in (("<think>4</think>It is 1001.0", [False, True]), ("four", [False, False])):
        said = ScriptedBackend(lambda _, reply=reply: reply)
        marks = task.mark(ask(said, items, task.sampling), Services())
        assert [one["right"] for one in marks] == expected
        assert {one["answered"] for one in marks} == {reply != "four"}
    assert (task.name, task.sources("en")[0].licence) == ("maths-mgsm", "CC-BY-4.0")


def test_files_with_a_head_and_bad_ones(tmp_path: Path) -> None:
    path = tmp_path / "own.tsv"
    path.write_text("question\tanswer\nHow many?\t4\n", "utf-8")
    assert len(maths_from_file(path, "en").rows) == 1
    path.write_text("How many?\tfour\n", "utf-8")
    with pytest.raises(InputError, match=r"answers without a number: 1 \(record 1\)"):
        maths_from_file(path, "en")
    with pytest.raises(MissingInput):
        maths_from_file(tmp_path / "none.tsv", "en")
    with pytest.raises(UsageError, match="maths in 'th'"):
        maths_from_file(path, "th")


@pytest.mark.parametrize(("name", "language"), [("en", "en"), ("ja", "ja"), ("zh", "zh-Hans")])
def test_mgsm(name: str, language: str) -> None:
    task = maths_from_file(public_data(f"retention/mgsm.{name}.tsv"), language)
    assert len(task.rows) == 250
    assert [last_number(answer) for _, answer in task.rows[:3]] == [18, 3, 70000]
