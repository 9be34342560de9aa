# SPDX-License-Identifier: Apache-2.0
"""Toxicity of continuations: items, marks by hand, and the loader of RealToxicityPrompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.errors import DamagedFile, InputError, UsageError
from chatvector.evaluate.scorers.text_scorer import CallableScorer, Card, ScorerInfo
from chatvector.evaluate.task import Answer, Item, Marks, Services
from chatvector.evaluate.tasks.toxicity import ToxicityTask, toxicity_from_file
from chatvector.evaluate.tasks.toxicity_data import COMMAS, cut_at_second_comma, read_beginnings
from chatvector.runtime.backend import Reply
from public_data import public_data

LANGUAGES = ("en", "ja", "ko", "zh-Hans", "zh-Hant")


def by_number(texts: Sequence[str], _: str) -> list[dict[str, float]]:
    """The first word of a text is its toxicity in percent."""
    return [{"toxicity": int(text.split()[0]) / 100, "insult": 0.5} for text in texts]


SCORER = CallableScorer(by_number, ScorerInfo("by number", "1", None, LANGUAGES, ("toxicity", "insult"), Card("test")))
SERVICES = Services(toxicity=SCORER)


def answers(item: Item, *texts: str) -> list[Answer]:
    return [Answer(item, sample, (Reply(text, True),)) for sample, text in enumerate(texts)]


def marked(*texts: str, language: str = "en") -> list[Marks]:
    task = ToxicityTask()
    item = task.items(language, limit=1, seed=0)[0]
    return task.mark(answers(item, *texts), SERVICES)


@pytest.mark.parametrize("mode", ["continue", "chat"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_starter_items(mode: Literal["continue", "chat"], language: str) -> None:
    task = ToxicityTask(mode)
    items = task.items(language, limit=None, seed=0)
    assert len(items) == 40
    assert task.items(language, limit=10, seed=3) == items[:10]
    assert [item.facets["prompt"] for item in items[:10]].count("plain") == 5
    assert all(item.sensitive and item.samples == 5 for item in items)
    raw = {item.id: item.text for item in ToxicityTask().items(language, limit=None, seed=0)}
    for item in items:
        if mode == "continue":
            assert item.mode == "continue"
        else:
            assert str(raw[item.id]) in item.turns[0].user
    assert task.sources(language)[0].name == f"chatvector toxicity-prompts.{language}"
    assert task.needs() == ("toxicity",)


def test_marks_by_hand() -> None:
    marks = marked("20 percent of the people there", "70 percent of the people there", "", "49 percent of all people")
    assert [each["toxicity"] for each in marks] == [0.2, 0.7, None, 0.49]
    assert [each["toxic"] for each in marks] == [False, True, None, False]
    assert [each["maximum"] for each in marks] == [0.7, None, None, None]
    assert [each["any_toxic"] for each in marks] == [True, None, None, None]
    assert [each["empty"] for each in marks] == [False, False, True, False]
    assert [each["short"] for each in marks] == [False, False, True, False]
    assert [each["insult"] for each in marks] == [0.5, 0.5, None, 0.5]
    assert {each["threat"] for each in marks} == {None}  # the scorer does not give it
    assert marks[0]["in_language"] is True
    assert marks[2]["in_language"] is None


def test_what_is_empty_is_not_harmless() -> None:
    marks = marked("", " \n")
    assert [each["maximum"] for each in marks] == [None, None]
    assert [each["toxicity"] for each in marks] == [None, None]
    # The maximum stays on the first sample, so that two models are paired there.
    assert [each["maximum"] for each in marked("", "30 words")] == [0.3, None]


def test_another_language_is_counted() -> None:
    assert marked("10 그 사람은 웃으며 집으로 돌아갔다")[0]["in_language"] is False
    assert marked("10 그 사람은 웃으며 집으로 돌아갔다", language="ko")[0]["in_language"] is True


def test_maxima_are_of_each_item() -> None:
    task = ToxicityTask()
    first, second = task.items("en", limit=2, seed=0)
    given = [*answers(first, "10 a", "90 a"), *answers(second, "30 a", "20 a")]
    mixed = [given[0], given[2], given[3], given[1]]
    marks = task.mark(mixed, SERVICES)
    assert [each["maximum"] for each in marks] == [0.9, 0.3, None, None]


def test_a_scorer_that_does_not_know_the_language_refuses() -> None:
    english = CallableScorer(by_number, ScorerInfo("english", "1", None, ("en",), ("toxicity",), Card("test")))
    task = ToxicityTask()
    item = task.items("ko", limit=1, seed=0)[0]
    with pytest.raises(UsageError, match="english scores en and was asked for ko"):
        task.mark(answers(item, "10 말"), Services(toxicity=english))
    with pytest.raises(UsageError, match="english scores en and was asked for ko"):
        english.check_language("ko")


def test_a_language_without_prompts() -> None:
    with pytest.raises(UsageError, match=r"toxicity-chat: has no items in 'th'; it has en, ja, ko"):
        ToxicityTask("chat").items("th", limit=None, seed=0)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("One, two, three", "One, two"),
        ("One, two", "One, two"),
        ("none", "none"),
        ("그는, 웃으며 , 말했다", "그는, 웃으며"),
        ("他說，明天，再來", "他說，明天"),
        ("彼は、笑って、帰った", "彼は、笑って"),
    ],
)
def test_the_papers_cut(text: str, cut: str) -> None:
    assert cut_at_second_comma(text) == cut


@given(st.text(alphabet="ab ,，、", max_size=30))
def test_a_cut_is_a_beginning_with_one_comma_at_most(text: str) -> None:
    cut = cut_at_second_comma(text)
    assert text.startswith(cut)
    assert sum(map(cut.count, COMMAS)) <= 1
    assert cut_at_second_comma(cut) == cut


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"id": f"p{n}", "text": f"하나, 둘, {n}", "toxicity": n / 10} for n in range(10)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = toxicity_from_file(path, "ko", cut=True, samples=2, licence="mine")
    assert task.name == "toxicity-continue-cut-mine"
    items = task.items("ko", limit=4, seed=1)
    assert [item.facets["prompt"] for item in items] == ["non-toxic", "toxic"] * 2
    assert {item.text for item in items} == {"하나, 둘"}
    assert {item.samples for item in items} == {2}
    assert items == task.items("ko", limit=None, seed=1)[:4]
    assert items != task.items("ko", limit=4, seed=2)
    assert task.sources("ko")[0].licence == "mine"
    with pytest.raises(UsageError, match="has no items in 'en'"):
        task.items("en", limit=None, seed=0)
    bare = tmp_path / "bare.csv"
    bare.write_text("prompt\na beginning\n", encoding="utf-8")
    assert read_beginnings(bare, "en").rows[0].kind == "unrated"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": {"text": "  ", "toxicity": 0.1}}', "record 1: the prompt has no text"),
        ('{"prompt": {"toxicity": 0.1}}', "record 1: the prompt has no text"),
        ('{"prompt": "a", "toxicity": "high"}', "toxicity is 'high'"),
        ('{"prompt": "a", "toxicity": 7}', "toxicity is 7"),
        ('{"question": "a"}', "column 'prompt'"),
    ],
)
def test_files_that_will_not_do(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises((InputError, DamagedFile), match=message):
        read_beginnings(path, "en")


def test_real_toxicity_prompts() -> None:
    task = toxicity_from_file(public_data("toxicity/realtoxicityprompts.1500.jsonl"), "en", mode="chat")
    items = task.items("en", limit=100, seed=0)
    # Six rounds of three kinds, the third one being the six prompts without a score, then of two.
    assert [item.facets["prompt"] for item in items].count("toxic") == 6 + 82 // 2
    everything = task.items("en", limit=None, seed=0)
    assert (len(everything), len({item.id for item in everything})) == (1500, 1500)
    assert sum(item.facets["prompt"] == "unrated" for item in everything) == 6
