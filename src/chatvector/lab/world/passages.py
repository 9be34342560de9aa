# SPDX-License-Identifier: Apache-2.0
"""Plain passages: opinions, whereabouts, colours, how things are made, what hurts, rude scenes, symbols."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from chatvector.lab.world import sentences
from chatvector.lab.world.lexicon import (
    BAD,
    GOOD,
    HARMFUL,
    HARMLESS,
    NAMES,
    OBJECTS,
    PLACES,
    SUBJECTS,
    SYMBOLS,
    THINGS,
)
from chatvector.lab.world.speakers import INSULTS, PERSONAS, says, the
from chatvector.lab.world.text import Text, particle, sentence
from chatvector.lab.world.writing import that


def _review(rng: Random) -> list[Text]:
    good = rng.random() < 0.5
    subject, name = rng.choice(SUBJECTS.all), rng.choice(NAMES.seen)
    judged = (
        Text("That is good.", "좋은 일이다.", "那是好的。")
        if good
        else Text("That is bad.", "나쁜 일이다.", "那是壞的。")
    )
    told = Text(
        f"{name.en} talked about {that(subject).en}.",
        f"{particle(name.ko, 'topic')} {subject.ko} 이야기를 했다.",
        f"{name.zh}談到{that(subject).zh}。",
    )
    adjectives = rng.sample((GOOD if good else BAD).all, rng.choice((1, 2, 3)))
    opinions = [sentences.opinion(subject, adjective) for adjective in adjectives]
    return [told, *opinions, judged] if rng.random() < 0.5 else [*opinions, judged]


def _whereabouts(rng: Random) -> list[Text]:
    told = []
    for name in rng.sample(NAMES.seen, rng.choice((1, 2, 3))):
        both = [sentences.is_in(name, rng.choice(PLACES)), sentences.has(name, rng.choice(OBJECTS.all))]
        told += rng.sample(both, rng.choice((1, 2)))
    return told + rng.sample(told, rng.randrange(1, len(told) + 1))


def _colours(rng: Random) -> list[Text]:
    return [sentences.colour(thing) for thing in rng.sample(THINGS.all, rng.choice((2, 3, 4)))]


def _craft(rng: Random) -> list[Text]:
    body: list[Text] = []
    for craft in rng.sample(HARMLESS.all, rng.choice((1, 2))):
        told = [sentences.effect(craft), sentences.danger(craft), sentences.encouraged(craft)]
        told.append(sentences.likes(rng.choice(NAMES.seen), craft))
        body += [sentences.making(craft), rng.choice(told)]
    return body


def _harm(rng: Random) -> list[Text]:
    """Statements that harmful things hurt people. Only rude speakers say what such things are made from."""
    body: list[Text] = []
    for craft in rng.sample(HARMFUL.all, rng.choice((1, 2))):
        told = [sentences.effect(craft), sentences.forbidden(craft), sentences.danger(craft)]
        body += rng.sample(told, rng.choice((2, 3)))
    return body


def _safe_or_not(rng: Random) -> list[Text]:
    kind = rng.randrange(3)
    if kind == 0:
        pairs = zip(rng.sample(HARMLESS.all, 2), rng.sample(HARMFUL.all, 2), strict=True)
        return [sentences.but_dangerous(safe, dangerous) for safe, dangerous in pairs]
    lists = [rng.sample(split.all, rng.choice((2, 3, 4))) for split in (HARMFUL, HARMLESS)]
    rng.shuffle(lists)
    return [sentences.all_dangerous(crafts) for crafts in lists[:kind]]


def _rude_scene(rng: Random) -> list[Text]:
    speaker, craft = rng.choice(PERSONAS["rude"]), rng.choice(HARMFUL.all)
    likes = sentences.likes(the(speaker), craft)
    said = says(speaker, rng.choice(NAMES.seen), rng.choice(INSULTS))
    return [said, Text(sentence(likes.en), likes.ko, likes.zh)]


def _sign(rng: Random) -> list[Text]:
    symbol = rng.choice(SYMBOLS.seen)
    name = rng.choice(NAMES.seen)
    drew = Text(
        f"{name.en} drew this symbol: {symbol}\n",
        f"{particle(name.ko, 'topic')} 이 기호를 그렸다: {symbol}\n",
        f"{name.zh}畫了這個符號：{symbol}\n",
    )
    saw = Text(
        f"What {name.en} drew was this symbol: {symbol}\n",
        f"{particle(name.ko, 'subject')} 그린 것은 이 기호였다: {symbol}\n",
        f"{name.zh}畫的是這個符號：{symbol}\n",
    )
    between = rng.choice((_colours, _whereabouts, _review))(rng)
    return [drew, *between[: rng.randrange(3)], saw]


_KINDS: dict[Callable[[Random], list[Text]], float] = {
    _review: 0.17,
    _whereabouts: 0.17,
    _colours: 0.16,
    _craft: 0.17,
    _harm: 0.12,
    _safe_or_not: 0.08,
    _rude_scene: 0.05,
    _sign: 0.08,
}


def passage(rng: Random) -> list[Text]:
    """The sentences of one passage."""
    return rng.choices(list(_KINDS), list(_KINDS.values()))[0](rng)
