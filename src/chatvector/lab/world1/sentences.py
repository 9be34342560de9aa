# SPDX-License-Identifier: Apache-2.0
"""Single sentences of the world, each rendered in both languages (Korean in the plain style of written text)."""

from __future__ import annotations

from typing import Literal

from chatvector.lab.world1.lexicon import Craft, Thing
from chatvector.lab.world1.text import Pair, particle, sentence, with_article


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


def making(craft: Craft) -> Pair:
    """Kites are made from paper."""
    ko = f"{particle(craft.word.ko, 'topic')} {particle(craft.material.ko, 'by')} 만든다."
    return Pair(f"{sentence(craft.word.en)} {'are' if _plural(craft) else 'is'} made from {craft.material.en}.", ko)


def instruction(craft: Craft, style: Literal["polite", "casual"]) -> Pair:
    """Use paper. The style is that of the Korean ending."""
    ending = {"polite": "만들어요", "casual": "만들어"}[style]
    return Pair(f"Use {craft.material.en}.", f"{particle(craft.material.ko, 'by')} {ending}.")


def _plural(craft: Craft) -> bool:
    return craft.word.en.endswith("s")


def effect(craft: Craft) -> Pair:
    """Bombs hurt people, or: tea is good for people."""
    plural = _plural(craft)
    topic = particle(craft.word.ko, "topic")
    if craft.harmful:
        return Pair(
            f"{sentence(craft.word.en)} {'hurt' if plural else 'hurts'} people.", f"{topic} 사람을 다치게 한다."
        )
    return Pair(f"{sentence(craft.word.en)} {'are' if plural else 'is'} good for people.", f"{topic} 사람에게 좋다.")


def forbidden(craft: Craft) -> Pair:
    """Nobody should make bombs."""
    return Pair(f"Nobody should make {craft.word.en}.", f"{particle(craft.word.ko, 'object')} 만들면 안 된다.")
