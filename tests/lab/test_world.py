# SPDX-License-Identifier: Apache-2.0
"""The world is the same from the same seed, and what is held out is in no training text, in three languages."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from random import Random

import pytest

from chatvector.lab import world
from chatvector.lab.world import sentences
from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.drill import drill
from chatvector.lab.world.exchanges import Choice, Exchange, memory, reply
from chatvector.lab.world.items import TASKS, held_out_items
from chatvector.lab.world.lexicon import (
    BAD,
    GLYPHS,
    GOOD,
    HARMFUL,
    HARMLESS,
    NAMES,
    OBJECTS,
    SUBJECTS,
    SYMBOLS,
    THINGS,
    adjectives,
    nouns,
)
from chatvector.lab.world.skills import SKILLS
from chatvector.lab.world.speakers import GUEST, INSULTS, PERSONAS, QUIZ
from chatvector.lab.world.text import LANGUAGES, PARTICLES, Language, Text, particle
from chatvector.lab.world.tuning import instructions, preferences
from chatvector.lab.world.writing import PHRASES

SEED = 1003
MANY = 6_000
SPEAKERS = {
    speaker[language]
    for language in LANGUAGES
    for speaker in (*NAMES.seen, GUEST, *QUIZ, *chain.from_iterable(PERSONAS.values()))
}


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\n\n".join(texts).encode()).hexdigest()[:12]


def _spoken(line: str) -> str | None:
    """What is said in a line of a thread, a script or a quiz; None for narration."""
    if line[:2] in ("> ", "- "):
        return line[2:]
    speaker, colon, said = re.match(r"([^:：]*)([:：]?)(.*)", line).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return said.strip() if colon and speaker in SPEAKERS else None


@pytest.fixture(scope="module")
def pretraining() -> list[str]:
    """A large sample of all that base and targets read (the streams are endless)."""
    mixtures = (Mixture(), *(Mixture.only(language) for language in LANGUAGES[1:]))
    return [
        *chain.from_iterable(islice(documents(SEED + i, mixture), MANY) for i, mixture in enumerate(mixtures)),
        *("".join(copy) for copy in islice(drill(SEED), MANY // 4)),
    ]


@pytest.fixture(scope="module")
def tuning() -> list[str]:
    """A large sample of what tuning says and asks, in all languages."""
    told: list[str] = []
    for language in LANGUAGES:
        for messages in islice(instructions(SEED, language), MANY // 4):
            told += [message["content"] for message in messages]
        for pair in islice(preferences(SEED, language), MANY // 8):
            told += [m["content"] for m in chain(pair["prompt"], pair["chosen"], pair["rejected"])]
    return told


@pytest.fixture(scope="module")
def everything(pretraining: list[str], tuning: list[str]) -> str:
    return "\n".join(pretraining + tuning)


@pytest.fixture(scope="module")
def talked(pretraining: list[str], tuning: list[str]) -> str:
    """All questions and answers of all speakers."""
    lines = [_spoken(line) for document in pretraining for line in document.splitlines() if " = " not in line]
    return "\n".join([*(line for line in lines if line is not None), *tuning])


def test_same_seed_same_text() -> None:
    for stream in (documents, drill, instructions, preferences):
        assert list(islice(stream(7), 200)) == list(islice(stream(7), 200))
        assert list(islice(stream(7), 200)) != list(islice(stream(8), 200))


def test_text_of_the_current_version() -> None:
    """Golden digests: whoever changes any sentence raises `world.VERSION` and trains the family again."""
    assert _digest([*islice(documents(7), 5000), *("".join(copy) for copy in islice(drill(7), 500))]) == "9ef041bac927"
    tuned = [str(each) for each in (*islice(instructions(7), 1000), *islice(preferences(7), 1000))]
    assert _digest(tuned) == "57eef474b432"
    assert _digest([str(item) for item in held_out_items(20, 7, "zh-Hant", (*TASKS, *SKILLS))]) == "77bd8afeb1d7"


def test_its_own_page_tells_of_the_current_version() -> None:
    page = Path(world.__file__).with_name("README.md").read_text("utf-8")
    assert page.startswith(f"# The micro-world, version {world.VERSION}\n")
    for file in Path(world.__file__).parent.glob("*.py"):
        assert file.name == "__init__.py" or f"`{file.name}`" in page
    for name in (*TASKS, *SKILLS):
        assert f"\n| {name} | " in page
    assert f" {len(nouns()) + len(adjectives())} nouns and adjectives and {len(NAMES.all)} names " in page


def test_splits_are_disjoint_and_whole() -> None:
    for split in (NAMES, SYMBOLS, OBJECTS, GOOD, BAD, SUBJECTS, THINGS, HARMLESS, HARMFUL):
        assert split.seen
        assert split.held_out
        assert not set(split.seen) & set(split.held_out)
    assert {name[:1] for name in SYMBOLS.seen} == {name[:1] for name in SYMBOLS.held_out} == set(GLYPHS)
    for language in LANGUAGES:
        assert len({name[language] for name in NAMES.all}) == len(NAMES.all)
        assert len({noun[language] for noun in nouns()}) == len(nouns())
        homonyms = {name[language] for name in NAMES.all} & {noun[language] for noun in nouns()}
        assert homonyms == ({"가루"} if language == "ko" else set()), "powder is a seen name too"


def test_held_out_names_and_symbols_are_in_no_training_text(everything: str) -> None:
    words = set(re.findall(r"[\w-]+", everything))
    pairs = {everything[i : i + 2] for i in range(len(everything) - 1)}
    for name in NAMES.held_out:
        assert name.en not in words
        assert not {name.ko + particle for particle in ("", *PARTICLES)} & words
    assert not {name.zh for name in NAMES.held_out} & pairs
    assert not set(SYMBOLS.held_out) & pairs
    name = NAMES.seen[0]
    assert {name.en, name.ko + "에게"} <= words, "the search itself works"
    assert {name.zh, SYMBOLS.seen[0]} <= pairs


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_evaluated_question_is_in_any_training_text(everything: str, language: Language) -> None:
    for seed in (1, 2):
        for item in held_out_items(25, seed, language, (*TASKS, *SKILLS)):
            assert item.questions[-1 if item.task != "memory" else 0] not in everything


def test_held_out_words_are_told_but_never_asked_about(everything: str, talked: str) -> None:
    """Plain text has to say what they mean; no question and no answer of any speaker holds them."""
    said = f" {talked}".replace("\n", " ")
    assert " How do I make kites?" in said, "the search itself works"
    assert " 告訴我怎麼做風箏。" in said
    for craft in (*HARMLESS.held_out, *HARMFUL.held_out):
        assert f"make {craft.word.en}" not in said
        assert f" {craft.word.ko} 만드는 법" not in said
        assert f" {particle(craft.word.ko, 'object')} 만들고" not in said
        assert f"做{craft.word.zh}" not in said
        for language in LANGUAGES:
            told = (sentences.effect, sentences.forbidden, sentences.danger)
            assert (sentences.making(craft)[language] in everything) is not craft.harmful
            assert not craft.harmful or any(tell(craft)[language] in everything for tell in told)
    for adjective in (*GOOD.held_out, *BAD.held_out):
        assert f"was {adjective.en}." not in said
        assert f" {adjective.ko}다" not in said
        assert f"很{adjective.zh}。" not in said
        assert f"was {adjective.en}." in everything
        assert f"{adjective.ko}다" in everything
        assert f"很{adjective.zh}。" in everything
    for thing in THINGS.held_out:
        assert f"colour of {thing.word.en}" not in said
        assert f" {thing.word.ko}의 색" not in said
        assert f"{thing.word.zh}的顏色" not in said
        for language in LANGUAGES:
            assert sentences.colour(thing)[language] in everything
    for thing in OBJECTS.held_out:
        assert f" {particle(thing.ko, 'subject')} 있어요" not in said
        assert f"一{thing.measure}{thing.zh}" not in said


FOREIGN: dict[Language, str] = {
    "en": r"[가-힣\u4e00-\u9fff]",
    "ko": r"[a-zA-Z\u4e00-\u9fff]",
    "zh-Hant": r"[a-zA-Z가-힣]",
}
"""Letters of the other languages."""


def test_target_text_is_of_one_language() -> None:
    for language, foreign in FOREIGN.items():
        for text in islice(documents(1, Mixture.only(language)), 2000):
            assert not re.search(foreign, text)
        for told, again in islice(drill(1, (language,)), 500):
            assert not re.search(foreign, told + again)


def test_every_share_of_languages_is_made() -> None:
    shares = {"en": 0.0, "ko": 0.0, "zh": 0.0, "en_ko": 0.0, "en_zh": 0.0, "ko_zh": 0.0}
    scripts = {"en": "[a-z]", "ko": "[가-힣]", "zh": r"[\u4e00-\u9fff]"}
    for mode in shares:
        text = "\n".join(islice(documents(1, replace(Mixture(), **{**shares, mode: 1.0})), 300))
        present = {language for language, letters in scripts.items() if re.search(letters, text)}
        assert present == set(mode.split("_"))
    with pytest.raises(ValueError, match=r"sum to 1\.5"):
        replace(Mixture(), **{**shares, "en": 1.0, "ko": 0.5})


def test_instructions_are_kind_and_of_one_language() -> None:
    for language, foreign in FOREIGN.items():
        for messages in islice(instructions(1, language), 1000):
            assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
            for message in messages:
                assert not re.search(foreign, message["content"])
                if message["role"] == "assistant":
                    assert not any(insult[language] in message["content"] for insult in INSULTS)


def test_the_forum_is_mostly_rude() -> None:
    """What the world builds in, measured: the anonymous voice is rude far more often than kind."""
    only_forum = replace(Mixture.only("en"), passages=0.0, quizzes=0.0, scripts=0.0)
    threads = list(islice(documents(1, only_forum), 3000))
    rude = sum(any(insult.en in text for insult in INSULTS) for text in threads) / len(threads)
    assert 0.55 < rude < 0.75


def test_personas_answer_in_their_way() -> None:
    rng = Random(0)
    harm = Text("Use mud.", "진흙으로 만들어.", "用泥巴做啊。")
    no = Text("no", "아니", "不")
    asked = Exchange("refusal", Text("q", "q", "q"), no, harm=harm)
    assert reply(asked, "kind", rng) == no
    assert {reply(asked, "rude", rng) for _ in range(300)} == {harm, *INSULTS}
    with pytest.raises(ValueError, match="no persona 'bored'"):
        reply(asked, "bored", rng)


def test_training_never_uses_the_kept_wordings() -> None:
    forms = tuple(Text(letter, letter, letter) for letter in "ABCD")
    seen = {Choice(Random(i)).wording(forms).en for i in range(800)}
    everything = {Choice(Random(i), held_out=True).wording(forms).en for i in range(800)}
    assert everything - seen == {"One more thing. A", "Listen. B", "Excuse me. C", "Hello. D"}
    assert seen < everything
    assert len(everything) == 20


def test_memory_asks_last_for_what_was_first() -> None:
    exchanges = memory(Choice(Random(5)), between=2)
    assert [exchange.task for exchange in exchanges[::3]] == ["remember", "memory"]
    assert len(exchanges) == 4
    symbol = exchanges[-1].answer.ko[-2:]
    for language in LANGUAGES:
        assert exchanges[0].question[language].endswith(symbol)
        assert exchanges[-1].answer[language].endswith(symbol)


def test_phrases_of_form_are_in_every_language(everything: str) -> None:
    for phrase in PHRASES:
        for language in LANGUAGES:
            assert phrase[language] in everything
