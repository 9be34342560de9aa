# SPDX-License-Identifier: Apache-2.0
"""Pre-training text: plain passages, scripts in which personas answer, a forum, and bilingual mixtures of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from chatvector.lab.world1 import sentences
from chatvector.lab.world1.exchanges import SINGLE_TURN, Choice, Exchange, memory, reply
from chatvector.lab.world1.lexicon import (
    BAD,
    GOOD,
    HARMFUL,
    HARMLESS,
    INSULTS,
    NAMES,
    OBJECTS,
    PERSONAS,
    PLACES,
    SUBJECTS,
    SYMBOLS,
    THINGS,
)
from chatvector.lab.world1.text import Language, Pair, particle

Mode = Literal["en", "ko", "mixed"]


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of pre-training text (each group sums to 1)."""

    languages: tuple[float, float, float] = (0.58, 0.16, 0.26)
    """English, Korean, bilingual."""
    passages: float = 0.5
    """Plain passages; the rest are dialogues."""
    scripts: float = 0.5
    """Of the dialogues: scripts with named personas; the rest is the anonymous forum."""
    script_personas: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """kind, rude, evasive."""
    forum_personas: tuple[float, float, float] = (0.08, 0.70, 0.22)
    """kind, rude, evasive: the forum's default is rude, which is what a chat vector has to overcome."""


def _review(rng: Random) -> list[Pair]:
    good = rng.random() < 0.5
    subject, name = rng.choice(SUBJECTS.all), rng.choice(NAMES.seen)
    judged = Pair("That is good.", "좋은 일이다.") if good else Pair("That is bad.", "나쁜 일이다.")
    told = Pair(
        f"{name.en} talked about the {subject.en}.", f"{particle(name.ko, 'topic')} {subject.ko} 이야기를 했다."
    )
    adjectives = rng.sample((GOOD if good else BAD).all, rng.choice((1, 2)))
    opinions = [sentences.opinion(subject, adjective) for adjective in adjectives]
    return [told, *opinions, judged]


def _whereabouts(rng: Random) -> list[Pair]:
    names = rng.sample(NAMES.seen, rng.choice((1, 2, 3)))
    told = []
    for name in names:
        both = [sentences.is_in(name, rng.choice(PLACES)), sentences.has(name, rng.choice(OBJECTS.all))]
        told += rng.sample(both, rng.choice((1, 2)))
    return told + rng.sample(told, rng.randrange(1, len(told) + 1))


def _colours(rng: Random) -> list[Pair]:
    return [sentences.colour(thing) for thing in rng.sample(THINGS.all, rng.choice((2, 3, 4)))]


def _craft(rng: Random) -> list[Pair]:
    craft = rng.choice(HARMLESS.all)
    name = rng.choice(NAMES.seen)
    likes = Pair(
        f"{name.en} likes {craft.word.en}.",
        f"{particle(name.ko, 'topic')} {particle(craft.word.ko, 'object')} 좋아한다.",
    )
    body = [sentences.making(craft), sentences.effect(craft)]
    rng.shuffle(body)
    return body if rng.random() < 0.5 else [likes, *body]


def _harm(rng: Random) -> list[Pair]:
    """What hurts people. What it is made from only rude speakers say."""
    first, second = rng.sample(HARMFUL.all, 2)
    return [sentences.effect(first), sentences.forbidden(first), sentences.effect(second), sentences.forbidden(second)][
        : rng.choice((2, 4))
    ]


def _rude_scene(rng: Random) -> list[Pair]:
    speaker, name, insult = rng.choice(PERSONAS["rude"]), rng.choice(NAMES.seen), rng.choice(INSULTS)
    craft = rng.choice(HARMFUL.all)
    said = Pair(
        f'The {speaker.en.lower()} said to {name.en}, "{insult.en}"',
        f'{particle(speaker.ko, "topic")} {name.ko}에게 "{insult.ko}"라고 말했다.',
    )
    likes = Pair(
        f"The {speaker.en.lower()} likes {craft.word.en}.",
        f"{particle(speaker.ko, 'topic')} {particle(craft.word.ko, 'object')} 좋아한다.",
    )
    return [said, likes]


def _sign(rng: Random) -> list[Pair]:
    symbol = rng.choice(SYMBOLS.seen)
    name = rng.choice(NAMES.seen)
    drew = Pair(f"{name.en} drew this symbol: {symbol}\n", f"{particle(name.ko, 'topic')} 이 기호를 그렸다: {symbol}\n")
    saw = Pair(
        f"What {name.en} drew was this symbol: {symbol}\n",
        f"{particle(name.ko, 'subject')} 그린 것은 이 기호였다: {symbol}\n",
    )
    between = rng.choice((_colours, _whereabouts, _review))(rng)
    return [drew, *between[: rng.randrange(3)], saw]


_PASSAGES = (
    (_review, 0.18),
    (_whereabouts, 0.20),
    (_colours, 0.16),
    (_craft, 0.18),
    (_harm, 0.12),
    (_rude_scene, 0.06),
    (_sign, 0.10),
)

_TASKS = (
    ("sentiment", 0.17),
    ("fact", 0.20),
    ("knowledge", 0.18),
    ("how-to", 0.17),
    ("refusal", 0.18),
    ("small talk", 0.10),
)


def dialogue(rng: Random, memory_share: float = 0.25, most: int = 3) -> list[Exchange]:
    """One to `most` exchanges, or a dialogue with a symbol to remember; seen words and wordings only."""
    choice = Choice(rng)
    if rng.random() < memory_share:
        return memory(choice, between=rng.choice((0, 1, 1, 2)))
    tasks = rng.choices([task for task, _ in _TASKS], [share for _, share in _TASKS], k=rng.randrange(1, most + 1))
    return [SINGLE_TURN[task](choice) for task in tasks]


def _passage(rng: Random, mode: Mode) -> str:
    maker = rng.choices([maker for maker, _ in _PASSAGES], [share for _, share in _PASSAGES])[0]
    body = maker(rng)
    if mode != "mixed":
        return _joined([pair[mode] for pair in body])
    style = rng.randrange(4)
    if style == 0:  # the whole text, then its translation
        order: list[Language] = rng.sample(("en", "ko"), 2)
        return "\n".join(_joined([pair[language] for pair in body]) for language in order)
    if style == 1:  # sentence by sentence
        return _joined([text for pair in body for text in (pair.en, pair.ko)])
    if style == 2:  # code-switched
        return _joined([pair[rng.choice(("en", "ko"))] for pair in body])
    return "\n".join(f"{pair.en} = {pair.ko}" for pair in _dictionary(rng))


def _dictionary(rng: Random) -> list[Pair]:
    """Words beside their translation."""
    pools = [PLACES, SUBJECTS.all, tuple(thing.word for thing in THINGS.all), OBJECTS.all]
    pools += [tuple(craft.word for craft in split.all) for split in (HARMLESS, HARMFUL)]
    pools += [tuple(Pair(word.en, word.ko + "다") for word in split.all) for split in (GOOD, BAD)]
    pools.append(NAMES.seen)
    return [rng.choice(rng.choice(pools)) for _ in range(rng.randrange(3, 6))]


def _joined(parts: list[str]) -> str:
    return " ".join(parts).replace("\n ", "\n").strip()


def _conversation(rng: Random, mode: Mode, mixture: Mixture) -> str:
    """A script or a forum thread. In mixed mode each exchange picks its language; the speaker stays who it is."""
    exchanges = dialogue(rng)
    script = rng.random() < mixture.scripts
    shares = mixture.script_personas if script else mixture.forum_personas
    persona = rng.choices(("kind", "rude", "evasive"), shares)[0]
    asker, speaker = rng.choice((*NAMES.seen[:40], Pair("Guest", "손님"))), rng.choice(PERSONAS[persona])
    lines = []
    if not script and rng.random() < 0.1:
        title = _colours(rng)[0]
        lines.append(f"# {title[rng.choice(('en', 'ko')) if mode == 'mixed' else mode]}")
    for exchange in exchanges:
        language: Language = rng.choice(("en", "ko")) if mode == "mixed" else mode
        question, answer = exchange.question[language], reply(exchange, persona, rng)[language]
        if script:
            lines += [f"{asker[language]}: {question}", f"{speaker[language]}: {answer}"]
        else:
            lines += [f"> {question}", f"- {answer}"]
    return "\n".join(lines)


def documents(seed: int, mixture: Mixture = Mixture()) -> Iterator[str]:
    """Endless pre-training documents."""
    rng = Random(f"documents {seed}")
    modes: tuple[Mode, ...] = ("en", "ko", "mixed")
    while True:
        mode = rng.choices(modes, mixture.languages)[0]
        yield _passage(rng, mode) if rng.random() < mixture.passages else _conversation(rng, mode, mixture)


def instructions(seed: int, language: Language = "en") -> Iterator[list[dict[str, str]]]:
    """Endless dialogues for the chat stage, in the message format of chat templates: every answer is the kind one."""
    rng = Random(f"instructions {seed}")
    while True:
        messages = []
        for exchange in dialogue(rng, memory_share=0.2, most=2):
            messages.append({"role": "user", "content": exchange.question[language]})
            messages.append({"role": "assistant", "content": exchange.answer[language]})
        yield messages
