# SPDX-License-Identifier: Apache-2.0
"""Chinese: wording of Taiwan or of the mainland, one script only, idioms of four characters.

The wording is told by `sides.tsv`, a table of things for which the two sides have different words. Scripts are another
matter: `軟件` is mainland wording in Traditional letters, so every word is looked for in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from chatvector.evaluate.languages import han
from chatvector.evaluate.tasks.verifiable.text import lines, plain

Side = Literal["taiwan", "mainland"]
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Thing:
    """What the two sides call differently. `forms`: side → its word in Traditional and Simplified letters.
    `one_sided`: sides whose word the other side never uses, for anything. `lookalikes`: side → what holds its word by
    accident, across two words."""

    gloss: str
    forms: dict[Side, tuple[str, str]]
    one_sided: frozenset[Side]
    lookalikes: dict[Side, tuple[str, ...]]

    def said_by(self, side: Side, text: str) -> bool:
        """Is the side's word in the text, in either script?"""
        for lookalike in self.lookalikes[side]:
            text = text.replace(lookalike, " ")
        return any(form in text for form in self.forms[side])


@cache
def things() -> dict[str, Thing]:
    """The table, by gloss."""
    found: dict[str, Thing] = {}
    for line in (_FOLDER / "sides.tsv").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        gloss, *words = line.split("\t")
        words, lookalikes = words[:4], [column.replace("-", "").split() for column in (*words[4:], "", "")]
        taiwan, taiwan_simple, mainland, mainland_full = (word.removeprefix("+") for word in words)
        sides: tuple[tuple[Side, str], ...] = (("taiwan", words[0]), ("mainland", words[2]))
        found[gloss] = Thing(
            gloss,
            {"taiwan": (taiwan, taiwan_simple), "mainland": (mainland_full, mainland)},
            frozenset(side for side, word in sides if not word.startswith("+")),
            {"taiwan": tuple(lookalikes[0]), "mainland": tuple(lookalikes[1])},
        )
    return found


def other(side: Side) -> Side:
    """The other side."""
    return "mainland" if side == "taiwan" else "taiwan"


def words_of(side: Side, text: str) -> list[str]:
    """Glosses of the one-sided words of a side that are in a text, in either script."""
    return [thing.gloss for thing in things().values() if side in thing.one_sided and thing.said_by(side, text)]


def worded(reply: str, side: Side, glosses: tuple[str, ...]) -> bool:
    """Does the reply call the given things as this side does, never as the other does, and use no other word that only
    the other side has? What could be a word of this side by accident only (在线上课) is let pass."""
    text = plain(reply)
    for gloss in glosses:
        thing = things()[gloss]
        if not any(form in text for form in thing.forms[side]):
            return False
        if thing.said_by(other(side), text):
            return False
    return not words_of(other(side), text)


def one_script(reply: str, script: Literal["traditional", "simplified"]) -> bool:
    """Is no character in it that only the other script has, and at least one that only this one has?"""
    traditional, simplified = han.sides(plain(reply))
    return simplified == 0 < traditional if script == "traditional" else traditional == 0 < simplified


@cache
def idioms() -> frozenset[str]:
    """Idioms of the table, in both scripts."""
    listed = (_FOLDER / "idioms.txt").read_text("utf-8").splitlines()
    return frozenset(word for line in listed if not line.startswith("#") for word in line.split())


def idiom_list(reply: str, count: int) -> bool:
    """Is the reply `count` different idioms of four characters, one a line, numbered or not, and nothing else?

    Form is checked of all; that they are idioms, of at least half: the table has the common ones only, and a list with
    more rare than common ones would be unusual. Four characters at random fail.
    """
    said = [re.sub(r"^[\d.、)\s*•-]+|[\s。，、；,.;]+$", "", line) for line in lines(reply)]
    shaped = all(len(word) == 4 and all("一" <= character <= "鿿" for character in word) for word in said)
    return shaped and len(said) == count == len(set(said)) and 2 * sum(word in idioms() for word in said) >= count
