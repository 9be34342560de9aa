# SPDX-License-Identifier: Apache-2.0
"""The language meter on NTREX-128 (public news sentences, beside the project): the figures of docs/validation.md."""

from __future__ import annotations

import re
from random import Random

import pytest

from chatvector.evaluate.languages import reply_language
from chatvector.evaluate.languages.han import han_language, sides
from public_data import public_data

FILES = {"en": "eng", "ko": "kor", "zh-Hant": "zho-TW", "zh-Hans": "zho-CN", "ja": "jpn"}


def sentences(language: str) -> list[str]:
    path = public_data(f"language/ntrex.{FILES[language]}.txt")
    return path.read_text("utf-8").split("\n")[:1000]


@pytest.mark.parametrize("language", FILES)
def test_forty_characters_are_enough(language: str) -> None:
    """Nothing is left out: a cut that is called `und` or `zh` counts as wrong, also where it is a French sentence or
    "He is free."."""
    right = [reply_language(text[:40], language).main == language for text in sentences(language)]
    assert len(right) == 1000
    assert sum(right) / len(right) >= 0.98


@pytest.mark.parametrize("language", FILES)
def test_what_is_expected_does_not_decide(language: str) -> None:
    other = "ko" if language == "en" else "en"
    right = [reply_language(text[:40], other).main == language for text in sentences(language)]
    assert sum(right) / len(right) >= 0.98


@pytest.mark.parametrize("language", FILES)
def test_news_passes_by_line_and_by_word(language: str) -> None:
    readings = [reply_language(text, language) for text in sentences(language)]
    lines = [reading.pass_line for reading in readings if reading.pass_line is not None]
    assert sum(lines) / len(lines) >= 0.99
    assert sum(reading.pass_word for reading in readings) / len(readings) >= 0.98


def test_hardly_a_character_is_on_the_wrong_side() -> None:
    traditional, simplified = "".join(sentences("zh-Hant")), "".join(sentences("zh-Hans"))
    assert sides(traditional)[1] <= 1
    assert sides(simplified)[0] == 0


def test_kanji_without_kana() -> None:
    runs = re.findall("[一-鿿々]{5,}", "\n".join(sentences("ja")))
    assert sum(han_language(run, "ja") == "ja" for run in runs) / len(runs) >= 0.98
    for language in ("zh-Hant", "zh-Hans"):
        runs = re.findall("[一-鿿]{10,}", "\n".join(sentences(language)))
        assert sum(han_language(run, "ja") == language for run in runs) / len(runs) >= 0.93


@pytest.mark.parametrize("language", ["ko", "zh-Hant", "zh-Hans", "ja"])
def test_what_is_mixed_in_is_found(language: str) -> None:
    """Three sentences with one of English or of the other side among them; a sentence with an English word anywhere in
    it, also inside brackets, where it may pass for part of a name or a gloss."""
    rng, english = Random(0), sentences("en")
    own = [
        text for text in sentences(language) if (read := reply_language(text, language)).pass_line and read.pass_word
    ]
    words = sorted({word for text in english for word in re.findall(r"\b[a-z]{4,}\b", text)})
    sides = {"zh-Hant": "zh-Hans", "zh-Hans": "zh-Hant"}
    other = sentences(sides[language]) if language in sides else None

    def lines_fail(foreign: str) -> bool:
        mixed = rng.sample(own, 3)
        mixed.insert(rng.randrange(4), foreign)
        return reply_language("\n".join(mixed), language).pass_line is False

    def word_fails(word: str) -> bool:
        text = rng.choice(own)
        place = rng.randrange(1, len(text))
        return not reply_language(f"{text[:place]} {word} {text[place:]}", language).pass_word

    assert sum(lines_fail(rng.choice(english)) for _ in range(500)) / 500 >= 0.99
    assert sum(word_fails(rng.choice(words)) for _ in range(500)) / 500 >= 0.95
    if other:
        assert sum(lines_fail(rng.choice(other)) for _ in range(500)) / 500 >= 0.98
