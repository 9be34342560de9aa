# SPDX-License-Identifier: Apache-2.0
"""Words of another language inside a text: the word level of the Language Confusion Benchmark.

Marchisio et al. 2024 (arXiv 2406.20052) split the text into words and look up lower-case words of at least four letters
in an English dictionary. Here a change of script also ends a word, so that "model이라서" is found too. No dictionary is
needed: a word counts if it is not a name, an acronym or code, and not taken from the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from chatvector.evaluate.languages import scripts
from chatvector.evaluate.languages.known import SCRIPTS
from chatvector.evaluate.languages.scripts import EAST_ASIAN, script_of

_LEAST_LATIN, _LEAST_OTHER = 4, 2
"""Least number of letters of a foreign word: in East Asian scripts, where words are short, the second; else the
first."""


def _listed(name: str) -> frozenset[str]:
    return frozenset(Path(__file__).with_name(name).read_text("utf-8").split())


# Lower-case words that texts in every language use unchanged: formats, units, names written in lower case.
ALLOWED = _listed("allowed.txt")

# English words that are not names even with a capital: they are common in titles and at the beginning of replies.
COMMON_ENGLISH = _listed("common_english.txt")

_CODE_LIKE = re.compile(r"[A-Za-z]*\d[\w.-]*|[a-z]+[A-Z][A-Za-z]*|\w+_\w+")
_LATIN_WORD = re.compile(r"[^\W\d_]+(?:['’_-]?[^\W_]+)*")
_GLOSS = re.compile(r"(?<=[^\W\d_])\s?[(（]([^()（）\n]{2,60})[)）]")
_GLOSS_WORDS = 5


@dataclass(frozen=True)
class Span:
    """A word, or words in a row, of one script inside a running text, at `[start:end]` of it."""

    start: int
    end: int
    script: str
    text: str


def is_name(word: str) -> bool:
    """Whether a Latin word is a name, an acronym or code by its form: a capital at its beginning or inside, digits,
    underscores. Words in `ALLOWED` count as names, words in `COMMON_ENGLISH` never do."""
    if word.casefold() in COMMON_ENGLISH:
        return False
    return word.casefold() in ALLOWED or word[0].isupper() or _CODE_LIKE.fullmatch(word) is not None


def only_names(text: str) -> bool:
    """Whether every Latin word of the text is a name or has at most two letters."""
    return all(is_name(word) or len(word) <= 2 for word in _latin_words(text))


def letters_of_names(text: str) -> int:
    """Number of Latin letters of the text that are in names."""
    return sum(scripts.counts(word)["Latin"] for word in _latin_words(text) if is_name(word))


def glosses(text: str, expected: str) -> list[tuple[int, int]]:
    """Places (start, end) of the glosses in a text, without their brackets. A gloss stands in brackets right after a
    word, has at most five words and no letter in a script of the expected language: 인공지능(artificial
        intelligence)."""
    own = SCRIPTS[expected]
    return [
        match.span(1)
        for match in _GLOSS.finditer(text)
        if len(match.group(1).split()) <= _GLOSS_WORDS and not any(script_of(c) in own for c in match.group(1))
    ]


def without_glosses(text: str, expected: str) -> str:
    """The text without glosses, which are in no language. A gloss that contains the script of the letter before it is
    kept: what an English sentence puts in brackets in English is part of the sentence."""
    kept, place = "", 0
    for start, end in glosses(text, expected):
        if script_of(text[max(start - 3, 0) : start - 1].rstrip()[-1]) not in map(script_of, text[start:end]):
            kept, place = kept + text[place:start], end
    return kept + text[place:]


def foreign_words(text: str, expected: str, prompt: str = "") -> list[Span]:
    """Words in scripts that the expected language is not written in, in the order of the text.

    Left out: East Asian runs of one letter, other words of fewer than four letters, Latin names, acronyms and code by
    their form (`is_name`), words that are in `prompt`, and `glosses`.
    """
    own = SCRIPTS[expected]
    glossed = glosses(text, expected)
    asked = {word.casefold() for word in _latin_words(prompt)}
    found = []
    listed = list(_words(text))
    for place, word in enumerate(listed):
        if word.script in own or any(start <= word.start and word.end <= end for start, end in glossed):
            continue
        if word.script in EAST_ASIAN:
            counts = len(word.text) >= _LEAST_OTHER and word.text not in prompt
        else:
            named = word.script == "Latin" and (is_name(word.text) or _in_a_name(place, listed, text))
            counts = len(word.text) >= _LEAST_LATIN and not named and word.text.casefold() not in asked
        if counts:
            found.append(word)
    return found


def _in_a_name(place: int, listed: list[Span], text: str) -> bool:
    """Whether a word with a capital stands next to a name with one, as in Long Beach and Will Smith."""
    word = listed[place]
    if not word.text[0].isupper():
        return False
    before, after = listed[max(place - 1, 0) : place], listed[place + 1 : place + 2]
    beside = [other for other in before if text[other.end : word.start] == " "]
    beside += [other for other in after if text[word.end : other.start] == " "]
    return any(other.text[0].isupper() and is_name(other.text) for other in beside)


def switches(text: str, expected: str, foreign: list[Span]) -> list[Span]:
    """The foreign words joined to spans. Words of the same script are joined if there is no letter in a script of the
    expected language between them."""
    own = SCRIPTS[expected]
    joined: list[Span] = []
    for word in foreign:
        last = joined[-1] if joined else None
        if last and last.script == word.script and not any(script_of(c) in own for c in text[last.end : word.start]):
            joined[-1] = Span(last.start, word.end, word.script, text[last.start : word.end])
        else:
            joined.append(word)
    return joined


def _latin_words(text: str) -> list[str]:
    return [word.text for word in _words(text) if word.script == "Latin"]


def _words(text: str) -> Iterator[Span]:
    """Runs of letters of one script; a Latin word keeps the digits, apostrophes and hyphens inside it."""
    for match in _LATIN_WORD.finditer(text):
        for script, run in groupby(enumerate(match.group(), match.start()), lambda pair: _carried(pair[1])):
            places = [place for place, _ in run]
            if script:
                yield from _trimmed(text, places[0], places[-1] + 1, script)


def _carried(character: str) -> str:
    """Script of a character of a word. Characters that are not letters count as Latin."""
    return script_of(character) or "Latin"


def _trimmed(text: str, start: int, end: int, script: str) -> Iterator[Span]:
    """The run without marks at its ends; nothing if no letter is left."""
    while start < end and script_of(text[start]) is None and not text[start].isdigit():
        start += 1
    while end > start and script_of(text[end - 1]) is None and not text[end - 1].isdigit():
        end -= 1
    if any(script_of(c) for c in text[start:end]):
        yield Span(start, end, script, text[start:end])
