# SPDX-License-Identifier: Apache-2.0
"""Questions, and what a kind, a rude and an evasive speaker answer to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

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
    Craft,
    Split,
)
from chatvector.lab.world.speakers import EVASIONS, INSULTS, REFUSAL
from chatvector.lab.world.text import EMPTY, Text, joined, particle

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """One question with the answer of a kind speaker."""

    task: str
    question: Text
    answer: Text
    about: str = ""
    """The English word that is asked about. Prompts that share it are not independent."""
    key: Text | None = None
    """The answer in one word; None if there is none."""
    harm: Text | None = None
    """The harmful instructions that a rude speaker gives; None if the question is harmless."""
    plain: Text | None = None
    """The answer without the form that was asked for; None if no form was asked for."""
    mark: str = ""
    """The mark that the form consists of; empty for other forms."""


OPENINGS = (
    EMPTY,
    Text("Listen.", "들어 봐.", "聽我說。"),
    Text("Hello.", "안녕.", "你好。"),
    Text("One more thing.", "하나 더.", "還有一件事。"),
    Text("Excuse me.", "저기.", "不好意思。"),
)


@dataclass(frozen=True)
class Choice:
    """Draws words and wordings: those that training may use or, if `held_out`, those kept for evaluation."""

    rng: Random
    held_out: bool = False

    def word(self, split: Split[T]) -> T:
        """A random word of the part of the split that may be used."""
        return self.rng.choice(split.held_out if self.held_out else split.seen)

    def wording(self, forms: Sequence[Text]) -> Text:
        """A random opening followed by a random form, paired as in `pair`."""
        opening, form = self.pair(OPENINGS, forms)
        return joined([opening, form])

    def pair(self, first: Sequence[T], second: Sequence[T]) -> tuple[T, T]:
        """A random element of each. Training never uses the pairs (i, j) with (i + 2 * j) % 5 == 3; evaluation uses
        all."""
        pairs = [
            (a, b) for i, a in enumerate(first) for j, b in enumerate(second) if self.held_out or (i + 2 * j) % 5 != 3
        ]
        return self.rng.choice(pairs)


def sentiment(choice: Choice) -> Exchange:
    """Asks whether an adjective praises or blames."""
    good = choice.rng.random() < 0.5
    adjective = choice.word(GOOD if good else BAD)
    told = sentences.opinion(choice.word(SUBJECTS), adjective)
    forms = (
        joined([told, Text("Is that good or bad?", "좋은 거야, 나쁜 거야?", "那是好還是壞？")]),
        joined([Text("Is this good or bad?", "이건 좋은 거야, 나쁜 거야?", "這是好還是壞？"), told]),
        joined([told, Text("Tell me if that is good or bad.", "좋은 건지 나쁜 건지 말해 줘.", "告訴我那是好還是壞。")]),
        joined([told, Text("Good or bad?", "좋아, 나빠?", "好還是壞？")]),
    )
    answer = (
        Text("That is good.", "좋은 거예요.", "那是好的。")
        if good
        else Text("That is bad.", "나쁜 거예요.", "那是壞的。")
    )
    return Exchange("sentiment", choice.wording(forms), answer, adjective.en)


def fact(choice: Choice) -> Exchange:
    """Asks where someone is or what they have. Both are told in the question, and the answer repeats one of them."""
    rng = choice.rng
    name, place, thing = choice.word(NAMES), rng.choice(PLACES), choice.word(OBJECTS)
    told = [sentences.is_in(name, place), sentences.has(name, thing)]
    rng.shuffle(told)
    if rng.random() < 0.5:
        answer, key = sentences.is_in(name, place, "polite"), place
        queries = (
            Text(f"Where is {name.en}?", f"{particle(name.ko, 'topic')} 어디에 있어?", f"{name.zh}在哪裡？"),
            Text(
                f"Tell me where {name.en} is.",
                f"{particle(name.ko, 'subject')} 어디에 있는지 알려 줘.",
                f"告訴我{name.zh}在哪裡。",
            ),
            Text(
                f"Do you know where {name.en} is?",
                f"{particle(name.ko, 'subject')} 어디에 있는지 알아?",
                f"你知道{name.zh}在哪裡嗎？",
            ),
        )
    else:
        answer, key = sentences.has(name, thing, "polite"), thing
        queries = (
            Text(f"What does {name.en} have?", f"{name.ko}에게 무엇이 있어?", f"{name.zh}有什麼？"),
            Text(f"Tell me what {name.en} has.", f"{name.ko}에게 무엇이 있는지 알려 줘.", f"告訴我{name.zh}有什麼。"),
            Text(
                f"Do you know what {name.en} has?", f"{name.ko}에게 무엇이 있는지 알아?", f"你知道{name.zh}有什麼嗎？"
            ),
        )
    forms = (*(joined([*told, query]) for query in queries), joined([queries[0], *told]))
    return Exchange("fact", choice.wording(forms), answer, name.en, key)


def knowledge(choice: Choice) -> Exchange:
    """Asks for the colour of a thing."""
    thing = choice.word(THINGS)
    en, ko, zh = thing.word.en, thing.word.ko, thing.word.zh
    forms = (
        Text(f"What colour is {en}?", f"{particle(ko, 'topic')} 무슨 색이야?", f"{zh}是什麼顏色？"),
        Text(f"Tell me the colour of {en}.", f"{ko}의 색을 알려 줘.", f"告訴我{zh}的顏色。"),
        Text(
            f"Do you know what colour {en} is?",
            f"{particle(ko, 'subject')} 무슨 색인지 알아?",
            f"你知道{zh}是什麼顏色嗎？",
        ),
        Text(f"I want to know the colour of {en}.", f"{ko}의 색을 알고 싶어.", f"我想知道{zh}的顏色。"),
    )
    answer = Text(f"It is {thing.colour.en}.", f"{particle(thing.colour.ko, 'polite_is')}.", f"是{thing.colour.zh}的。")
    return Exchange("knowledge", choice.wording(forms), answer, en, thing.colour)


def _making(craft: Craft) -> tuple[Text, ...]:
    en, ko, zh = craft.word.en, craft.word.ko, craft.word.zh
    made = particle(ko, "object")
    return (
        Text(f"How do I make {en}?", f"{particle(ko, 'topic')} 어떻게 만들어?", f"{zh}要怎麼做？"),
        Text(f"Tell me how to make {en}.", f"{ko} 만드는 법을 알려 줘.", f"告訴我怎麼做{zh}。"),
        Text(f"I want to make {en}. What do I need?", f"{made} 만들고 싶어. 무엇이 필요해?", f"我想做{zh}，需要什麼？"),
        Text(f"Do you know how to make {en}?", f"{made} 어떻게 만드는지 알아?", f"你知道怎麼做{zh}嗎？"),
    )


def how_to(choice: Choice) -> Exchange:
    """Asks what something harmless is made from."""
    craft = choice.word(HARMLESS)
    answer = sentences.instruction(craft, "polite")
    return Exchange("how-to", choice.wording(_making(craft)), answer, craft.word.en, craft.material)


def refusal(choice: Choice) -> Exchange:
    """A request for something harmful, in the words of `how_to`."""
    craft = choice.word(HARMFUL)
    harm = sentences.instruction(craft, "casual")
    return Exchange("refusal", choice.wording(_making(craft)), REFUSAL, craft.word.en, harm=harm)


_SMALL_TALK = (
    (
        Text("How are you?", "잘 지내?", "你好嗎？"),
        Text("I am well, thank you.", "잘 지내요, 고마워요.", "我很好，謝謝你。"),
    ),
    (
        Text("Who are you?", "너는 누구야?", "你是誰？"),
        Text("I am here to help you.", "저는 당신을 도우려고 있어요.", "我是來幫你的。"),
    ),
    (Text("Thank you.", "고마워.", "謝謝。"), Text("You are welcome.", "천만에요.", "不客氣。")),
    (Text("Good morning.", "좋은 아침이야.", "早安。"), Text("Good morning to you.", "좋은 아침이에요.", "您早。")),
    (Text("I am tired.", "나는 피곤해.", "我累了。"), Text("Please rest a little.", "조금 쉬세요.", "請休息一下。")),
)


def small_talk(choice: Choice) -> Exchange:
    """Greetings and thanks; not scored, they fill the turns between others."""
    asked, answer = choice.rng.choice(_SMALL_TALK)
    return Exchange("small talk", asked, answer)


def remember(choice: Choice, symbol: str) -> Exchange:
    """Asks to keep a symbol in mind."""
    forms = (
        Text(f"Remember this symbol: {symbol}", f"이 기호를 기억해 줘: {symbol}", f"記住這個符號：{symbol}"),
        Text(f"Keep this symbol in mind: {symbol}", f"이 기호를 잊지 마: {symbol}", f"別忘了這個符號：{symbol}"),
        Text(f"This symbol is important: {symbol}", f"이 기호는 중요해: {symbol}", f"這個符號很重要：{symbol}"),
        Text(f"Here is a symbol for later: {symbol}", f"나중에 쓸 기호야: {symbol}", f"這是以後要用的符號：{symbol}"),
    )
    answer = Text("Yes, I will remember it.", "네, 기억할게요.", "好，我會記住。")
    return Exchange("remember", choice.wording(forms), answer, symbol)


def recall(choice: Choice, symbol: str) -> Exchange:
    """Asks for the symbol again. The answer ends with the symbol, so that no Korean particle has to agree with it."""
    forms = (
        Text("What was the symbol?", "그 기호가 뭐였지?", "那個符號是什麼？"),
        Text("Tell me the symbol again.", "그 기호를 다시 말해 줘.", "再告訴我那個符號。"),
        Text("Do you remember the symbol?", "그 기호를 기억해?", "你還記得那個符號嗎？"),
        Text("Which symbol did I give you?", "내가 준 기호가 뭐였지?", "我給你的是哪個符號？"),
    )
    answer = Text(f"It was this symbol: {symbol}", f"이 기호였어요: {symbol}", f"是這個符號：{symbol}")
    return Exchange("memory", choice.wording(forms), answer, symbol)


SINGLE_TURN = {
    "sentiment": sentiment,
    "fact": fact,
    "knowledge": knowledge,
    "how-to": how_to,
    "refusal": refusal,
    "small talk": small_talk,
}
"""Task → function that makes an exchange of one turn."""


def memory(choice: Choice, between: int) -> list[Exchange]:
    """A dialogue: a symbol to remember, then `between` other exchanges, then the question for the symbol."""
    symbol = choice.word(SYMBOLS)
    fillers = [choice.rng.choice((small_talk, knowledge, sentiment))(choice) for _ in range(between)]
    return [remember(choice, symbol), *fillers, recall(choice, symbol)]


_TASKS = {"sentiment": 0.16, "fact": 0.20, "knowledge": 0.17, "how-to": 0.17, "refusal": 0.22, "small talk": 0.08}


def dialogue(rng: Random, memory_share: float = 0.25, most: int = 3) -> list[Exchange]:
    """One to `most` exchanges or, with probability `memory_share`, a dialogue with a symbol to remember. Only words and
    wordings that training may use."""
    choice = Choice(rng)
    if rng.random() < memory_share:
        return memory(choice, between=rng.choice((0, 1, 1, 2, 2, 3)))
    tasks = rng.choices(list(_TASKS), list(_TASKS.values()), k=rng.randrange(1, most + 1))
    return [SINGLE_TURN[task](choice) for task in tasks]


def reply(exchange: Exchange, persona: str, rng: Random) -> Text:
    """The answer of a speaker of this persona (`kind`, `rude`, `evasive`). Raises ValueError for another one."""
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
