# SPDX-License-Identifier: Apache-2.0
"""Splits a reply into what the model thought and what it said.

Every axis scores the answer only. The language and length of the thinking and unclosed thoughts are reported apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatvector.runtime.thoughts import Thoughts


@dataclass(frozen=True)
class Thought:
    """The parts of a reply, without white space at both ends.

    Attributes:
        thinking: None if the reply holds no mark of thinking; "" for an empty thought. Several thoughts are joined by a
            blank line.
        answer: the rest of the reply: all that the next turn of a conversation and the scorers get.
        unclosed: the reply ended while still thinking.
    """

    thinking: str | None
    answer: str
    unclosed: bool = False


def parse(reply: str) -> Thought:
    """Split a reply at its marks of thinking, by the rules of `runtime.thoughts`."""
    found = Thoughts()
    found.feed(reply)
    found.close()
    return Thought(found.thinking, found.answer, found.unclosed)


def answer_of(reply: str) -> str:
    """What a template puts into the history for a reply: the answer without its thinking."""
    return parse(reply).answer
