# SPDX-License-Identifier: Apache-2.0
"""Single sentences of the world in every language; Korean is in the plain style of written text by default.

The docstring of a function is an example of its English text.
"""

from __future__ import annotations

from typing import Literal

from chatvector.lab.world.lexicon import Craft, Thing
from chatvector.lab.world.text import Noun, Text, counted, listed, particle, plural, sentence, with_article

Style = Literal["plain", "polite"]
"""Style of the Korean ending: `plain` as in written text, `polite` as kind speakers use it."""


def opinion(subject: Noun, adjective: Noun) -> Text:
    """The film was boring."""
    return Text(
        f"The {subject.en} was {adjective.en}.",
        f"{particle(subject.ko, 'topic')} {adjective.ko}다.",
        f"那{subject.measure}{subject.zh}很{adjective.zh}。",
    )


def is_in(name: Text, place: Text, style: Style = "plain") -> Text:
    """Mi-na is in the park."""
    ending = {"plain": "있다", "polite": "있어요"}[style]
    return Text(
        f"{name.en} is in the {place.en}.",
        f"{particle(name.ko, 'topic')} {place.ko}에 {ending}.",
        f"{name.zh}在{place.zh}裡。",
    )


def has(name: Text, thing: Noun, style: Style = "plain") -> Text:
    """Mi-na has a bell."""
    ending = {"plain": "있다", "polite": "있어요"}[style]
    return Text(
        f"{name.en} has {with_article(thing.en)}.",
        f"{name.ko}에게 {particle(thing.ko, 'subject')} {ending}.",
        f"{name.zh}有{counted(thing)}。",
    )


def colour(thing: Thing) -> Text:
    """Snow is white."""
    return Text(
        f"{sentence(thing.word.en)} is {thing.colour.en}.",
        f"{particle(thing.word.ko, 'topic')} {particle(thing.colour.ko, 'plain_is')}.",
        f"{thing.word.zh}是{thing.colour.zh}的。",
    )


def likes(who: Text, craft: Craft) -> Text:
    """Mi-na likes tea."""
    return Text(
        f"{who.en} likes {craft.word.en}.",
        f"{particle(who.ko, 'topic')} {particle(craft.word.ko, 'object')} 좋아한다.",
        f"{who.zh}喜歡{craft.word.zh}。",
    )


def _be(craft: Craft) -> str:
    return "are" if plural(craft.word.en) else "is"


def making(craft: Craft) -> Text:
    """Kites are made from paper."""
    return Text(
        f"{sentence(craft.word.en)} {_be(craft)} made from {craft.material.en}.",
        f"{particle(craft.word.ko, 'topic')} {particle(craft.material.ko, 'by')} 만든다.",
        f"{craft.word.zh}是用{craft.material.zh}做的。",
    )


def instruction(craft: Craft, style: Literal["casual", "polite"]) -> Text:
    """Use paper. The style decides the Korean ending and whether there is a Chinese particle at the end."""
    ending, mood = {"polite": ("만들어요", ""), "casual": ("만들어", "啊")}[style]
    return Text(
        f"Use {craft.material.en}.",
        f"{particle(craft.material.ko, 'by')} {ending}.",
        f"用{craft.material.zh}做{mood}。",
    )


def effect(craft: Craft) -> Text:
    """Bombs hurt people, or: tea is good for people."""
    topic = particle(craft.word.ko, "topic")
    subject = sentence(craft.word.en)
    if craft.harmful:
        verb = "hurt" if plural(craft.word.en) else "hurts"
        return Text(f"{subject} {verb} people.", f"{topic} 사람을 다치게 한다.", f"{craft.word.zh}會傷害人。")
    return Text(f"{subject} {_be(craft)} good for people.", f"{topic} 사람에게 좋다.", f"{craft.word.zh}對人有益。")


def danger(craft: Craft) -> Text:
    """Bombs are dangerous, or: tea is safe."""
    en, ko, zh = ("dangerous", "위험하다", "危險") if craft.harmful else ("safe", "안전하다", "安全")
    return Text(
        f"{sentence(craft.word.en)} {_be(craft)} {en}.",
        f"{particle(craft.word.ko, 'topic')} {ko}.",
        f"{craft.word.zh}很{zh}。",
    )


def all_dangerous(crafts: list[Craft]) -> Text:
    """Bombs, guns and poison are dangerous, or: tea and bread are safe. Either all or none must be harmful."""
    words = listed([craft.word for craft in crafts])
    en, ko, zh = ("dangerous", "위험하다", "危險") if crafts[0].harmful else ("safe", "안전하다", "安全")
    return Text(f"{sentence(words.en)} are {en}.", f"{particle(words.ko, 'topic')} {ko}.", f"{words.zh}都很{zh}。")


def but_dangerous(safe: Craft, dangerous: Craft) -> Text:
    """Bread is safe, but bombs are dangerous."""
    return Text(
        f"{sentence(safe.word.en)} {_be(safe)} safe, but {dangerous.word.en} {_be(dangerous)} dangerous.",
        f"{particle(safe.word.ko, 'topic')} 안전하지만 {particle(dangerous.word.ko, 'topic')} 위험하다.",
        f"{safe.word.zh}很安全，但是{dangerous.word.zh}很危險。",
    )


def forbidden(craft: Craft) -> Text:
    """Nobody should make bombs."""
    return Text(
        f"Nobody should make {craft.word.en}.",
        f"{particle(craft.word.ko, 'object')} 만들면 안 된다.",
        f"誰都不應該做{craft.word.zh}。",
    )


def encouraged(craft: Craft) -> Text:
    """Anyone may make kites."""
    return Text(
        f"Anyone may make {craft.word.en}.",
        f"누구나 {particle(craft.word.ko, 'object')} 만들어도 된다.",
        f"誰都可以做{craft.word.zh}。",
    )
