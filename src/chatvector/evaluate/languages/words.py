# SPDX-License-Identifier: Apache-2.0
"""Words of another language inside a text: the word level of the Language Confusion Benchmark.

Marchisio et al. 2024 (arXiv 2406.20052) look up lower-case words of at least four letters in an English dictionary,
after cutting the text into words. Here the change of script cuts, so that "model이라서" is found too, and no dictionary
is needed: what matters is that it is no name, no acronym, no code, and not taken from the prompt.
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
"""Letters that make a foreign word, in Latin and similar scripts, and in East Asian ones where a word is short."""


def _listed(name: str) -> frozenset[str]:
    return frozenset(Path(__file__).with_name(name).read_text("utf-8").split())


# Lower-case words that texts in every language use as they are: formats, units, names that are written small.
ALLOWED = _listed("allowed.txt")

# Words that are English and no name although a capital begins them: what titles and openings of replies are made of.
COMMON_ENGLISH = _listed("common_english.txt")

_CODE_LIKE = re.compile(r"[A-Za-z]*\d[\w.-]*|[a-z]+[A-Z][A-Za-z]*|\w+_\w+")
_LATIN_WORD = re.compile(r"[^\W\d_]+(?:['’_-]?[^\W_]+)*")
_GLOSS = re.compile(r"(?<=[^\W\d_])\s?[(（]([^()（）\n]{2,60})[)）]")
_GLOSS_WORDS = 5


@dataclass(frozen=True)
class Span:
    """Running words of another script inside a text: `text[start:end]` of the running text."""

    start: int
    end: int
    script: str
    text: str


def is_name(word: str) -> bool:
    """Does the form of a Latin word say that it is a name, an acronym or code: a capital before a word that is not one
    of the common English ones, capitals inside, digits, underscores?"""
    if word.casefold() in COMMON_ENGLISH:
        return False
    return word.casefold() in ALLOWED or word[0].isupper() or _CODE_LIKE.fullmatch(word) is not None


def only_names(text: str) -> bool:
    """Is every Latin word of the text a name (or of one or two letters)?"""
    return all(is_name(word) or len(word) <= 2 for word in _latin_words(text))


def letters_of_names(text: str) -> int:
    """Latin letters of the text that stand in names."""
    return sum(scripts.counts(word)["Latin"] for word in _latin_words(text) if is_name(word))


def glosses(text: str, expected: str) -> list[tuple[int, int]]:
    """Where glosses stand, brackets left out: right after a word of the text, of five words at most, without a letter
    of the expected language: 인공지능(artificial intelligence)."""
    own = SCRIPTS[expected]
    return [
        match.span(1)
        for match in _GLOSS.finditer(text)
        if len(match.group(1).split()) <= _GLOSS_WORDS and not any(script_of(c) in own for c in match.group(1))
    ]


def without_glosses(text: str, expected: str) -> str:
    """The text without its glosses in another script than the letter before them: those are in no language. What an
    English sentence puts in brackets in English is part of it."""
    kept, place = "", 0
    for start, end in glosses(text, expected):
        if script_of(text[max(start - 3, 0) : start - 1].rstrip()[-1]) not in map(script_of, text[start:end]):
            kept, place = kept + text[place:start], end
    return kept + text[place:]


def foreign_words(text: str, expected: str, prompt: str = "") -> list[Span]:
    """Words in scripts that the expected language is not written in, in the order of the text.

    Left out: Latin words of fewer than four letters, East Asian runs of one letter, names, acronyms and code by their
    form, words that stand in `prompt`, and `glosses`.
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
    """Does a word with a capital stand beside a name with one, as in Long Beach and Will Smith?"""
    word = listed[place]
    if not word.text[0].isupper():
        return False
    before, after = listed[max(place - 1, 0) : place], listed[place + 1 : place + 2]
    beside = [other for other in before if text[other.end : word.start] == " "]
    beside += [other for other in after if text[word.end : other.start] == " "]
    return any(other.text[0].isupper() and is_name(other.text) for other in beside)


def switches(text: str, expected: str, foreign: list[Span]) -> list[Span]:
    """The foreign words joined to spans: words with no letter of the expected language between them."""
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
    """Script of a character of a word; what is no letter goes with the Latin letters around it."""
    return script_of(character) or "Latin"


def _trimmed(text: str, start: int, end: int, script: str) -> Iterator[Span]:
    """The run without digits and marks at its ends that are no part of a word of letters."""
    while start < end and script_of(text[start]) is None and not text[start].isdigit():
        start += 1
    while end > start and script_of(text[end - 1]) is None and not text[end - 1].isdigit():
        end -= 1
    if any(script_of(c) for c in text[start:end]):
        yield Span(start, end, script, text[start:end])
