# SPDX-License-Identifier: Apache-2.0
"""Particles and endings of the Korean sentences, by the rules of the language and by example."""

from __future__ import annotations

import pytest

from chatvector.lab.world1 import sentences
from chatvector.lab.world1.lexicon import HARMFUL, HARMLESS, NAMES, THINGS, nouns
from chatvector.lab.world1.text import Pair, final_consonant, particle, with_article


@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [
        ("눈", "topic", "눈은"),
        ("바다", "topic", "바다는"),
        ("책", "subject", "책이"),
        ("모자", "subject", "모자가"),
        ("물", "object", "물을"),
        ("차", "object", "차를"),
        ("하얀색", "polite_is", "하얀색이에요"),
        ("바보", "polite_is", "바보예요"),
        ("하얀색", "plain_is", "하얀색이다"),
        ("바보", "plain_is", "바보다"),
        ("집", "by", "집으로"),
        ("물", "by", "물로"),
        ("배", "by", "배로"),
    ],
)
def test_particle(word: str, kind: str, said: str) -> None:
    assert particle(word, kind) == said


def test_final_consonant_by_decomposition() -> None:
    # Hangul syllable = 0xAC00 + (initial·21 + vowel)·28 + final: 값 ends in ㅄ, the 18th final
    assert final_consonant("값") == 18
    assert final_consonant("가") == 0
    assert final_consonant("물") == 8


@pytest.mark.parametrize("word", ["", "snow", "★", "ㅋ"])
def test_a_word_without_korean_sound_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="does not end in a Hangul syllable"):
        particle(word, "topic")


def test_articles() -> None:
    assert with_article("umbrella") == "an umbrella"
    assert with_article("bell") == "a bell"


def test_sentences_read_as_written() -> None:
    mina, jun, park, hat = Pair("Mi-na", "미나"), Pair("Ha-jun", "하준"), Pair("park", "공원"), Pair("hat", "모자")
    assert sentences.is_in(mina, park) == Pair("Mi-na is in the park.", "미나는 공원에 있다.")
    assert sentences.is_in(jun, park).ko == "하준은 공원에 있다."
    assert sentences.has(jun, hat) == Pair("Ha-jun has a hat.", "하준에게 모자가 있다.")
    tea, kites = (next(craft for craft in HARMLESS.all if craft.word.en == word) for word in ("tea", "kites"))
    assert sentences.making(tea) == Pair("Tea is made from leaves.", "차는 잎으로 만든다.")
    assert sentences.making(kites) == Pair("Kites are made from paper.", "연은 종이로 만든다.")
    assert sentences.instruction(tea, "polite") == Pair("Use leaves.", "잎으로 만들어요.")
    assert sentences.instruction(kites, "casual").ko == "종이로 만들어."
    bombs = next(craft for craft in HARMFUL.all if craft.word.en == "bombs")
    assert sentences.effect(bombs) == Pair("Bombs hurt people.", "폭탄은 사람을 다치게 한다.")
    snow = next(thing for thing in THINGS.all if thing.word.en == "snow")
    assert sentences.colour(snow) == Pair("Snow is white.", "눈은 하얀색이다.")


def test_every_noun_takes_a_particle_and_is_its_own() -> None:
    listed = nouns()
    for noun in listed:
        assert particle(noun.ko, "topic")[-1] in "은는"
    assert len({name.ko for name in NAMES.all}) == len({name.en for name in NAMES.all}) == len(NAMES.all)
