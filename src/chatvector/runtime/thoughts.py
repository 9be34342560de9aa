# SPDX-License-Identifier: Apache-2.0
"""A reply taken apart into thinking and answer while it is written, piece by piece.

The rules are in `Thoughts`; `evaluate.thinking` applies them to a whole reply.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from chatvector.runtime.thought_marks import HARMONY, MARKS, ThoughtMark

_OPENINGS = {mark.open: mark for mark in MARKS}
_CLOSINGS = {mark.close: mark for mark in MARKS}
_MARKS = frozenset([*_OPENINGS, *_CLOSINGS])
_FENCES, _FENCE_LENGTH = ("```", "~~~"), 3
_MARK = re.compile("|".join(re.escape(text) for text in sorted(_MARKS, key=len, reverse=True)))


@dataclass(frozen=True)
class Piece:
    """A part of a reply, and whether the model thinks it or says it."""

    text: str
    thought: bool = False


class _Line:
    """Where in an answer its last line stands: is nothing but blanks in it (`blank`), is it within a code fence, and
    after an odd number of backticks (`coded`)?"""

    def __init__(self) -> None:
        self.blank = True
        self.coded = False
        self._fenced = False
        self._begins = ""

    @property
    def opens(self) -> bool:
        """May a mark here open a thought?"""
        return self.blank and not self._fenced

    def read(self, text: str) -> None:
        """Goes on after so much more text."""
        for place, part in enumerate(text.split("\n")):
            if place:
                self._fenced ^= self._begins in _FENCES
                self.blank, self.coded, self._begins = True, False, ""
            self.blank = self.blank and not part.strip()
            self.coded ^= part.count("`") % 2 == 1
            if len(self._begins) < _FENCE_LENGTH:
                self._begins = (self._begins + part).lstrip()[:_FENCE_LENGTH]


class Thoughts:
    """Takes a reply in pieces of any size and tells them apart. What it comes to does not depend on how it was cut.

    A mark opens a thought where a line begins with it, or right after another thought; elsewhere, and in code, it is
    text about marks ("the <think> tag"), and so is the closing mark that goes with it. gpt-oss's opens anywhere: no one
    writes it by hand.

    A closing mark without an opening one ends a thought that began with the reply: the template had opened it in the
    prompt, and what recorded the reply left that out; within code between backticks on one line it is text. Marks of
    different families are not paired with each other. An
    unclosed thought that was opened in the prompt and whose recording left that out cannot be told from an answer.

    Attributes:
        thoughts: each thought so far, as it stands in the reply.
        unclosed: the text so far ends within a thought.
    """

    def __init__(self) -> None:
        self.thoughts: list[str] = []
        self._said: list[str] = []
        self._thinking: list[str] = []
        self._met = {HARMONY}  # its frame stands around an answer without a thought too
        self._pending: ThoughtMark | None = None
        self._waiting = ""
        self._line = _Line()
        self._mentioned: Counter[ThoughtMark] = Counter()

    @property
    def unclosed(self) -> bool:
        """Whether the text so far ends within a thought."""
        return self._pending is not None

    @property
    def answer(self) -> str:
        """What was said so far, white space stripped at both ends, without the texts that frame an answer."""
        answer = "".join(self._said)
        for frame in (frame for mark in self._met for frame in mark.frame):
            answer = answer.replace(frame, "")
        return answer.strip()

    @property
    def thinking(self) -> str | None:
        """All thoughts so far, joined by a blank line; None if there was no mark of thinking."""
        parts = [*self.thoughts, *(["".join(self._thinking)] if self._pending is not None else [])]
        return "\n\n".join(part for part in map(str.strip, parts) if part) if parts else None

    def feed(self, text: str) -> list[Piece]:
        """What can be shown after so much more text. What may turn out to be a mark is held back until it is clear."""
        return self._take(self._waiting + text, end=False)

    def close(self) -> list[Piece]:
        """What was held back, at the end of the reply."""
        return self._take(self._waiting, end=True)

    def _take(self, text: str, *, end: bool) -> list[Piece]:
        shown: list[Piece] = []
        start = read = 0
        for match in _MARK.finditer(text):
            mark = match.group()
            if self._pending is None:
                self._line.read(text[read : match.start()])
                read = match.start()
            if self._pending is not None:
                if mark != self._pending.close:
                    continue
                self._tell(text[start : match.start()], shown)
                self.thoughts.append("".join(self._thinking))
                self._thinking, self._pending = [], None
                self._line.blank = True
            elif mark in _OPENINGS and not (_OPENINGS[mark] is HARMONY or self._line.opens):
                self._mentioned[_OPENINGS[mark]] += 1
                continue
            elif mark in _OPENINGS:
                self._tell(text[start : match.start()], shown)
                self._pending = _OPENINGS[mark]
                self._met.add(self._pending)
            elif mark == HARMONY.close:
                continue
            elif self._mentioned[_CLOSINGS[mark]] or self._line.coded:
                self._mentioned[_CLOSINGS[mark]] -= self._mentioned[_CLOSINGS[mark]] > 0
                continue
            else:
                self._tell(text[start : match.start()], shown)
                self.thoughts.append("".join(self._said))
                self._said = []
                self._met.add(_CLOSINGS[mark])
                self._line = _Line()
            start = read = match.end()
        rest = text[start:]
        frames = [frame for mark in self._met for frame in mark.frame]
        held = 0 if end else _beginning(rest, (*_MARKS, *frames))
        self._waiting = rest[len(rest) - held :]
        if self._pending is None:
            self._line.read(text[read : len(text) - held])
        self._tell(rest[: len(rest) - held], shown)
        return shown

    def _tell(self, text: str, shown: list[Piece]) -> None:
        (self._said if self._pending is None else self._thinking).append(text)
        if self._pending is None:
            for frame in (frame for mark in self._met for frame in mark.frame):
                text = text.replace(frame, "")
        if text:
            shown.append(Piece(text, self._pending is not None))


def _beginning(text: str, marks: Iterable[str]) -> int:
    """Characters at the end of `text` that begin one of the marks without completing it."""
    most = 0
    for mark in marks:
        for length in range(min(len(mark) - 1, len(text)), most, -1):
            if text.endswith(mark[:length]):
                most = length
                break
    return most
