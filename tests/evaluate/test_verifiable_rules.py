# SPDX-License-Identifier: Apache-2.0
"""Every rule with replies that follow and near misses, in every language it is for; what the rules are made of."""

from __future__ import annotations

import tomllib
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.items import read_records
from chatvector.evaluate.tasks.verifiable import chinese, forms, japanese, korean, text
from chatvector.evaluate.tasks.verifiable.generate import Instruction, checked
from chatvector.evaluate.tasks.verifiable.kinds import KINDS
from public_data import public_data

TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parent / "golden" / "instructions.toml").read_text("utf-8")
)
ROWS = [
    (kind, entry["in"], entry.get("args", {}), reply, follows)
    for kind, entries in TABLE.items()
    for entry in entries
    for follows, replies in ((True, entry["good"]), (False, entry["bad"]))
    for reply in replies
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}-{row[4]}-{row[3]!r}"[:90])
def test_rule(row: tuple[str, str, dict[str, Any], str, bool]) -> None:
    kind, _, args, reply, follows = row
    assert checked(Instruction(kind, args), reply) is follows
    assert checked(Instruction(kind, args), unicodedata.normalize("NFD", reply)) is follows or kind == "characters"


def test_every_rule_has_replies_of_both_kinds_in_every_language() -> None:
    there = Counter((kind, language, follows) for kind, language, _, _, follows in ROWS)
    wanted = {
        (k.name, language, follows) for k in KINDS.values() for language in k.languages for follows in (True, False)
    }
    assert wanted - there.keys() == set()
    assert TABLE.keys() == KINDS.keys()


@given(st.text(max_size=60), st.sampled_from(ROWS))
def test_rules_take_any_text(reply: str, row: tuple[str, str, dict[str, Any], str, bool]) -> None:
    assert checked(Instruction(row[0], row[2]), reply) in (True, False)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_reply_follows_nothing(kind: str) -> None:
    for entry in TABLE[kind]:
        assert not checked(Instruction(kind, entry.get("args", {})), " \n")


@given(st.lists(st.sampled_from(["Yes.", "그래요.", "好。", "はい。", "Go!"]), min_size=1, max_size=8), st.booleans())
def test_sentences_are_counted_in_lines_and_in_a_row(parts: list[str], lines: bool) -> None:
    assert text.sentences(("\n" if lines else " ").join(parts)) == parts


def test_letters_of_other_files() -> None:
    """Rules that only IFEval files use."""
    assert forms.letter_frequency("Banana", "a", "at least", 3)
    assert not forms.letter_frequency("Banana", "b", "at least", 2)
    assert forms.capital_words("NASA and ESA met.", "exactly", 2)
    assert forms.starred_paragraphs("a\n***\nb", 2)
    assert not forms.starred_paragraphs("a\n***\n***\nb", 2)
    assert forms.nth_paragraph("a\n\nIt is\n\nc", 3, 2, "it")
    assert not forms.nth_paragraph("a\n\nItem is\n\nc", 3, 2, "it")
    assert not forms.nth_paragraph("a\n\nIt is", 3, 2, "it")
    assert forms.contains_one_of("I think: My answer is yes.", ("My answer is yes.",))
    assert japanese.furigana("山（やま）と川（かわ）を見（み）る。")
    assert not japanese.furigana("山（やま）と川を見る。")
    assert japanese.kanji_numbers_only("三分の二です。")
    assert not japanese.kanji_numbers_only("3分の二です。")
    assert japanese.nominal_endings("美しい桜。行こう。春の山！") == 2
    assert japanese.ends_alike("勉強しなさい。早く寝なさい！", "なさい")
    assert not japanese.ends_alike("勉強しなさい。寝ます。", "なさい")


def test_numerals_against_hand_written_ones() -> None:
    assert [korean.numeral(n, "native") for n in (1, 10, 11, 20, 35, 99)] == [
        "하나", "열", "열하나", "스물", "서른다섯", "아흔아홉",
    ]  # fmt: skip
    assert [korean.numeral(n, "sino") for n in (1, 10, 11, 20, 35, 99)] == [
        "일", "십", "십일", "이십", "삼십오", "구십구",
    ]  # fmt: skip


def sentences_of(name: str) -> list[list[str]]:
    path = Path(__file__).parent / "golden" / name
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("expected", "sentence"), sentences_of("levels.ko.tsv"))
def test_level_of_a_sentence(expected: str, sentence: str) -> None:
    """`-`: a fragment, without a level."""
    assert (korean.level(sentence) or "-") == expected
    assert (korean.level(unicodedata.normalize("NFD", sentence)) or "-") == expected


@pytest.mark.parametrize(("expected", "sentence"), sentences_of("styles.ja.tsv"))
def test_style_of_a_sentence(expected: str, sentence: str) -> None:
    assert (japanese.style(sentence) or "-") == expected


# --- tables of words


def test_the_two_sides_words_do_not_hold_each_other() -> None:
    for thing in chinese.things().values():
        for ours in thing.forms["taiwan"]:
            assert not any(ours in theirs or theirs in ours for theirs in thing.forms["mainland"]), thing.gloss
    assert len(chinese.things()) >= 35


def test_the_table_of_sides_is_in_the_letters_it_says() -> None:
    from chatvector.evaluate.languages import han

    for thing in chinese.things().values():
        for full, simple in thing.forms.values():
            assert han.sides(full)[1] == 0, thing.gloss
            assert han.sides(simple)[0] == 0, thing.gloss


def test_idioms_are_idioms_in_form() -> None:
    assert len(chinese.idioms()) >= 250
    assert all(len(word) == 4 and word.isalpha() for word in chinese.idioms())


def test_one_sided_words_on_news_of_the_two_sides() -> None:
    """NTREX, translated in Taiwan and on the mainland: a side's own words outnumber the other's."""
    sides: tuple[tuple[str, chinese.Side], ...] = (("zho-TW", "taiwan"), ("zho-CN", "mainland"))
    for name, side in sides:
        lines = public_data(f"language/ntrex.{name}.txt").read_text("utf-8").splitlines()
        own = sum(len(chinese.words_of(side, line)) for line in lines)
        others = sum(len(chinese.words_of(chinese.other(side), line)) for line in lines)
        assert own > others, (name, own, others)


def test_levels_of_speech_on_ten_thousand_polite_answers() -> None:
    """Answers of a Korean chat set, written in polite speech throughout: how many are read otherwise."""
    answers = [record["A"] for record in read_records(public_data("dialogue/chatbot.ko.csv"), ("A",))]
    found = Counter(korean.level(sentence) for answer in answers for sentence in text.sentences(answer))
    assert found["plain"] / found.total() < 0.005
    assert (found["polite"] + found["formal"]) / found.total() > 0.97


def test_styles_on_japanese_news() -> None:
    """NTREX in Japanese is written in だ・である almost throughout."""
    lines = public_data("language/ntrex.jpn.txt").read_text("utf-8").splitlines()
    found = Counter(
        japanese.style(one) for line in lines for one in text.sentences(text.without_quotations(line, "こと"))
    )
    assert found["plain"] / (found["plain"] + found["polite"]) > 0.95
    assert found[None] / found.total() < 0.12
