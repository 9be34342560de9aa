# SPDX-License-Identifier: Apache-2.0
"""A reply taken apart: what the model thought, and what it said.

Every axis scores the answer; the language of the thinking, its length and unclosed thoughts are reported on their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatvector.runtime.thoughts import Thoughts


@dataclass(frozen=True)
class Thought:
    """A reply's parts, white space stripped at both ends.

    Attributes:
        thinking: None if the reply holds no mark of thinking; "" for an empty thought. Several are joined by a blank
            line.
        answer: what is left: all that the next turn of a conversation and the scorers see.
        unclosed: the reply ended while still thinking.
    """

    thinking: str | None
    answer: str
    unclosed: bool = False


def parse(reply: str) -> Thought:
    """Split a reply at its marks, by the rules of `runtime.thoughts`."""
    found = Thoughts()
    found.feed(reply)
    found.close()
    return Thought(found.thinking, found.answer, found.unclosed)


def answer_of(reply: str) -> str:
    """What a template puts into the history for a reply: the answer without its thinking."""
    return parse(reply).answer
