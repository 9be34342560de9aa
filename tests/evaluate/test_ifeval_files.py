# SPDX-License-Identifier: Apache-2.0
"""Files in IFEval's form: every type has a rule or is counted, strict and loose are IFEval's, bad files are said."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.languages.known import SCRIPTS
from chatvector.evaluate.task import Answer, Marked, Services, Task
from chatvector.evaluate.tasks.verifiable import marking
from chatvector.evaluate.tasks.verifiable.ifeval import GROUPS, RULES, ifeval_from_file
from chatvector.runtime.backend import Reply
from public_data import public_data


def written(folder: Path, *records: dict[str, object]) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), "utf-8")
    return path


def record(prompt: str, *instructions: tuple[str, dict[str, object]], key: object = 1) -> dict[str, object]:
    kinds, kwargs = zip(*instructions, strict=True)
    return {"key": key, "prompt": prompt, "instruction_id_list": kinds, "kwargs": kwargs}


def marks(task: Task, language: str, *replies: str) -> list[Marked]:
    items = task.items(language, limit=None, seed=0)
    answers = [Answer(item, 0, (Reply(text, True),)) for item, text in zip(items, replies, strict=True)]
    return [Marked(*pair) for pair in zip(answers, task.mark(answers, Services()), strict=True)]


def figure(task: Task, name: str, marked: list[Marked]) -> float | None:
    metric = next(metric for metric in task.metrics if metric.name == name)
    if metric.aggregate:
        return metric.aggregate(marked)
    values = [value for one in marked if isinstance(value := one.marks[metric.mark or ""], bool)]
    return sum(values) / len(values) if values else None


TWO = record(
    "Write about tea in lower case without commas.",
    ("punctuation:no_comma", {}),
    ("change_case:english_lowercase", {}),
)


def test_strict_and_loose_by_prompt_and_instruction(tmp_path: Path) -> None:
    task = ifeval_from_file(written(tmp_path, TWO, {**TWO, "key": 2}, {**TWO, "key": 3}), "en")
    good = "tea is a drink that many people like to have in the morning"
    marked = marks(task, "en", good, f"Sure, here you go:\n{good}", f"{good}, with milk")
    assert [one.marks["prompt_strict"] for one in marked] == [True, False, False]
    assert [one.marks["prompt_loose"] for one in marked] == [True, True, False]
    assert figure(task, "prompt_strict", marked) == pytest.approx(1 / 3)
    assert figure(task, "prompt_loose", marked) == pytest.approx(2 / 3)
    assert figure(task, "instruction_strict", marked) == pytest.approx(3 / 6)
    assert figure(task, "instruction_loose", marked) == pytest.approx(5 / 6)
    assert figure(task, "strict_punctuation", marked) == pytest.approx(1 / 3)
    assert figure(task, "strict_keywords", marked) is None
    assert marked[1].marks["instruction punctuation:no_comma"] == "followed loosely"


def test_the_eight_loose_forms() -> None:
    assert marking.loose_forms("a\n*b*\nc") == [
        "a\n*b*\nc", "*b*\nc", "a\n*b*", "*b*", "a\nb\nc", "b\nc", "a\nb", "b",
    ]  # fmt: skip
    assert marking.loose_forms("one") == ["one"]
    assert marking.loose_forms(" \n ") == []


def test_an_unknown_type_is_counted_and_never_passed(tmp_path: Path) -> None:
    odd = record("Say it.", ("rhyme:sonnet", {"lines": 14}), ("punctuation:no_comma", {}))
    task = ifeval_from_file(written(tmp_path, odd, {**TWO, "key": 2}), "en")
    assert task.unsupported() == {"rhyme:sonnet": 1}
    marked = marks(task, "en", "fine", "fine, then")
    assert [one.marks["prompt_strict"] for one in marked] == [None, False]
    assert marked[0].marks["instruction rhyme:sonnet"] == "unsupported"
    assert figure(task, "supported", marked) == 0.5
    assert figure(task, "instruction_strict", marked) == pytest.approx(1 / 3 + 1 / 3), "no_comma, lower case of three"


def test_a_reply_language_that_the_meter_does_not_know_is_left_out_and_said(tmp_path: Path) -> None:
    ask = record("Say it in Swahili.", ("language:response_language", {"language": "sw"}), key="a")
    german = record("Say it in German.", ("language:response_language", {"language": "de"}), key="b")
    task = ifeval_from_file(written(tmp_path, ask, german), "en", licence="Apache-2.0")
    (item,) = task.items("en", limit=None, seed=0)
    assert (item.id, item.language) == ("b", "de")
    assert task.unsupported() == {"language:response_language sw": 1}
    (source,) = task.sources("en")
    assert source.version == "1 of 2 prompts left out: reply in a language that the meter does not know"
    assert source.licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"prompt": "x", "instruction_id_list": ["punctuation:no_comma"]}, "column 'kwargs' is missing"),
        ({"prompt": "x", "instruction_id_list": ["a"], "kwargs": []}, r"record 1: .*no lists of the same length"),
        ({"prompt": "x", "instruction_id_list": "a", "kwargs": "b"}, "no lists of the same length"),
        (
            record("x", ("length_constraints:number_words", {"relation": "around", "num_words": 3})),
            r"record 1: length_constraints:number_words does not fit its kwargs \{'relation': 'around'",
        ),
        (record("x", ("keywords:existence", {})), "keywords:existence does not fit its kwargs"),
    ],
)
def test_bad_files(tmp_path: Path, content: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        ifeval_from_file(written(tmp_path, content), "en")


def test_keys_that_come_twice_and_other_languages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 keys come twice: 1"):
        ifeval_from_file(written(tmp_path, TWO, TWO), "en")
    with pytest.raises(UsageError, match="no rules for IFEval files in 'ko'; there are some for en, ja"):
        ifeval_from_file(written(tmp_path, TWO), "ko")


def test_rules_are_in_the_groups() -> None:
    assert {kind.partition(":")[0] for rules in RULES.values() for kind in rules} == set(GROUPS)
    assert len(RULES["en"]) == 25


@pytest.mark.parametrize(("language", "count", "known"), [("en", 541, 25), ("ja", 172, 33)])
def test_public_files_are_mapped_whole(language: str, count: int, known: int) -> None:
    task = ifeval_from_file(public_data(f"verifiable/ifeval.{language}.jsonl"), language, licence="Apache-2.0")
    assert len(task.records) == count
    kinds = Counter(one.kind for _, _, instructions in task.records for one in instructions)
    assert kinds.keys() == RULES[language].keys()
    assert len(kinds) == known
    assert all(name.startswith("language:response_language") for name in task.unsupported())
    items = task.items(language, limit=None, seed=0)
    assert len(items) == count - sum(task.unsupported().values())
    assert all(item.language in SCRIPTS for item in items)
    # A model that says one thing to everything follows little, and nothing fails on it.
    marked = marks(task, language, *["はい。" if language == "ja" else "Yes."] * len(items))
    assert (figure(task, "prompt_strict", marked) or 0) < 0.3
    assert figure(task, "supported", marked) == 1
