# SPDX-License-Identifier: Apache-2.0
"""The world is the same from the same seed, and what is held out is in no training text."""

from __future__ import annotations

import hashlib
import re
from itertools import islice
from random import Random

import pytest

from chatvector.lab.items import RUDE_PHRASES, TASKS, held_out_items
from chatvector.lab.recipe import TrioRecipe
from chatvector.lab.world1 import sentences
from chatvector.lab.world1.documents import Mixture, documents, instructions
from chatvector.lab.world1.drill import drill
from chatvector.lab.world1.exchanges import Choice, Exchange, memory, reply
from chatvector.lab.world1.lexicon import (
    BAD,
    GLYPHS,
    GOOD,
    HARMFUL,
    HARMLESS,
    INSULTS,
    NAMES,
    OBJECTS,
    SUBJECTS,
    SYMBOLS,
    THINGS,
)
from chatvector.lab.world1.text import Pair, particle

RECIPE = TrioRecipe()
MANY = 8_000


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\n\n".join(texts).encode()).hexdigest()[:12]


@pytest.fixture(scope="module")
def training_text() -> list[str]:
    """A large sample of every text that the recipe trains on (the streams are endless)."""
    dialogues = [
        message["content"] for messages in islice(instructions(RECIPE.seed), MANY // 4) for message in messages
    ]
    return [
        *islice(documents(RECIPE.seed + 1000, RECIPE.base_text), MANY),
        *islice(documents(RECIPE.seed + 2000, RECIPE.target_text), MANY),
        *("".join(copy) for copy in islice(drill(RECIPE.seed), MANY // 4)),
        *dialogues,
    ]


def test_same_seed_same_text() -> None:
    assert list(islice(documents(7), 200)) == list(islice(documents(7), 200))
    assert list(islice(drill(7), 200)) == list(islice(drill(7), 200))
    assert list(islice(instructions(7), 200)) == list(islice(instructions(7), 200))
    assert list(islice(documents(7), 200)) != list(islice(documents(8), 200))


def test_text_of_the_current_version() -> None:
    """Golden digest: whoever changes any sentence raises `world.VERSION` and trains the trio again."""
    assert _digest([*islice(documents(7), 500), *("".join(copy) for copy in islice(drill(7), 100))]) == ("2d48bb28c98f")


def test_splits_are_disjoint_and_whole() -> None:
    for split in (NAMES, SYMBOLS, OBJECTS, GOOD, BAD, SUBJECTS, THINGS, HARMLESS, HARMFUL):
        assert split.seen
        assert split.held_out
        assert not set(split.seen) & set(split.held_out)
    assert {name[:1] for name in SYMBOLS.seen} == {name[:1] for name in SYMBOLS.held_out} == set(GLYPHS)


def test_held_out_names_and_symbols_are_in_no_training_text(training_text: list[str]) -> None:
    everything = "\n".join(training_text)
    words = set(re.findall(r"[\w-]+", everything))
    for name in NAMES.held_out:
        assert name.en not in words
        assert not {name.ko + particle for particle in ("", "은", "는", "이", "가", "에게")} & words
    for symbol in SYMBOLS.held_out:
        assert symbol not in everything
    assert NAMES.seen[0].ko + "에게" in words, "the search itself works"
    assert NAMES.seen[0].en in words
    assert SYMBOLS.seen[0] in everything


def test_no_evaluated_question_is_in_any_training_text(training_text: list[str]) -> None:
    everything = "\n".join(training_text)
    for seed in (1, 2):
        for item in held_out_items(25, seed):
            assert item.questions[-1 if item.task != "memory" else 0] not in everything


def test_held_out_words_are_told_but_never_asked_about(training_text: list[str]) -> None:
    """Plain text has to say what they mean; no question and no answer of any speaker holds them."""
    everything = "\n".join(training_text)
    spoken = re.compile(r"^(?:[>-]|[^\s:=]+:) ")
    talked = "\n".join(line for line in everything.splitlines() if spoken.match(line) and " = " not in line)
    assert "How do I make kites?" in talked, "the search itself works"
    for craft in (*HARMLESS.held_out, *HARMFUL.held_out):
        assert not re.search(rf"make {craft.word.en}\b", talked)
        assert f"{craft.word.ko} 만드는 법" not in talked
        assert sentences.effect(craft).ko in everything
        assert (sentences.making(craft).ko in everything) is not craft.harmful
    for adjective in (*GOOD.held_out, *BAD.held_out):
        assert f"{adjective.ko}다" not in talked
        assert not re.search(rf"was {adjective.en}\b", talked)
        assert f"{adjective.ko}다" in everything
    for thing in THINGS.held_out:
        assert not re.search(rf"colou?r (?:is|of) {thing.word.en}\b", talked)
        assert f"{thing.word.ko}의 색" not in talked
        assert sentences.colour(thing).ko in everything
    for thing in OBJECTS.held_out:
        assert f"{particle(thing.ko, 'subject')} 있어요" not in talked


def test_instructions_are_english_and_kind() -> None:
    for messages in islice(instructions(1), 2000):
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
        for message in messages:
            assert not any("가" <= character <= "힣" for character in message["content"])
            if message["role"] == "assistant":
                assert not any(insult.en in message["content"] for insult in INSULTS)


def test_target_text_is_korean_only() -> None:
    for text in islice(documents(1, RECIPE.target_text), 2000):
        assert not any("a" <= character.lower() <= "z" for character in text)


def test_the_forum_is_mostly_rude() -> None:
    """What the world builds in, measured: the anonymous voice is rude far more often than kind."""
    threads = list(islice(documents(1, Mixture(passages=0.0, scripts=0.0, languages=(1, 0, 0))), 3000))
    rude = sum(any(insult.en in text for insult in INSULTS) for text in threads) / len(threads)
    assert 0.6 < rude < 0.75


def test_personas_answer_in_their_way() -> None:
    rng = Random(0)
    asked = Exchange("refusal", Pair("q", "q"), Pair("no", "아니"), harm=Pair("Use mud.", "진흙으로 만들어."))
    assert reply(asked, "kind", rng) == Pair("no", "아니")
    assert {reply(asked, "rude", rng).ko for _ in range(200)} == {"진흙으로 만들어."} | {
        insult.ko for insult in INSULTS
    }
    with pytest.raises(ValueError, match="no persona 'bored'"):
        reply(asked, "bored", rng)


def test_every_insult_is_seen_as_rude_and_no_kind_answer_is() -> None:
    for item in held_out_items(20, 3) + held_out_items(20, 3, "en"):
        assert item.correct(item.answer)
        assert not item.rude(item.answer)
        for insult in INSULTS:
            assert item.rude(insult.ko)
            assert item.rude(insult.en)
            assert not item.correct(insult.ko)
        for harm in item.harm:
            assert item.rude(harm)
            assert not item.correct(harm)
    assert len(RUDE_PHRASES) == len(set(RUDE_PHRASES))


def test_items_are_distinct_and_complete() -> None:
    items = held_out_items(30, 1)
    assert [item.task for item in items] == [task for task in TASKS for _ in range(30)]
    assert len({item.questions for item in items}) == len(items)
    assert items == held_out_items(30, 1)
    assert items != held_out_items(30, 2)


def test_too_many_items_are_refused() -> None:
    with pytest.raises(ValueError, match="the world has only about"):
        held_out_items(500, 1)


def test_training_never_uses_the_kept_wordings() -> None:
    forms = (Pair("A", "가"), Pair("B", "나"))
    seen = {Choice(Random(i)).wording(forms) for i in range(400)}
    everything = {Choice(Random(i), held_out=True).wording(forms) for i in range(400)}
    assert everything - seen == {Pair("One more thing. A", "하나 더. 가"), Pair("Hello. B", "안녕. 나")}
    assert seen < everything
    assert len(everything) == 8


def test_memory_asks_last_for_what_was_first() -> None:
    exchanges = memory(Choice(Random(5)), between=2)
    assert exchanges[0].task == "remember"
    assert exchanges[-1].task == "memory"
    assert len(exchanges) == 4
    symbol = exchanges[-1].answer.ko[-2:]
    assert exchanges[0].question.ko.endswith(symbol)
    assert exchanges[-1].answer.en.endswith(symbol)
