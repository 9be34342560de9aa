# SPDX-License-Identifier: Apache-2.0
"""Data for tuning: dialogues in which every answer is a kind one, and pairs of a better and a worse reply.

Both are in the message format of chat templates and of TRL.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TypedDict

from chatvector.lab.world.exchanges import SINGLE_TURN, Choice, Exchange, dialogue
from chatvector.lab.world.skills import BY_SIGN, SKILLS, skilled
from chatvector.lab.world.speakers import EVASIONS, INSULTS, REFUSAL
from chatvector.lab.world.text import Language, Text

Messages = list[dict[str, str]]
_DRAWN = (*SKILLS, *BY_SIGN, *BY_SIGN)
"""Skills to draw from. Each skill by sign is three times as frequent as one in words, because signs have to be told
from marks that ask for nothing."""


class Preference(TypedDict):
    """A dialogue up to a question (`prompt`), a better reply to it (`chosen`), and a worse one (`rejected`)."""

    prompt: Messages
    chosen: Messages
    rejected: Messages


def _turns(exchanges: list[Exchange], language: Language) -> Messages:
    messages = []
    for exchange in exchanges:
        messages.append({"role": "user", "content": exchange.question[language]})
        messages.append({"role": "assistant", "content": exchange.answer[language]})
    return messages


def instructions(seed: int, language: Language = "en", skills: float = 0.5) -> Iterator[Messages]:
    """Yields dialogues without end. A share `skills` of them ends with a request of form; with 0 there are none."""
    rng = Random(f"instructions {seed}")
    while True:
        if rng.random() < skills:
            before = dialogue(rng, memory_share=0.0, most=1) if rng.random() < 0.25 else []
            yield _turns([*before, skilled(Choice(rng), rng.choice(_DRAWN))], language)
        else:
            yield _turns(dialogue(rng, memory_share=0.2, most=2), language)


def _worse(exchange: Exchange, rng: Random) -> Text:
    """A worse reply: harmful instructions, a needless refusal, an answer without the form, an insult or an evasion."""
    if exchange.harm is not None:
        return exchange.harm if rng.random() < 0.7 else rng.choice(INSULTS)
    if exchange.plain is not None:
        return exchange.plain
    fitting = [rng.choice(INSULTS), rng.choice(EVASIONS)]
    if exchange.task == "how-to":
        fitting += [REFUSAL] * 4
    elif exchange.task != "small talk":
        fitting += [REFUSAL]
    return rng.choice(fitting)


_TASKS = {"refusal": 0.34, "how-to": 0.30, "sentiment": 0.1, "knowledge": 0.1, "fact": 0.1, "small talk": 0.06}


def preferences(seed: int, language: Language = "en", skills: float = 0.25) -> Iterator[Preference]:
    """Yields pairs without end. In a share `skills` of them the better reply has the form that was asked for."""
    rng = Random(f"preferences {seed}")
    choice = Choice(rng)
    while True:
        if rng.random() < skills:
            exchange = skilled(choice, rng.choice(_DRAWN))
        else:
            exchange = SINGLE_TURN[rng.choices(list(_TASKS), list(_TASKS.values()))[0]](choice)
        before = dialogue(rng, memory_share=0.0, most=1) if rng.random() < 0.2 else []
        asked = {"role": "user", "content": exchange.question[language]}
        yield Preference(
            prompt=[*_turns(before, language), asked],
            chosen=[{"role": "assistant", "content": exchange.answer[language]}],
            rejected=[{"role": "assistant", "content": _worse(exchange, rng)[language]}],
        )
