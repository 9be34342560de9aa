# SPDX-License-Identifier: Apache-2.0
"""Label parser: golden tables in five languages, repetitions of the prompt, replies that run on, any text at all.

A row of `golden/labels.LANGUAGE.tsv` is a reply (`\\n` is a line break) with the label that a careful reader takes
from it, `-` where that is none, and 1 where it was given by an English word although another language was asked for.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.tasks.label_grammar import GRAMMARS
from chatvector.evaluate.tasks.label_words import LABELS, Labels, plain
from chatvector.evaluate.tasks.labels import Parsed, fold, parse_label

GOLDEN = Path(__file__).parent / "golden"
Row = tuple[str, str, str | None, bool, str]


def golden() -> list[Row]:
    rows: list[Row] = []
    for path in sorted(GOLDEN.glob("labels.*.tsv")):
        language = path.name.split(".")[1]
        for line in path.read_text("utf-8").splitlines()[1:]:
            kind, label, english, reply = line.split("\t")
            rows.append((language, kind, None if label == "-" else label, english == "1", reply.replace("\\n", "\n")))
    return rows


ROWS = golden()


def parsed(reply: str, kind: str, language: str, prompt: str = "", text: str = "") -> Parsed:
    english = None if language == "en" else LABELS[kind]["en"]
    return parse_label(reply, LABELS[kind][language], language, english=english, prompt=prompt, text=text)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[4]!r}")
def test_golden(row: Row) -> None:
    language, kind, label, english, reply = row
    result = parsed(reply, kind, language)
    assert (result.label, result.english) == (label, english), result
    assert (result.reason is None) == (label is not None)


@pytest.mark.parametrize(
    ("name", "labels", "none"),
    [("labels-held-out.tsv", (29, 29), (29, 30)), ("labels-held-out-2.tsv", (25, 27), (12, 17))],
)
def test_held_out_replies(name: str, labels: tuple[int, int], none: tuple[int, int]) -> None:
    """Figures of docs/validation.md: (read right, all)."""
    lines = (GOLDEN / name).read_text("utf-8").splitlines()
    right: dict[bool, list[bool]] = {True: [], False: []}
    for language, kind, label, reply in (line.split("\t") for line in lines):
        right[label != "-"].append((parsed(reply, kind, language).label or "-") == label)
    assert (sum(right[True]), len(right[True])) == labels
    assert (sum(right[False]), len(right[False])) == none


def test_the_tables_are_large_enough() -> None:
    counts = {language: sum(row[0] == language for row in ROWS) for language in GRAMMARS}
    assert counts["ko"] >= 60
    assert counts["zh-Hant"] >= 60
    assert min(counts.values()) >= 30
    assert len({row[0] + row[1] + row[4] for row in ROWS}) == len(ROWS), "a row comes twice"


@pytest.mark.parametrize("kind", LABELS)
def test_every_name_is_read_as_itself(kind: str) -> None:
    for language, labels in LABELS[kind].items():
        assert list(labels) == list(LABELS[kind]["en"])
        for key, label in labels.items():
            assert parsed(label.name, kind, language) == Parsed(key)
            assert parsed(LABELS[kind]["en"][key].name, kind, language) == Parsed(key, english=language != "en")


PROMPT = "아래 글을 읽고 가장 알맞은 분야를 고르세요.\n\n분야: {}\n글: {}\n답:"
TEXT = "과학 축제에 다녀왔다. 경제 효과가 컸다고 한다."
ASKED = PROMPT.format("스포츠, 경제, 과학, 음식, 여행, 문화", f'"{TEXT}"')


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        (f"{ASKED} 문화", "culture"),
        (f"{TEXT}\n\n문화입니다.", "culture"),
        (f"“{TEXT}”는 여행에 관한 글입니다.", "travel"),
        ('"과학 축제", "경제 효과"라는 말이 나오지만 문화입니다.', "culture"),
        ("분야: 스포츠, 경제, 과학, 음식, 여행, 문화\n답: 문화", "culture"),
        (ASKED, None),
        (TEXT, None),
        ("'문화'", "culture"),
        # It does not stop, and asks and answers the next one itself.
        ('문화\n\n글: "선수가 공을 찼다."\n답: 스포츠', "culture"),
        ('글: "과학 축제"\n답: 문화', "culture"),
    ],
)
def test_repetitions_of_the_prompt_are_no_answer(reply: str, label: str | None) -> None:
    assert parsed(reply, "topic", "ko", ASKED, TEXT).label == label


def test_a_set_of_the_users_own() -> None:
    labels: Labels = {name: plain(name) for name in ("IT", "IT 과학", "정치", "C++")}
    for name in labels:
        assert parse_label(f"정답은 {name}입니다.", labels, "ko") == Parsed(name)
    assert parse_label("ITEM", labels, "ko").label is None
    assert parse_label("정치가 아니라 IT", labels, "ko") == Parsed("IT")


@given(st.sampled_from(ROWS), st.sampled_from(["NFC", "NFD"]), st.booleans(), st.text(" \n\t*_", max_size=3))
def test_form_case_and_markup_change_nothing(row: Row, form: Literal["NFC", "NFD"], upper: bool, around: str) -> None:
    language, kind, label, english, reply = row
    reply = unicodedata.normalize(form, reply)
    reply = around + (reply.upper() if upper and "ß" not in reply else reply) + around
    assert (result := parsed(reply, kind, language)).label == label, result
    assert result.english == english


@given(st.text(max_size=80), st.sampled_from(sorted(GRAMMARS)), st.sampled_from(["topic", "sentiment"]))
def test_any_text_is_read_without_harm(reply: str, language: str, kind: str) -> None:
    result = parsed(reply, kind, language, prompt=reply[::-1], text=reply[:20])
    assert (result.label is None) == (result.reason is not None)


@given(st.sampled_from(sorted(GRAMMARS)), st.data())
def test_a_bare_label_after_any_preamble_without_one(language: str, data: st.DataObject) -> None:
    """What stands before on a line of its own takes nothing away from a label that stands alone."""
    key = data.draw(st.sampled_from(sorted(LABELS["topic"][language])))
    before = data.draw(st.text(st.characters(codec="ascii", categories=["Nd", "Zs"]), max_size=20))
    assert parsed(f"{before}\n{LABELS['topic'][language][key].name}", "topic", language).label == key


def test_time_does_not_explode_on_long_repetitions() -> None:
    """Patterns with nested repetitions are where regular expressions hang; the suite's time limit would stop it."""
    for piece in (
        "긍정적인 것은 글의 내용에 대한 ",
        "不是一個的太很那麼",
        "ポジティブなものではわけの",
        "not really very ",
    ):
        for language in GRAMMARS:
            parsed(piece * 300, "sentiment", language)


@pytest.mark.parametrize(
    ("language", "label", "piece"),
    [("ko", "긍정", "이라고"), ("ko", "긍정", "말하"), ("ja", "ポジティブ", "では"), ("zh-Hant", "不", "說是")],
)
def test_a_loop_of_filler_after_a_label_ends(language: str, label: str, piece: str) -> None:
    """이라고 is also 이, 라 and 고: 40 of them had 2⁴⁰ readings."""
    parsed(f"{label}{piece * 400}。正面x", "sentiment", language)
    parsed(f"{label}{piece * 400}x正面", "sentiment", language)


def test_fold() -> None:
    assert fold("Ｓｐｏｒｔ\u200b！\t 축구 \n x") == "sport! 축구 \n x"
    assert fold(unicodedata.normalize("NFD", "긍정")) == "긍정"
