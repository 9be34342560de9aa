# SPDX-License-Identifier: Apache-2.0
"""Which script a letter belongs to, and how much a letter says."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

# First words of Unicode names that stand for more than one script's name, or for another word than we use.
_RENAMED = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",  # 々 and 〆
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana",  # ー
}
# Letters by category that are signs of all scripts: 𝑥, ª, ℕ, Å (unit), ʰ …
_COMMON = {
    "MATHEMATICAL",
    "DOUBLE-STRUCK",
    "SCRIPT",
    "BLACK-LETTER",
    "FEMININE",
    "MASCULINE",
    "MODIFIER",
    "SUPERSCRIPT",
    "SUBSCRIPT",
    "MICRO",
    "OHM",
    "KELVIN",
    "ANGSTROM",
    "PLANCK",
    "ALEF",
    "BET",
    "GIMEL",
    "DALET",
    "INFORMATION",
}
_WIDTHS = {"FULLWIDTH", "HALFWIDTH"}

EAST_ASIAN = frozenset({"Han", "Kana", "Hangul", "Bopomofo"})


@lru_cache(maxsize=65536)
def script_of(character: str) -> str | None:
    """Script of one letter, by the first word of its Unicode name: `Latin`, `Han`, `Hangul`, `Kana` (both kinds),
    `Cyrillic`, `Thai` …; None for what is no letter (digits, marks, emoji, white space) or is common to all scripts."""
    if not character.isalpha():
        return None
    words = unicodedata.name(character, "").split()
    if words and words[0] in _WIDTHS:
        words = words[1:]
    if not words or words[0] in _COMMON:
        return None
    return _RENAMED.get(words[0], words[0].capitalize())


def counts(text: str) -> Counter[str]:
    """Letters by script."""
    return Counter(script for script in map(script_of, text) if script is not None)


def weight(script: str) -> int:
    """What a letter of the script counts where scripts are weighed against each other, in Latin letters.

    The same 1,000 sentences of NTREX-128 have 101,848 letters in English, 50,666 in Korean, 50,590 in Japanese,
    41,590 and 38,246 in Traditional and Simplified Chinese: an East Asian letter says what two Latin ones do.
    """
    return 2 if script in EAST_ASIAN else 1
