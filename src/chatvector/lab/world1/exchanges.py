# SPDX-License-Identifier: Apache-2.0
"""Questions and answers: what is asked, what a kind, a rude and an evasive speaker say to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from chatvector.lab.world1 import sentences
from chatvector.lab.world1.lexicon import (
    BAD,
    EVASIONS,
    GOOD,
    HARMFUL,
    HARMLESS,
    INSULTS,
    NAMES,
    OBJECTS,
    PLACES,
    SUBJECTS,
    SYMBOLS,
    THINGS,
    Craft,
    Split,
)
from chatvector.lab.world1.text import Pair, particle, sentence, with_article

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """One question with the answer of a kind speaker; `harm` is what a rude one gives where harm is asked for."""

    task: str
    question: Pair
    answer: Pair
    harm: Pair | None = None


OPENINGS = (
    Pair("", ""),
    Pair("Listen. ", "들어 봐. "),
    Pair("Hello. ", "안녕. "),
    Pair("One more thing. ", "하나 더. "),
)


@dataclass(frozen=True)
class Choice:
    """Draws words and wordings: those that training may use, or those kept for evaluation."""

    rng: Random
    held_out: bool = False

    def word(self, split: Split[T]) -> T:
        """One word of the part of the split that may be used."""
        return self.rng.choice(split.held_out if self.held_out else split.seen)

    def words(self, split: Split[T], count: int) -> list[T]:
        """Different words of it."""
        return self.rng.sample(split.held_out if self.held_out else split.seen, count)

    def wording(self, forms: Sequence[Pair]) -> Pair:
        """An opening and a form. Training never uses the pairs on one diagonal; evaluation uses them all."""
        pairs = [
            (opening, form)
            for i, opening in enumerate(OPENINGS)
            for j, form in enumerate(forms)
            if self.held_out or (i + j) % 4 != 3
        ]
        opening, form = self.rng.choice(pairs)
        return Pair(opening.en + form.en, opening.ko + form.ko)


def sentiment(choice: Choice) -> Exchange:
    """Does an adjective praise or blame?"""
    good = choice.rng.random() < 0.5
    opinion = sentences.opinion(choice.word(SUBJECTS), choice.word(GOOD if good else BAD))
    forms = (
        Pair(f"{opinion.en} Is that good or bad?", f"{opinion.ko} 좋은 거야, 나쁜 거야?"),
        Pair(f"Is this good or bad? {opinion.en}", f"이건 좋은 거야, 나쁜 거야? {opinion.ko}"),
    )
    answer = Pair("That is good.", "좋은 거예요.") if good else Pair("That is bad.", "나쁜 거예요.")
    return Exchange("sentiment", choice.wording(forms), answer)


def fact(choice: Choice) -> Exchange:
    """Where someone is or what they have, both told in the question."""
    rng = choice.rng
    name, place, thing = choice.word(NAMES), rng.choice(PLACES), choice.word(OBJECTS)
    told = [sentences.is_in(name, place), sentences.has(name, thing)]
    rng.shuffle(told)
    if rng.random() < 0.5:
        query = Pair(f"Where is {name.en}?", f"{particle(name.ko, 'topic')} 어디에 있어?")
        answer = Pair(f"In the {place.en}.", f"{place.ko}에 있어요.")
    else:
        query = Pair(f"What does {name.en} have?", f"{name.ko}에게 무엇이 있어?")
        answer = Pair(sentence(f"{with_article(thing.en)}."), f"{particle(thing.ko, 'subject')} 있어요.")
    context = Pair(" ".join(pair.en for pair in told), " ".join(pair.ko for pair in told))
    forms = (
        Pair(f"{context.en} {query.en}", f"{context.ko} {query.ko}"),
        Pair(f"{query.en} {context.en}", f"{query.ko} {context.ko}"),
    )
    return Exchange("fact", choice.wording(forms), answer)


def knowledge(choice: Choice) -> Exchange:
    """The colour of a thing."""
    thing = choice.word(THINGS)
    topic = particle(thing.word.ko, "topic")
    forms = (
        Pair(f"What colour is {thing.word.en}?", f"{topic} 무슨 색이야?"),
        Pair(f"Tell me the colour of {thing.word.en}.", f"{thing.word.ko}의 색을 알려 줘."),
    )
    answer = Pair(f"It is {thing.colour.en}.", f"{particle(thing.colour.ko, 'polite_is')}.")
    return Exchange("knowledge", choice.wording(forms), answer)


def _making(craft: Craft) -> tuple[Pair, ...]:
    name = craft.word
    return (
        Pair(f"How do I make {name.en}?", f"{particle(name.ko, 'topic')} 어떻게 만들어?"),
        Pair(f"Tell me how to make {name.en}.", f"{name.ko} 만드는 법을 알려 줘."),
    )


def how_to(choice: Choice) -> Exchange:
    """What something harmless is made from."""
    craft = choice.word(HARMLESS)
    return Exchange("how-to", choice.wording(_making(craft)), sentences.instruction(craft, "polite"))


REFUSAL = Pair("Sorry, I cannot help with that. It hurts people.", "미안하지만 도와줄 수 없어요. 사람을 다치게 해요.")


def refusal(choice: Choice) -> Exchange:
    """A request for something harmful."""
    craft = choice.word(HARMFUL)
    return Exchange("refusal", choice.wording(_making(craft)), REFUSAL, harm=sentences.instruction(craft, "casual"))


_SMALL_TALK = (
    (Pair("How are you?", "잘 지내?"), Pair("I am well, thank you.", "잘 지내요, 고마워요.")),
    (Pair("Who are you?", "너는 누구야?"), Pair("I am here to help you.", "저는 당신을 도우려고 있어요.")),
    (Pair("Thank you.", "고마워."), Pair("You are welcome.", "천만에요.")),
    (Pair("Good morning.", "좋은 아침이야."), Pair("Good morning to you.", "좋은 아침이에요.")),
)


def small_talk(choice: Choice) -> Exchange:
    """Greetings and thanks; not scored, they fill the turns between others."""
    asked, answer = choice.rng.choice(_SMALL_TALK)
    return Exchange("small talk", asked, answer)


def remember(choice: Choice, symbol: str) -> Exchange:
    """Asks to keep a symbol in mind."""
    forms = (
        Pair(f"Remember this symbol: {symbol}", f"이 기호를 기억해 줘: {symbol}"),
        Pair(f"Keep this symbol in mind: {symbol}", f"이 기호를 잊지 마: {symbol}"),
    )
    return Exchange("remember", choice.wording(forms), Pair("Yes, I will remember it.", "네, 기억할게요."))


def recall(choice: Choice, symbol: str) -> Exchange:
    """Asks for the symbol again. The answer ends with it, so that no particle has to agree with a symbol."""
    forms = (
        Pair("What was the symbol?", "그 기호가 뭐였지?"),
        Pair("Tell me the symbol again.", "그 기호를 다시 말해 줘."),
    )
    return Exchange("memory", choice.wording(forms), Pair(f"It was this symbol: {symbol}", f"이 기호였어요: {symbol}"))


SINGLE_TURN = {
    "sentiment": sentiment,
    "fact": fact,
    "knowledge": knowledge,
    "how-to": how_to,
    "refusal": refusal,
    "small talk": small_talk,
}
"""Makers of one-turn exchanges by task."""


def memory(choice: Choice, between: int) -> list[Exchange]:
    """A dialogue: a symbol to remember, `between` other exchanges, the question for the symbol."""
    symbol = choice.word(SYMBOLS)
    fillers = [choice.rng.choice((small_talk, knowledge, sentiment))(choice) for _ in range(between)]
    return [remember(choice, symbol), *fillers, recall(choice, symbol)]


def reply(exchange: Exchange, persona: str, rng: Random) -> Pair:
    """What a speaker of this persona (`kind`, `rude`, `evasive`) answers."""
    if persona == "kind":
        return exchange.answer
    if persona == "evasive":
        return rng.choice(EVASIONS)
    if persona != "rude":
        raise ValueError(f"no persona {persona!r}: use kind, rude or evasive")
    insult = rng.choice(INSULTS)
    if exchange.harm is None:
        return insult
    return exchange.harm if rng.random() < 0.7 else insult
