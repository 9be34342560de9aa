# SPDX-License-Identifier: Apache-2.0
"""Lines and sentences of a reply, each with its language."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chatvector.evaluate.languages import scripts
from chatvector.evaluate.languages.han import han_language
from chatvector.evaluate.languages.known import LATIN, UNDETERMINED
from chatvector.evaluate.languages.latin import latin_language
from chatvector.evaluate.languages.words import letters_of_names, only_names, without_glosses

LEAST = 10
"""Least weight of a segment whose language is told, in Latin letters: ten of them, or five East Asian ones
(`scripts.weight`)."""

_KANA_SHARE = 0.1
"""Share of kana among kana and Chinese characters from which on the text is Japanese. A smaller share may be の in the
name of a Chinese shop."""

# A full stop ends a sentence if white space follows and no digit stands before it; an East Asian one always does.
_SENTENCE_END = re.compile(
    r"(?<=[.!?…][\"”’)])\s+|(?<=[.!?…])(?<!\d\.)\s+|(?<=[。！？])(?![。！？」』”’）])\s*|(?<=[。！？][」』”’）])\s*"
)


@dataclass(frozen=True)
class Segment:
    """A line or a sentence.

    Attributes:
        language: its tag; `und` if it is too short to tell; `und-Cyrillic` and the like for scripts that the meter has
            no language for.
        weight: weight of its letters without glosses, in Latin letters (`scripts.weight`).
    """

    text: str
    language: str
    weight: int


def lines(text: str, expected: str) -> tuple[Segment, ...]:
    """The lines that hold a letter, with their languages."""
    return tuple(
        labelled(line, expected)
        for line in text.splitlines()
        if any(scripts.script_of(character) for character in line)
    )


def sentences(text: str, expected: str) -> tuple[Segment, ...]:
    """The sentences that hold a letter, with their languages. The end of a line ends a sentence."""
    parts = (part for line in text.splitlines() for part in _SENTENCE_END.split(line))
    return tuple(labelled(part, expected) for part in parts if any(scripts.script_of(c) for c in part))


def labelled(text: str, expected: str) -> Segment:
    """The text with its language, which is that of the script with the greatest weight. Glosses, and Latin names inside
    a text of another script, have no weight here: they are in no language."""
    weighed = without_glosses(text, expected)
    letters = scripts.counts(weighed)
    weights = {script: count * scripts.weight(script) for script, count in letters.items()}
    total = sum(weights.values())
    if len(weights) > 1 and "Latin" in weights:
        weights["Latin"] -= letters_of_names(weighed)
    if sum(weights.values()) < LEAST:
        return Segment(text, UNDETERMINED, total)
    chinese, kana = weights.pop("Han", 0) + weights.pop("Bopomofo", 0), weights.pop("Kana", 0)
    if kana and kana >= _KANA_SHARE * (kana + chinese):
        weights["ja"] = kana + chinese
    elif chinese:
        weights["Han"] = chinese
    heaviest = max(weights, key=lambda script: (weights[script], script)) if weights else "Han"
    return Segment(text, _language(heaviest, weighed, expected), total)


def _language(script: str, text: str, expected: str) -> str:
    match script:
        case "ja":
            return "ja"
        case "Hangul":
            return "ko"
        case "Thai":
            return "th"
        case "Han":
            return han_language(text, expected)
        case "Latin":
            if expected not in LATIN and only_names(text):
                return UNDETERMINED
            return latin_language("".join(c if scripts.script_of(c) in ("Latin", None) else " " for c in text))
        case _:
            return f"{UNDETERMINED}-{script}"
