# SPDX-License-Identifier: Apache-2.0
"""Text in all languages at once, and the grammar that its words need: particles, articles, measure words, spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Literal

Language = Literal["en", "ko", "zh-Hant"]
LANGUAGES: tuple[Language, ...] = ("en", "ko", "zh-Hant")


@dataclass(frozen=True)
class Text:
    """A text with the same meaning in every language."""

    en: str
    ko: str
    zh: str

    def __getitem__(self, language: Language) -> str:
        return {"en": self.en, "ko": self.ko, "zh-Hant": self.zh}[language]


@dataclass(frozen=True)
class Noun(Text):
    """A noun, with the Chinese measure word that counts it."""

    measure: str = "個"


EMPTY = Text("", "", "")


def each(change: Callable[..., str], *texts: Text) -> Text:
    """`change` applied to the texts in every language."""
    return Text(*(change(*(text[language] for text in texts)) for language in LANGUAGES))


def joined(texts: Iterable[Text]) -> Text:
    """The sentences one after the other, joined as in `follow` in each language."""
    return reduce(lambda left, right: each(follow, left, right), texts, EMPTY)


_WIDE = "。，？！：；」）、"


def follow(left: str, right: str) -> str:
    """Two pieces of text in a row, with a space between them unless the first ends with a line break or a full-width
    mark, or one is empty."""
    if not left or not right:
        return left + right
    return left + right if left[-1] == "\n" or left[-1] in _WIDE else f"{left} {right}"


def final_consonant(word: str) -> int:
    """Index of the final consonant (batchim) of the last Hangul syllable, 0 for none.

    A precomposed syllable is 0xAC00 + (initial * 21 + vowel) * 28 + final (Unicode standard, section 3.12).
    Raises ValueError for a word that does not end in a Hangul syllable, because its last sound is not known.
    """
    if not word or not "가" <= word[-1] <= "힣":
        raise ValueError(f"{word!r} does not end in a Hangul syllable")
    return (ord(word[-1]) - 0xAC00) % 28


_RIEUL = 8
_AFTER_CONSONANT_AND_VOWEL = {
    "topic": ("은", "는"),
    "subject": ("이", "가"),
    "object": ("을", "를"),
    "and": ("과", "와"),
    "polite_is": ("이에요", "예요"),
    "plain_is": ("이다", "다"),
    "named": ("이라는", "라는"),
    "quoted": ("이라고", "라고"),
}
PARTICLES = frozenset(
    [form for forms in _AFTER_CONSONANT_AND_VOWEL.values() for form in forms]
    + ["로", "으로", "에", "에는", "에서", "에게", "의", "만", "부터", "도", "인지", "안에"]
)
"""Particles and endings that may follow a Korean noun of the world without a space."""


def particle(word: str, kind: str) -> str:
    """`word` with the particle or copula of `kind`, in the form that the word's last sound requires."""
    if kind == "by":  # (으)로: a final ㄹ counts as a vowel
        return word + ("로" if final_consonant(word) in (0, _RIEUL) else "으로")
    consonant, vowel = _AFTER_CONSONANT_AND_VOWEL[kind]
    return word + (consonant if final_consonant(word) else vowel)


def with_article(noun: str) -> str:
    """`a` or `an` before an English noun of this world (spelling and sound agree for all of them)."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def counted(noun: Noun) -> str:
    """The Chinese noun with "one" and its measure word: `一本書`."""
    return f"一{noun.measure}{noun.zh}"


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def plural(word: str) -> bool:
    """Whether this English word of the world is a plural. (No singular that is the subject of a sentence ends in s.)"""
    return word.endswith("s")


def listed(words: list[Text]) -> Text:
    """Two or more words as a list: `a, b and c`; Korean joins them by 과 or 와, Chinese by 、 and 和."""
    first, last = words[:-1], words[-1]
    return Text(
        f"{', '.join(word.en for word in first)} and {last.en}",
        " ".join([*(particle(word.ko, "and") for word in first), last.ko]),
        f"{'、'.join(word.zh for word in first)}和{last.zh}",
    )
