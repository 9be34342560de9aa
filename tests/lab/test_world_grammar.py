# SPDX-License-Identifier: Apache-2.0
"""Korean particles, Chinese measure words and English articles, by the rules of the languages and by example."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

import pytest

from chatvector.lab.world import sentences
from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.lexicon import HARMFUL, HARMLESS, NAMES, THINGS, Craft, nouns, word
from chatvector.lab.world.stems import pieces
from chatvector.lab.world.text import (
    Text,
    final_consonant,
    follow,
    joined,
    listed,
    particle,
    with_article,
)


@pytest.mark.parametrize(
    ("noun", "kind", "said"),
    [
        ("눈", "topic", "눈은"),
        ("바다", "topic", "바다는"),
        ("책", "subject", "책이"),
        ("모자", "subject", "모자가"),
        ("물", "object", "물을"),
        ("차", "object", "차를"),
        ("총", "and", "총과"),
        ("새", "and", "새와"),
        ("하얀색", "polite_is", "하얀색이에요"),
        ("바보", "polite_is", "바보예요"),
        ("하얀색", "plain_is", "하얀색이다"),
        ("바보", "plain_is", "바보다"),
        ("하준", "named", "하준이라는"),
        ("미누", "named", "미누라는"),
        ("집", "by", "집으로"),
        ("물", "by", "물로"),
        ("배", "by", "배로"),
    ],
)
def test_particle(noun: str, kind: str, said: str) -> None:
    assert particle(noun, kind) == said


def test_final_consonant_by_decomposition() -> None:
    # Hangul syllable = 0xAC00 + (initial·21 + vowel)·28 + final: 값 ends in ㅄ, the 18th final
    assert final_consonant("값") == 18
    assert final_consonant("가") == 0
    assert final_consonant("물") == 8


def test_particles_follow_the_last_sound_of_every_syllable() -> None:
    """The canonical decomposition of a syllable has a third letter exactly if it ends in a consonant."""
    for code in range(ord("가"), ord("힣") + 1):
        syllable = chr(code)
        letters = unicodedata.normalize("NFD", syllable)
        closed = len(letters) == 3
        assert particle(syllable, "topic")[1:] == ("은" if closed else "는")
        assert particle(syllable, "object")[1:] == ("을" if closed else "를")
        assert particle(syllable, "and")[1:] == ("과" if closed else "와")
        assert particle(syllable, "by")[1:] == ("으로" if closed and letters[2] != "\u11af" else "로")  # ㄹ


@pytest.mark.parametrize("noun", ["", "snow", "★", "ㅋ", "雪"])
def test_a_word_without_korean_sound_is_refused(noun: str) -> None:
    with pytest.raises(ValueError, match="does not end in a Hangul syllable"):
        particle(noun, "topic")


def test_articles() -> None:
    assert with_article("umbrella") == "an umbrella"
    assert with_article("bell") == "a bell"


def _craft(english: str) -> Craft:
    return next(craft for craft in (*HARMLESS.all, *HARMFUL.all) if craft.word.en == english)


def test_sentences_read_as_written() -> None:
    minu, jun, park, hat = Text("Mi-nu", "미누", "米努"), Text("Ha-jun", "하준", "哈俊"), word("park"), word("hat")
    assert sentences.is_in(minu, park) == Text("Mi-nu is in the park.", "미누는 공원에 있다.", "米努在公園裡。")
    assert sentences.is_in(jun, park, "polite").ko == "하준은 공원에 있어요."
    assert sentences.has(jun, hat) == Text("Ha-jun has a hat.", "하준에게 모자가 있다.", "哈俊有一頂帽子。")
    assert sentences.has(jun, word("umbrella")).zh == "哈俊有一把雨傘。"
    assert sentences.making(_craft("tea")) == Text(
        "Tea is made from leaves.", "차는 잎으로 만든다.", "茶是用葉子做的。"
    )
    assert sentences.making(_craft("kites")).en == "Kites are made from paper."
    assert sentences.instruction(_craft("tea"), "polite") == Text("Use leaves.", "잎으로 만들어요.", "用葉子做。")
    assert sentences.instruction(_craft("kites"), "casual").zh == "用紙做啊。"
    assert sentences.effect(_craft("bombs")) == Text(
        "Bombs hurt people.", "폭탄은 사람을 다치게 한다.", "炸彈會傷害人。"
    )
    assert sentences.danger(_craft("poison")) == Text("Poison is dangerous.", "독약은 위험하다.", "毒藥很危險。")
    snow = next(thing for thing in THINGS.all if thing.word.en == "snow")
    assert sentences.colour(snow) == Text("Snow is white.", "눈은 하얀색이다.", "雪是白色的。")
    assert sentences.opinion(word("film"), word("boring")) == Text(
        "The film was boring.", "영화는 지루했다.", "那部電影很無聊。"
    )
    assert sentences.all_dangerous([_craft("bombs"), _craft("guns"), _craft("venom")]) == Text(
        "Bombs, guns and venom are dangerous.", "폭탄과 총과 맹독은 위험하다.", "炸彈、槍和毒液都很危險。"
    )


def test_lists() -> None:
    assert listed([word("guns"), word("tea")]) == Text("guns and tea", "총과 차", "槍和茶")


def test_every_noun_takes_a_particle() -> None:
    for noun in nouns():
        assert particle(noun.ko, "topic")[-1] in "은는"


def test_sentences_follow_each_other() -> None:
    assert follow("A.", "B.") == "A. B."
    assert follow("雪是白色的。", "草地是綠色的。") == "雪是白色的。草地是綠色的。"
    assert follow("Snow is white.", "雪是白色的。") == "Snow is white. 雪是白色的。"
    assert follow("symbol: ★\n", "B.") == "symbol: ★\nB."
    assert joined([Text("", "", ""), Text("a", "b", "c")]) == Text("a", "b", "c")


def test_chinese_is_written_with_full_width_marks_and_without_spaces() -> None:
    for text in islice(documents(2, Mixture.only("zh-Hant")), 2000):
        for line in text.splitlines():
            said = re.sub(r"^(?:[>#-] )", "", line)
            assert not re.search(r"[,.?!:;()\"']", said), line
            assert " " not in said, line


def test_korean_has_no_stray_or_double_space() -> None:
    for text in islice(documents(2, Mixture.only("ko")), 2000):
        assert "  " not in text
        assert not re.search(r" [.,?!]|[。，？！]", text)


@pytest.mark.parametrize(
    ("run", "cut"),
    [
        ("▁미누는", ["▁미", "누", "는"]),
        ("▁공원에", ["▁공원", "에"]),
        ("공원", ["공원"]),
        ("▁하준이라는", ["▁하", "준", "이라는"]),
        ("▁표시로", ["▁표시", "로"]),
        ("▁뷁은", ["▁뷁은"]),
        ("▁snow", ["▁snow"]),
        ("米努在公園裡", ["米", "努", "在", "公園", "裡"]),
        ("▁那部電影很無聊", ["▁那", "部", "電影", "很", "無聊"]),
        ("答案要以星星記號結尾", ["答案", "要", "以", "星星", "記號", "結尾"]),
    ],
)
def test_pieces(run: str, cut: list[str]) -> None:
    assert pieces(run) == cut
    assert "".join(cut) == run


def test_every_name_is_cut_into_its_two_parts_in_both_scripts() -> None:
    for name in NAMES.all:
        assert pieces(f"▁{name.ko}에게") == [f"▁{name.ko[0]}", name.ko[1], "에게"]
        assert pieces(f"{name.zh}在") == [*name.zh, "在"]
