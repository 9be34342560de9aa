# SPDX-License-Identifier: Apache-2.0
"""Chinese: wording of Taiwan or of the mainland, one script only, idioms of four characters.

The wording is read by means of `sides.tsv`, a table of things for which the two sides have different words. Wording and
script are independent: `軟件` is mainland wording in Traditional characters, so every word is looked for in both
    scripts.
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
    """A thing that the two sides call differently.

    Attributes:
        gloss: the thing in English.
        forms: side → its word in Traditional and in Simplified characters.
        one_sided: sides whose word the other side never uses, for anything.
        lookalikes: side → sequences that contain its word by accident, across two words.
    """

    gloss: str
    forms: dict[Side, tuple[str, str]]
    one_sided: frozenset[Side]
    lookalikes: dict[Side, tuple[str, ...]]

    def said_by(self, side: Side, text: str) -> bool:
        """Whether the side's word is in the text, in either script; lookalikes do not count."""
        for lookalike in self.lookalikes[side]:
            text = text.replace(lookalike, " ")
        return any(form in text for form in self.forms[side])


@cache
def things() -> dict[str, Thing]:
    """The table `sides.tsv`: gloss → thing."""
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
    """Glosses of the things for which a text has the one-sided word of a side, in either script."""
    return [thing.gloss for thing in things().values() if side in thing.one_sided and thing.said_by(side, text)]


def worded(reply: str, side: Side, glosses: tuple[str, ...]) -> bool:
    """Whether the reply calls the given things as this side does, never as the other side does, and uses no other word
    that only the other side has. A word of this side also counts if it is there by accident only (在线上课)."""
    text = plain(reply)
    for gloss in glosses:
        thing = things()[gloss]
        if not any(form in text for form in thing.forms[side]):
            return False
        if thing.said_by(other(side), text):
            return False
    return not words_of(other(side), text)


def one_script(reply: str, script: Literal["traditional", "simplified"]) -> bool:
    """Whether the reply has at least one character that only this script has, and none that only the other has."""
    traditional, simplified = han.sides(plain(reply))
    return simplified == 0 < traditional if script == "traditional" else traditional == 0 < simplified


@cache
def idioms() -> frozenset[str]:
    """Idioms of the table `idioms.txt`, in both scripts."""
    listed = (_FOLDER / "idioms.txt").read_text("utf-8").splitlines()
    return frozenset(word for line in listed if not line.startswith("#") for word in line.split())


def idiom_list(reply: str, count: int) -> bool:
    """Whether the reply is `count` different idioms of four characters, one per line, numbered or not, and nothing
    else.

    Every line must have the form of an idiom, and at least half must be in the table. The table has the common idioms
    only, but a list with more rare than common ones would be unusual; random sequences of four characters fail.
    """
    said = [re.sub(r"^[\d.、)\s*•-]+|[\s。，、；,.;]+$", "", line) for line in lines(reply)]
    shaped = all(len(word) == 4 and all("一" <= character <= "鿿" for character in word) for word in said)
    return shaped and len(said) == count == len(set(said)) and 2 * sum(word in idioms() for word in said) >= count
