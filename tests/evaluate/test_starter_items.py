# SPDX-License-Identifier: Apache-2.0
"""The starter sets, line by line: form, parallel ids, balance, likeness, script, wording, figures, nothing public."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starter_text import POLITE, faults, likeness, normal

from chatvector.evaluate.items import STARTERS, load_starter, starter_languages

LANGUAGES = ("en", "ja", "ko", "zh-Hans", "zh-Hant")
PUBLIC = Path(__file__).parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Shape:
    """What a set has to look like. `lengths`: characters of the shortest and longest first text, in any language."""

    keys: tuple[str, ...]
    kinds: int
    each: int
    lengths: tuple[int, int]


SETS = {
    "topic": Shape(("id", "text", "label"), 6, 10, (40, 200)),
    "sentiment": Shape(("id", "text", "label"), 2, 30, (20, 130)),
    "open": Shape(("id", "category", "turns", "reference"), 10, 4, (20, 600)),
    "unsafe": Shape(("id", "category", "prompt"), 10, 4, (20, 120)),
    "borderline": Shape(("id", "category", "prompt", "contrast"), 10, 4, (20, 140)),
    "toxicity-prompts": Shape(("id", "text", "provoking"), 2, 20, (40, 150)),
    "plain": Shape(("id", "text"), 4, 15, (30, 180)),
}

each_file = pytest.mark.parametrize(("name", "language"), list(itertools.product(SETS, LANGUAGES)))
each_set = pytest.mark.parametrize("name", SETS)


def wordings(record: dict[str, Any]) -> list[str]:
    """The texts of a record that a person or a model reads, replies included."""
    return [
        text
        for key in ("text", "prompt", "turns", "reference")
        if key in record
        for text in ([record[key]] if isinstance(record[key], str) else record[key])
    ]


def users(record: dict[str, Any]) -> list[str]:
    """What the user says."""
    return record["turns"] if "turns" in record else [record["prompt"]]


def kind(record: dict[str, Any]) -> str:
    """The middle of an id: `unsafe-self-harm-2` is of the kind `self-harm`."""
    return record["id"].partition("-")[2].rpartition("-")[0]


@each_file
def test_one_record_a_line_in_one_form(name: str, language: str) -> None:
    text = STARTERS.joinpath(f"{name}.{language}.jsonl").read_bytes().decode("utf-8")
    records = load_starter(name, language)
    assert all(tuple(record) == SETS[name].keys for record in records)
    assert text == "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


@each_set
def test_languages_are_parallel(name: str) -> None:
    assert starter_languages(name) == LANGUAGES
    beside = {
        language: [{k: v for k, v in record.items() if not wordings({k: v})} for record in load_starter(name, language)]
        for language in LANGUAGES
    }
    assert all(beside[language] == beside["en"] for language in LANGUAGES)


@each_set
def test_kinds_are_balanced_wherever_a_limit_cuts(name: str) -> None:
    records = load_starter(name, "en")
    found = [kind(record) for record in records]
    assert sorted(Counter(found).values()) == [SETS[name].each] * SETS[name].kinds
    for limit in range(1, len(found) + 1):
        counts = Counter(found[:limit]).values()
        assert max(counts) - (min(counts) if len(counts) == SETS[name].kinds else 0) <= 1, limit


@each_set
def test_an_id_says_set_and_kind(name: str) -> None:
    for record in load_starter(name, "en"):
        assert record["id"].startswith(name.removesuffix("-prompts"))
        assert record.get("label", record.get("category", kind(record))) == kind(record)
        assert record.get("provoking") in (None, kind(record) == "provoking")


@each_file
def test_each_line_is_in_its_language(name: str, language: str) -> None:
    wrong = {
        record["id"]: found
        for record in load_starter(name, language)
        if (found := [fault for text in wordings(record) for fault in faults(text, language)])
    }
    assert not wrong


@each_file
def test_lengths(name: str, language: str) -> None:
    shortest, longest = SETS[name].lengths
    # A Chinese character says what three letters say.
    shortest = shortest if language == "en" else shortest // 3
    lengths = {record["id"]: len(wordings(record)[0]) for record in load_starter(name, language)}
    assert not {id_: n for id_, n in lengths.items() if not shortest <= n <= longest}


@each_file
def test_no_two_lines_are_nearly_the_same(name: str, language: str) -> None:
    size = 3 if language == "en" else 2
    texts = [(record["id"], wordings(record)[0]) for record in load_starter(name, language)]
    alike = [(a, b) for (a, x), (b, y) in itertools.combinations(texts, 2) if likeness(x, y, size) > 0.45]
    assert not alike


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_line_comes_in_two_sets(language: str) -> None:
    every = Counter(normal(text) for name in SETS for r in load_starter(name, language) for text in wordings(r))
    assert not [text for text, count in every.items() if count > 1]


@each_set
def test_the_two_chinese_files_have_no_line_in_common(name: str) -> None:
    traditional, simplified = (load_starter(name, language) for language in ("zh-Hant", "zh-Hans"))
    assert not [a["id"] for a, b in zip(traditional, simplified, strict=True) if set(wordings(a)) & set(wordings(b))]


@pytest.mark.parametrize("name", ["open", "unsafe", "borderline"])
def test_korean_users_are_polite_to_the_end(name: str) -> None:
    assert not [r["id"] for r in load_starter(name, "ko") for said in users(r) if not POLITE.search(said)]


def test_what_looks_dangerous_stands_against_what_is() -> None:
    unsafe = {record["id"]: record["category"] for record in load_starter("unsafe", "en")}
    borderline = load_starter("borderline", "en")
    contrasts = [record["contrast"] for record in borderline if record["contrast"]]
    assert all(unsafe[r["contrast"]] == r["category"] for r in borderline if r["contrast"])
    assert len(contrasts) == len(set(contrasts)) >= 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_beginnings_are_left_open(language: str) -> None:
    assert not [r["id"] for r in load_starter("toxicity-prompts", language) if r["text"][-1] in ".。!?！？”」"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_open_questions_have_replies_and_half_a_second_turn(language: str) -> None:
    records = load_starter("open", language)
    assert all(len(record["turns"]) == len(record["reference"]) for record in records)
    assert Counter(kind(r) for r in records if len(r["turns"]) == 2) == dict.fromkeys({kind(r) for r in records}, 2)
    assert not [r["id"] for r in records for reply in r["reference"] if len(reply) > 600]


@pytest.mark.parametrize(("language", "unit"), [("en", 1), ("ja", 100), ("ko", 1000), ("zh-Hans", 10), ("zh-Hant", 10)])
def test_references_calculate_right(language: str, unit: int) -> None:
    """Worked out here, not copied. `unit`: dollars of the English item in the money of the others."""
    fifth = 5 * 14 - (9 + 12 + 15 + 20)
    bags = {3 * threes + 5 * fives for threes in range(4) for fives in range(3)}
    figures: dict[str, list[Set[float]]] = {
        "open-maths-1": [{80 * unit * 0.75 * 0.9}, {100 * (1 - 0.75 * 0.9)}],
        "open-maths-2": [{(12 + 2) * (7 + 2) - 12 * 7}],
        "open-maths-3": [{fifth}, {sorted([9, 12, 15, 20, fifth])[2]}],
        "open-maths-4": [{300 / (70 + 80) * 70}],
        "open-reasoning-2": [set(range(1, 11)) - bags],
        "open-reasoning-4": [{8, 10 - 15 + 25}],
    }
    references = {record["id"]: record["reference"] for record in load_starter("open", language)}
    for id_, turns in figures.items():
        for reply, expected in zip(references[id_], turns, strict=True):
            said = {float(number.replace(",", "")) for number in re.findall(r"\d+(?:[.,]\d+)*", reply)}
            assert {round(figure, 6) for figure in expected} <= said, id_


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _public(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".jsonl":
            for line in file:
                yield from _strings(json.loads(line))
        elif path.suffix == ".csv":
            yield from itertools.chain.from_iterable(csv.reader(file))
        else:
            for line in file:
                yield from line.split("\t")


def test_nothing_public_is_in_them() -> None:
    files = [path for path in PUBLIC.rglob("*") if path.suffix in (".jsonl", ".csv", ".tsv", ".txt")]
    if not files:
        pytest.skip("no folder of public data beside the repository")
    public = {normal(text) for path in files for text in _public(path)}
    assert len(public) > 10_000
    files_of_ours = itertools.product(SETS, LANGUAGES)
    ours = {normal(text) for each in files_of_ours for record in load_starter(*each) for text in wordings(record)}
    assert not ours & public


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The word 사과 means apple.", "en"),
        ("그는 學生이다.", "ko"),
        ("AI language model 입니다.", "ko"),
        ("这部影片很好看。", "zh-Hant"),
        ("這個軟件很好用。", "zh-Hant"),
        ("這部片很好看,我很喜歡。", "zh-Hant"),
        ("這部片很好看。", "zh-Hans"),
        ("这个软体很好用。", "zh-Hans"),
        ("他说「好」。", "zh-Hans"),
        ("東京都知事選挙結果発表", "ja"),
        ("これは 사과 です。", "ja"),
        ("これは，ペンです。", "ja"),
        ("Write to me" + "@example.org.", "en"),
        ("It is all on www.example.", "en"),
        ("Two  spaces.", "en"),
    ],
)
def test_the_checks_find_what_is_wrong(text: str, language: str) -> None:
    assert faults(text, language)


def test_likeness() -> None:
    assert likeness("abcd", "ABCD!", 3) == 1
    assert likeness("abcd", "bcde", 3) == pytest.approx(1 / 3)
    assert likeness("abcd", "wxyz", 3) == 0
