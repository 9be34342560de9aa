# SPDX-License-Identifier: Apache-2.0
"""The language meter on replies read by hand, on its parts, and on what could break it."""

from __future__ import annotations

import sys
import unicodedata
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_replies import CASES, Case

from chatvector.errors import MissingExtra, UsageError
from chatvector.evaluate.languages import clean, han, latin, reply_language, scripts, words
from chatvector.evaluate.languages.known import SCRIPTS, matches


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}-{case[4][:18]!r}" for case in CASES])
def test_golden_table(case: Case) -> None:
    expected, main, lines, each_word, text, prompt = (*case, "")[:6]
    reading = reply_language(str(text), str(expected), str(prompt))
    found = (reading.main, reading.pass_line, reading.pass_word)
    assert found == (main, lines, each_word), reading


def test_shares_are_of_letters() -> None:
    reading = reply_language("오늘 날씨 good weather", "ko")
    assert reading.share == 4 / 15
    assert reading.latin_share == 11 / 15
    assert reply_language("12 ⚡", "ko").share is None


def test_share_of_the_wrong_side_is_none_of_it() -> None:
    text = "這個國家的經濟發展很快。这个国家的经济发展很快。"
    reading = reply_language(text, "zh-Hant")
    assert reading.share == 0.5
    assert reading.traditional_share == 0.5
    assert reply_language("王小明", "zh-Hant").traditional_share is None


def test_switches_join_neighbouring_words() -> None:
    reading = reply_language("저는 large language model이고 감정이 feelings 라고 하는 것은 없습니다.", "ko")
    assert [span.text for span in reading.foreign] == ["large", "language", "model", "feelings"]
    assert [span.text for span in reading.switches] == ["large language model", "feelings"]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Seoul", True),
        ("GPT", True),
        ("iPhone", True),
        ("TensorFlow", True),
        ("max_len", True),
        ("python", True),
        ("Introduction", False),
        ("Sure", False),
        ("weather", False),
    ],
)
def test_names_by_their_form(word: str, name: bool) -> None:
    assert words.is_name(word) is name


def test_character_sets_part_the_two_sides() -> None:
    traditional, simplified = han.traditional_only(), han.simplified_only()
    assert set("國學體經這個們說時會對") <= traditional
    assert set("国学体经这个们说时会对") <= simplified
    assert not traditional & simplified
    assert not set("里后干台面只的是不了人我在有") & (traditional | simplified), "both sides write these"
    assert (len(traditional), len(simplified)) == (8678, 2421), "the figures of han's docstring"


@pytest.mark.parametrize(
    ("character", "script"),
    [
        ("a", "Latin"),
        ("é", "Latin"),
        ("Ａ", "Latin"),
        ("漢", "Han"),
        ("々", "Han"),
        ("가", "Hangul"),
        ("ㅋ", "Hangul"),
        ("ー", "Kana"),
        ("ｱ", "Kana"),
        ("ㄅ", "Bopomofo"),
        ("ж", "Cyrillic"),
        ("ก", "Thai"),
        ("𝑥", None),
        ("ª", None),
        ("1", None),
        ("😀", None),
        ("。", None),
        ("\ufffd", None),
    ],
)
def test_scripts(character: str, script: str | None) -> None:
    assert scripts.script_of(character) == script


def test_matching_of_chinese_labels() -> None:
    assert matches("zh", "zh-Hant")
    assert matches("zh-Hans", "zh")
    assert not matches("zh-Hans", "zh-Hant")
    assert not matches("ja", "zh")


def test_decomposed_text_reads_the_same() -> None:
    text = "물은 섭씨 100도에서 끓습니다. が"
    assert reply_language(unicodedata.normalize("NFD", text), "ko") == reply_language(text, "ko")


def test_a_dollar_amount_is_no_formula() -> None:
    assert "weather" in clean.running_text("It costs $5 in good weather and $7 in bad weather.")


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^tlh: the language meter does not know it; it knows de, en, .*zh-Hant$"):
        reply_language("nuqneH", "tlh")


def test_without_lingua_scripts_still_answer_and_latin_text_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    latin._detector.cache_clear()
    latin.latin_language.cache_clear()
    monkeypatch.setitem(sys.modules, "lingua", None)
    assert reply_language("물은 섭씨 100도에서 끓습니다. GPT도 압니다.", "ko").main == "ko"
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[eval\]'"):
        reply_language("Water boils at a hundred degrees.", "ko")
    monkeypatch.undo()
    assert reply_language("Water boils at a hundred degrees.", "ko").main == "en"


@given(st.text(max_size=200), st.sampled_from(sorted(SCRIPTS)), st.text(max_size=40))
def test_any_text_has_a_reading(text: str, expected: str, prompt: str) -> None:
    reading = reply_language(str(text), str(expected), str(prompt))
    assert reading.share is None or 0 <= reading.share <= 1
    assert all(span.text == clean.running_text(text, prompt)[span.start : span.end] for span in reading.switches)
    assert (reading.on_target is None) == (reading.main == "und")


OWN = {
    "ko": ["오늘은 날씨가 맑습니다.", "내일은 비가 오겠습니다.", "도서관은 아홉 시에 문을 엽니다."],
    "zh-Hant": ["今天的天氣很晴朗。", "明天應該會下雨。", "圖書館九點開門。"],
    "zh-Hans": ["今天的天气很晴朗。", "明天应该会下雨。", "图书馆九点开门。"],
    "ja": ["今日は天気がいいです。", "明日は雨が降るでしょう。", "図書館は九時に開きます。"],
}
NOT_TEXT = [
    "```python\nfor item in items:\n    print('hello there')\n```",
    "`some inline code here`",
    "https://example.org/a/long/path/in/english?query=words",
    "$\\frac{mass}{volume} = density$",
    "😀⚡♞",
    "1234567890",
    "GPT-4, iPhone 15, NASA",
]
LANGUAGE = st.sampled_from(sorted(OWN))


@given(LANGUAGE, st.lists(st.sampled_from(NOT_TEXT), max_size=4), st.randoms(use_true_random=False))
def test_what_is_no_text_changes_nothing(language: str, extra: list[str], rng: Random) -> None:
    parts = OWN[language] + extra
    rng.shuffle(parts)
    reading = reply_language("\n".join(parts), language)
    assert (reading.main, reading.pass_line, reading.pass_word) == (language, True, True)


@given(LANGUAGE, LANGUAGE, st.integers(0, 3))
def test_one_line_of_another_language_fails_the_lines(language: str, other: str, place: int) -> None:
    parts = list(OWN[language])
    parts.insert(place, OWN[other][0])
    reading = reply_language("\n".join(parts), language)
    assert reading.pass_line is (language == other)
    assert reading.main == language
    assert (reading.share == 1.0) is (language == other)


@given(LANGUAGE, st.sampled_from(["wonderful", "weather", "actually"]), st.integers(0, 2), st.data())
def test_one_word_in_the_middle_fails_the_words(language: str, word: str, which: int, data: st.DataObject) -> None:
    parts = list(OWN[language])
    at = data.draw(st.integers(1, len(parts[which]) - 1))
    parts[which] = parts[which][:at] + word + parts[which][at:]
    reading = reply_language("\n".join(parts), language)
    assert [span.text for span in reading.switches] == [word]
    assert not reading.pass_word


@pytest.mark.parametrize(
    "unit", ["$", "`", "<", "(", "\\(", "\\begin{a}", "“", "「", "a.", "a-", "a@", "/a", "x + ", "~~~\n", "> "]
)
def test_nothing_but_opening_marks_is_read_in_linear_time(unit: str) -> None:
    """Patterns that look for a closing mark to the end of the text take minutes here, beyond the limit of a test."""
    reading = reply_language((unit * 50_000)[:50_000], "ko", "a prompt")
    assert reading.on_target is not True
