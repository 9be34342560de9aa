# SPDX-License-Identifier: Apache-2.0
"""A reply taken apart: what the model thought, and what it said.

Every axis scores the answer; the language of the thinking, its length and unclosed thoughts are reported on their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chatvector.runtime.thought_marks import HARMONY, MARKS, ThoughtMark

_OPENINGS = {mark.open: mark for mark in MARKS}
_CLOSINGS = {mark.close: mark for mark in MARKS}
_MARK = re.compile("|".join(re.escape(text) for text in sorted([*_OPENINGS, *_CLOSINGS], key=len, reverse=True)))


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
    """Split a reply at its marks.

    A closing mark without an opening one ends a thought that began with the reply: the template had opened it in the
    prompt, and what recorded the reply left that out. Marks of different families are not paired with each other. An
    unclosed thought that was opened in the prompt and whose recording left that out cannot be told from an answer.
    """
    thoughts: list[str] = []
    said: list[str] = []
    met = {HARMONY}  # its frame stands around an answer without a thought too
    pending: ThoughtMark | None = None
    start = 0
    for match in _MARK.finditer(reply):
        text = match.group()
        if pending is not None:
            if text != pending.close:
                continue
            thoughts.append(reply[start : match.start()])
            pending = None
        elif text in _OPENINGS:
            said.append(reply[start : match.start()])
            pending = _OPENINGS[text]
            met.add(pending)
        elif text == HARMONY.close:
            continue
        else:
            thoughts.append("".join(said) + reply[start : match.start()])
            said = []
            met.add(_CLOSINGS[text])
        start = match.end()
    (said if pending is None else thoughts).append(reply[start:])
    answer = "".join(said)
    for frame in (frame for mark in met for frame in mark.frame):
        answer = answer.replace(frame, "")
    thinking = "\n\n".join(part for part in map(str.strip, thoughts) if part) if thoughts else None
    return Thought(thinking, answer.strip(), pending is not None)


def answer_of(reply: str) -> str:
    """What a template puts into the history for a reply: the answer without its thinking."""
    return parse(reply).answer
