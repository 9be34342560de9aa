# SPDX-License-Identifier: Apache-2.0
"""The task `reply-language`: its prompts, its marks, files of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.languages import reply_language
from chatvector.evaluate.languages.marks import language_marks, language_metrics
from chatvector.evaluate.task import Answer, Item, Marks, Services, Task
from chatvector.evaluate.tasks.reply_language import ReplyLanguage, reply_language_from_file
from chatvector.runtime.backend import Reply
from public_data import public_data

LANGUAGES = ("en", "ja", "ko", "zh-Hans", "zh-Hant")
TASK: Task = ReplyLanguage()

GOOD = {
    "en": "Sea water is salty because rivers carry minerals into it.",
    "ko": "바닷물이 짠 까닭은 강물이 광물을 실어 나르기 때문입니다.",
    "zh-Hant": "海水會鹹，是因為河流把礦物質帶進海裡。",
    "zh-Hans": "海水会咸，是因为河流把矿物质带进海里。",
    "ja": "海の水が塩辛いのは、川が鉱物を運んでくるからです。",
}


def mark(task: Task, item: Item, text: str) -> Marks:
    return task.mark([Answer(item, 0, (Reply(text, stopped=True),))], Services())[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_forty_two_prompts_each_asked_in_its_language(language: str) -> None:
    items = TASK.items(language, limit=None, seed=0)
    kinds = [item.facets["kind"] for item in items]
    assert (kinds.count("monolingual"), kinds.count("crosslingual")) == (30, 12)
    assert kinds[:7] == ["monolingual"] * 5 + ["crosslingual"] * 2
    assert len({item.turns[0].user for item in items}) == 42
    for item in items:
        assert item.expect == {"language": language}
        reading = reply_language(item.turns[0].user, item.facets["asked"])
        assert reading.on_target, item.turns[0].user
        assert (item.facets["asked"] == language) == (item.facets["kind"] == "monolingual")
    assert TASK.items(language, limit=9, seed=1) == items[:9]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("said", LANGUAGES)
def test_only_the_language_itself_passes(language: str, said: str) -> None:
    for item in TASK.items(language, limit=None, seed=0):
        marks = mark(TASK, item, GOOD[said])
        assert marks["on_target"] is marks["pass_line"] is (said == language)
        assert marks["main"] == said
        assert marks["english"] is (None if language == "en" else said == "en")
        assert marks["pass_word"] is (True if said == language != "en" else None)


def test_marks_count_every_kind_of_leak() -> None:
    marks = language_marks("이 방법은 really effective 하고, 결과가 quickly 나옵니다.", "ko")
    assert (marks["pass_line"], marks["pass_word"], marks["switches"], marks["english"]) == (True, False, 2.0, False)
    assert language_marks("這個国家很大，經濟发展很快。", "zh-Hant")["own_side"] == pytest.approx(4 / 6)
    assert language_marks("这个国家很大。", "zh-Hans")["own_side"] == 1.0
    assert language_marks("这个国家很大。", "ko")["own_side"] is None


def test_what_is_too_short_is_left_out_and_counted() -> None:
    marks = language_marks("42", "ko")
    assert marks["undetermined"] is True
    assert {marks[name] for name in ("on_target", "pass_line", "pass_word", "english", "share", "switches")} == {None}


def test_every_metric_has_its_mark() -> None:
    marks = language_marks(GOOD["zh-Hant"], "zh-Hant")
    for metric in language_metrics():
        value = marks[metric.mark or ""]
        assert isinstance(value, bool) if metric.kind == "rate" else isinstance(value, float), metric.name


def test_a_file_of_prompts(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("prompt,language,phrasing\nA,ko,reply in X\nB,ko,\nC,zh,\nD,zh-Hant,\n", "utf-8")
    task = reply_language_from_file(path, "zh-Hant", licence="CC0")
    assert task.name == "reply-language-mine"
    assert task.languages == ("zh-Hant",)
    items = sorted(task.items("zh-Hant", limit=None, seed=0), key=lambda item: item.id)
    assert [(item.id, item.expect["language"]) for item in items] == [("mine-0003", "zh"), ("mine-0004", "zh-Hant")]
    assert mark(task, items[0], GOOD["zh-Hans"])["on_target"] is True, "the file asks for Chinese, of either side"
    assert mark(task, items[1], GOOD["zh-Hans"])["on_target"] is False
    assert task.sources("zh-Hant")[0].licence == "CC0"
    korean = reply_language_from_file(path, "ko")
    assert {item.facets["kind"] for item in korean.items("ko", limit=None, seed=0)} == {"crosslingual", "monolingual"}
    with pytest.raises(UsageError, match="has no prompts for 'ja'; it has ko"):
        korean.items("ja", limit=None, seed=0)
    with pytest.raises(InputError, match="none of its 4 prompts is for ja; they are for ko, zh, zh-Hant"):
        reply_language_from_file(path, "ja")
    with pytest.raises(UsageError, match="the language meter does not know it"):
        reply_language_from_file(path, "tlh")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("monolingual.native.ko", "ko"),
        ("monolingual.native.ja", "ja"),
        ("monolingual.okapi.zh", "zh-Hans"),
        ("monolingual.aya.en", "en"),
        ("crosslingual.okapi.ko", "ko"),
        ("crosslingual.sharegpt.zh", "zh-Hant"),
    ],
)
def test_the_language_confusion_benchmark(name: str, language: str) -> None:
    task = reply_language_from_file(public_data(f"language/confusion/{name}.csv"), language, licence="Apache-2.0")
    items = task.items(language, limit=None, seed=0)
    assert len(items) == 100
    assert {item.facets["kind"] for item in items} == {name.split(".")[0]}
