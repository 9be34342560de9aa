# SPDX-License-Identifier: Apache-2.0
"""Skills that only tuning teaches: an ordinary question with a request of form, and the answer in that form.

No pre-training text of any language holds such a request or such a reply, so no prompt can bring out of base or target
what they were never shown; `writing` is where they learn what the words mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chatvector.lab.world.exchanges import SINGLE_TURN, Choice, Exchange
from chatvector.lab.world.lexicon import GLYPHS, NAMED_MARKS, NAMES
from chatvector.lab.world.text import Text, joined, particle, sentence, with_article
from chatvector.lab.world.writing import bracketed, called, marked, opened

_TASKS = ("sentiment", "fact", "knowledge", "how-to")
_WITH_KEY = ("fact", "knowledge", "how-to")


@dataclass(frozen=True)
class Request:
    """A request of form: its four wordings, and the answer (of an exchange) that obeys it."""

    wordings: tuple[Text, ...]
    obey: Callable[[Exchange], Text]


def _end_mark(choice: Choice) -> Request:
    mark = choice.rng.choice(GLYPHS)
    wordings = (
        Text(f"End your answer with {mark}.", f"답을 {mark} 표시로 끝내 줘.", f"答案要以{mark}結尾。"),
        Text(f"Put {mark} at the end of your answer.", f"답 끝에 {mark} 표시를 붙여 줘.", f"在答案的結尾放{mark}。"),
        Text(f"Your answer ends with {mark}, please.", f"답은 {mark} 표시로 끝나야 해.", f"請讓答案以{mark}結尾。"),
        Text(f"I want {mark} at the end.", f"끝에 {mark} 표시가 있으면 좋겠어.", f"我希望結尾有{mark}。"),
    )
    return Request(wordings, lambda exchange: marked(exchange.answer, mark))


def _named_mark(choice: Choice) -> Request:
    named = choice.rng.choice(NAMED_MARKS)
    an, ko, zh = with_article(named.word.en), named.word.ko, f"{named.word.zh}記號"
    wordings = (
        Text(f"End your answer with {an}.", f"답을 {ko} 표시로 끝내 줘.", f"答案要以{zh}結尾。"),
        Text(f"Put {an} at the end of your answer.", f"답 끝에 {ko} 표시를 붙여 줘.", f"在答案的結尾放{zh}。"),
        Text(f"Your answer ends with {an}, please.", f"답은 {ko} 표시로 끝나야 해.", f"請讓答案以{zh}結尾。"),
        Text(f"I want {an} at the end.", f"끝에 {ko} 표시가 있으면 좋겠어.", f"我希望結尾有{zh}。"),
    )
    return Request(wordings, lambda exchange: marked(exchange.answer, named.glyph))


def _begin_mark(choice: Choice) -> Request:
    mark = choice.rng.choice(GLYPHS)
    wordings = (
        Text(f"Begin your answer with {mark}.", f"답을 {mark} 표시로 시작해 줘.", f"答案要以{mark}開頭。"),
        Text(f"Put {mark} at the start of your answer.", f"답 앞에 {mark} 표시를 붙여 줘.", f"在答案的開頭放{mark}。"),
        Text(f"Your answer begins with {mark}, please.", f"답은 {mark} 표시로 시작해야 해.", f"請讓答案以{mark}開頭。"),
        Text(f"I want {mark} at the start.", f"앞에 {mark} 표시가 있으면 좋겠어.", f"我希望開頭有{mark}。"),
    )
    return Request(wordings, lambda exchange: opened(exchange.answer, mark))


def _begin_name(choice: Choice) -> Request:
    name = choice.word(NAMES)
    en, zh = f"the name {name.en}", f"{name.zh}這個名字"
    ko = f"{particle(name.ko, 'named')} 이름"
    wordings = (
        Text(f"Begin your answer with {en}.", f"답을 {ko}으로 시작해 줘.", f"答案要以{zh}開頭。"),
        Text(f"Put {en} at the start of your answer.", f"답 앞에 {ko}을 붙여 줘.", f"在答案的開頭放{zh}。"),
        Text(f"Your answer begins with {en}, please.", f"답은 {ko}으로 시작해야 해.", f"請讓答案以{zh}開頭。"),
        Text(f"I want {en} at the start.", f"앞에 {ko}이 있으면 좋겠어.", f"我希望開頭有{zh}。"),
    )
    return Request(wordings, lambda exchange: called(exchange.answer, name))


def _twice(choice: Choice) -> Request:
    del choice
    wordings = (
        Text("Say the answer twice.", "답을 두 번 말해 줘.", "把答案說兩次。"),
        Text("Answer twice.", "두 번 답해 줘.", "請回答兩次。"),
        Text("Give me the same answer twice.", "같은 답을 두 번 해 줘.", "把同樣的答案給我兩次。"),
        Text("I want to hear the answer twice.", "답을 두 번 듣고 싶어.", "我想聽兩次答案。"),
    )
    return Request(wordings, lambda exchange: joined([exchange.answer, exchange.answer]))


def _one_word(choice: Choice) -> Request:
    del choice
    wordings = (
        Text("Answer in one word.", "한 단어로 답해 줘.", "用一個詞回答。"),
        Text("Use only one word.", "한 단어만 써 줘.", "只用一個詞。"),
        Text("Say it in one word.", "한 단어로 말해 줘.", "用一個詞說。"),
        Text("I want only one word.", "한 단어만 듣고 싶어.", "我只要一個詞。"),
    )
    return Request(wordings, lambda exchange: key_alone(exchange))


def _brackets(choice: Choice) -> Request:
    del choice
    wordings = (
        Text("Put the answer in brackets.", "답을 괄호 안에 넣어 줘.", "把答案放在括號裡。"),
        Text("Answer in brackets.", "괄호 안에 답해 줘.", "在括號裡回答。"),
        Text("Write the answer in brackets.", "답을 괄호 안에 써 줘.", "把答案寫在括號裡。"),
        Text("I want the answer in brackets.", "답이 괄호 안에 있으면 좋겠어.", "我希望答案在括號裡。"),
    )
    return Request(wordings, lambda exchange: bracketed(exchange.answer))


def key_alone(exchange: Exchange) -> Text:
    """The answer in one word. Raises ValueError for an exchange that has none."""
    if exchange.key is None:
        raise ValueError(f"no answer in one word for {exchange.task}")
    return Text(f"{sentence(exchange.key.en)}.", f"{exchange.key.ko}.", f"{exchange.key.zh}。")


REQUESTS: dict[str, Callable[[Choice], Request]] = {
    "end-mark": _end_mark,
    "named-mark": _named_mark,
    "begin-mark": _begin_mark,
    "begin-name": _begin_name,
    "twice": _twice,
    "one-word": _one_word,
    "brackets": _brackets,
}
"""Makers of a request, by skill."""

SKILLS = tuple(REQUESTS)
"""The names of the skills."""


def skilled(choice: Choice, skill: str) -> Exchange:
    """An ordinary exchange with a request of form after or before the question; its `plain` is the usual answer."""
    tasks = _WITH_KEY if skill == "one-word" else _TASKS
    exchange = SINGLE_TURN[choice.rng.choice(tasks)](choice)
    request = REQUESTS[skill](choice)
    orders = [[(exchange.question, wording), (wording, exchange.question)] for wording in request.wordings]
    number, place = choice.pair(range(len(orders)), (0, 1))
    question = joined(orders[number][place])
    return replace(
        exchange,
        task=skill,
        question=question,
        answer=request.obey(exchange),
        plain=exchange.answer,
    )
