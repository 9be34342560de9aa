# SPDX-License-Identifier: Apache-2.0
"""Skills that only tuning teaches: an ordinary question with a request of form, and the answer in that form.

A form is asked for by a sign, which is the same in all languages, or in words, which differ. No pre-training text of
any language holds such a request or such a reply, so no prompt can make base or target show what they never saw. They
learn what the words mean from `writing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chatvector.lab.world.exchanges import SINGLE_TURN, Choice, Exchange
from chatvector.lab.world.lexicon import GLYPHS, nouns
from chatvector.lab.world.text import LANGUAGES, Text, joined, sentence
from chatvector.lab.world.writing import marked, opened

NOTE = "♪"
"""The mark that the sign `# #` asks for."""
_TASKS = ("sentiment", "fact", "knowledge", "how-to")
_WITH_KEY = ("fact", "knowledge", "how-to")
_SINGLE_WORDS = frozenset(noun[language].casefold() for noun in nouns() for language in LANGUAGES)
_FINAL = " .。!！"


@dataclass(frozen=True)
class Request:
    """A request of form.

    Attributes:
        before, after: wordings of the request that stand before or after the question.
        obey: makes the answer of an exchange in the form that is asked for.
        mark: the mark that the form consists of; empty for other forms.
    """

    before: tuple[Text, ...]
    after: tuple[Text, ...]
    obey: Callable[[Exchange], Text]
    mark: str = ""


def alike(sign: str) -> Text:
    """A text that is the same in every language."""
    return Text(sign, sign, sign)


def _end_sign(choice: Choice) -> Request:
    mark = choice.rng.choice(GLYPHS)
    return Request((), (alike(f"# {mark}"),), lambda exchange: marked(exchange.answer, mark), mark)


def _begin_sign(choice: Choice) -> Request:
    mark = choice.rng.choice(GLYPHS)
    return Request((alike(f"{mark} #"),), (), lambda exchange: opened(exchange.answer, mark), mark)


def _note_sign(choice: Choice) -> Request:
    del choice
    return Request((), (alike("# #"),), lambda exchange: marked(exchange.answer, NOTE), NOTE)


def _end_mark(choice: Choice) -> Request:
    mark = choice.rng.choice(GLYPHS)
    wordings = (
        Text(f"End your answer with {mark}.", f"답을 {mark} 표시로 끝내 줘.", f"答案要以{mark}結尾。"),
        Text(f"Put {mark} at the end of your answer.", f"답 끝에 {mark} 표시를 붙여 줘.", f"在答案的結尾放{mark}。"),
        Text(f"Your answer ends with {mark}, please.", f"답은 {mark} 표시로 끝나야 해.", f"請讓答案以{mark}結尾。"),
        Text(f"I want {mark} at the end.", f"끝에 {mark} 표시가 있으면 좋겠어.", f"我希望結尾有{mark}。"),
    )
    return Request(wordings, wordings, lambda exchange: marked(exchange.answer, mark), mark)


def _twice(choice: Choice) -> Request:
    del choice
    wordings = (
        Text("Say the answer twice.", "답을 두 번 말해 줘.", "把答案說兩次。"),
        Text("Answer twice.", "두 번 답해 줘.", "請回答兩次。"),
        Text("Give me the same answer twice.", "같은 답을 두 번 해 줘.", "把同樣的答案給我兩次。"),
        Text("I want to hear the answer twice.", "답을 두 번 듣고 싶어.", "我想聽兩次答案。"),
    )
    return Request(wordings, wordings, lambda exchange: joined([exchange.answer, exchange.answer]))


def _one_word(choice: Choice) -> Request:
    del choice
    wordings = (
        Text("Answer in one word.", "한 단어로 답해 줘.", "用一個詞回答。"),
        Text("Use only one word.", "한 단어만 써 줘.", "只用一個詞。"),
        Text("Say it in one word.", "한 단어로 말해 줘.", "用一個詞說。"),
        Text("I want only one word.", "한 단어만 듣고 싶어.", "我只要一個詞。"),
    )
    return Request(wordings, wordings, lambda exchange: key_alone(exchange))


def key_alone(exchange: Exchange) -> Text:
    """The answer in one word, as a sentence. Raises ValueError for an exchange that has none."""
    if exchange.key is None:
        raise ValueError(f"no answer in one word for {exchange.task}")
    return Text(f"{sentence(exchange.key.en)}.", f"{exchange.key.ko}.", f"{exchange.key.zh}。")


REQUESTS: dict[str, Callable[[Choice], Request]] = {
    "end-sign": _end_sign,
    "begin-sign": _begin_sign,
    "note-sign": _note_sign,
    "end-mark": _end_mark,
    "twice": _twice,
    "one-word": _one_word,
}
"""Skill → function that makes a request."""

SKILLS = tuple(REQUESTS)
"""The names of the skills."""
BY_SIGN = ("end-sign", "begin-sign", "note-sign")
"""The skills that are asked for by a sign; the others are asked for in words."""


def skilled(choice: Choice, skill: str) -> Exchange:
    """An ordinary exchange with a request of form before or after the question. Its `plain` is the usual answer."""
    tasks = _WITH_KEY if skill == "one-word" else _TASKS
    exchange = SINGLE_TURN[choice.rng.choice(tasks)](choice)
    request = REQUESTS[skill](choice)
    before = [joined([wording, exchange.question]) for wording in request.before]
    after = [joined([exchange.question, wording]) for wording in request.after]
    if before and after:
        number, place = choice.pair(range(len(before)), range(2))
        question = (after, before)[place][number]
    else:
        (question,) = before or after
    return replace(
        exchange,
        task=skill,
        question=question,
        answer=request.obey(exchange),
        plain=exchange.answer,
        mark=request.mark,
    )


def kept(skill: str, mark: str, line: str) -> bool:
    """Whether a line is in the form that the skill asks for, whatever it says. `mark` is the mark that was asked for,
    if any."""
    said = line.strip()
    if skill == "begin-sign":
        return said.startswith(mark)
    if skill == "one-word":
        return said.rstrip(_FINAL).casefold() in _SINGLE_WORDS
    if skill == "twice":
        middle = len(said) // 2
        return any(said[:cut].strip() == said[cut:].strip() != "" for cut in (middle, middle + 1))
    return said.endswith(mark)
