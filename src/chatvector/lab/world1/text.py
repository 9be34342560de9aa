# SPDX-License-Identifier: Apache-2.0
"""Bilingual text: the pair that every sentence of the world is, and the Korean particles and English articles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")


@dataclass(frozen=True)
class Pair:
    """The same meaning in both languages."""

    en: str
    ko: str

    def __getitem__(self, language: Language) -> str:
        return self.en if language == "en" else self.ko


def final_consonant(word: str) -> int:
    """Index of the final consonant (batchim) of the last Hangul syllable, 0 for none.

    A precomposed syllable is 0xAC00 + (initial * 21 + vowel) * 28 + final (Unicode standard, section 3.12).
    Raises ValueError for a word that does not end in one: how it is read aloud is unknown.
    """
    if not word or not "가" <= word[-1] <= "힣":
        raise ValueError(f"{word!r} does not end in a Hangul syllable")
    return (ord(word[-1]) - 0xAC00) % 28


_RIEUL = 8
_AFTER_CONSONANT_AND_VOWEL = {
    "topic": ("은", "는"),
    "subject": ("이", "가"),
    "object": ("을", "를"),
    "polite_is": ("이에요", "예요"),
    "plain_is": ("이다", "다"),
}


def particle(word: str, kind: str) -> str:
    """`word` with the particle or copula of `kind` in the form that its last sound asks for."""
    if kind == "by":  # (으)로: a final ㄹ counts as a vowel
        return word + ("로" if final_consonant(word) in (0, _RIEUL) else "으로")
    consonant, vowel = _AFTER_CONSONANT_AND_VOWEL[kind]
    return word + (consonant if final_consonant(word) else vowel)


def with_article(noun: str) -> str:
    """`a` or `an` before an English noun of this world (spelling and sound agree for all of them)."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[0].upper() + text[1:]
