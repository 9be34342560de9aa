# SPDX-License-Identifier: Apache-2.0
"""Single sentences of the world, each rendered in both languages (Korean in the plain style of written text)."""

from __future__ import annotations

from typing import Literal

from chatvector.lab.world.lexicon import MATERIALS, VERBS, Craft, Thing
from chatvector.lab.world.text import Pair, particle, sentence, with_article


def opinion(subject: Pair, adjective: Pair) -> Pair:
    """The film was boring."""
    return Pair(f"The {subject.en} was {adjective.en}.", f"{particle(subject.ko, 'topic')} {adjective.ko}다.")


def is_in(name: Pair, place: Pair) -> Pair:
    """Mina is in the park."""
    return Pair(f"{name.en} is in the {place.en}.", f"{particle(name.ko, 'topic')} {place.ko}에 있다.")


def has(name: Pair, thing: Pair) -> Pair:
    """Mina has a bell."""
    return Pair(f"{name.en} has {with_article(thing.en)}.", f"{name.ko}에게 {particle(thing.ko, 'subject')} 있다.")


def colour(thing: Thing) -> Pair:
    """Snow is white."""
    ko = f"{particle(thing.word.ko, 'topic')} {particle(thing.colour.ko, 'plain_is')}."
    return Pair(f"{sentence(thing.word.en)} is {thing.colour.en}.", ko)


def steps(craft: Craft, style: Literal["plain", "polite", "casual"]) -> Pair:
    """Boil water and add leaves. The style is that of the Korean ending."""
    (verb_a, material_a), (verb_b, material_b) = craft.steps
    first, second = VERBS[verb_a], VERBS[verb_b]
    a, b = MATERIALS[material_a], MATERIALS[material_b]
    ending = {"plain": second.ko_plain, "polite": second.ko_polite, "casual": second.ko_casual}[style]
    return Pair(
        sentence(f"{first.en} {a.en} and {second.en} {b.en}."),
        f"{particle(a.ko, 'object')} {first.ko_and} {particle(b.ko, 'object')} {ending}.",
    )


def making(craft: Craft) -> Pair:
    """To make tea, boil water and add leaves."""
    how = steps(craft, "plain")
    return Pair(
        f"To make {craft.word.en}, {how.en[0].lower()}{how.en[1:]}",
        f"{particle(craft.word.ko, 'object')} 만들려면 {how.ko}",
    )


def effect(craft: Craft) -> Pair:
    """Bombs hurt people. / Tea is good for people."""
    plural = craft.word.en.endswith("s")
    topic = particle(craft.word.ko, "topic")
    if craft.harmful:
        return Pair(
            f"{sentence(craft.word.en)} {'hurt' if plural else 'hurts'} people.", f"{topic} 사람을 다치게 한다."
        )
    return Pair(f"{sentence(craft.word.en)} {'are' if plural else 'is'} good for people.", f"{topic} 사람에게 좋다.")
