# SPDX-License-Identifier: Apache-2.0
"""Which script a letter belongs to, and how much a letter says."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

# First words of Unicode names → script, where the word is not the name that we use for the script.
_RENAMED = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",  # 々 and 〆
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana",  # ー
}
# First words of the names of letters that are signs common to all scripts: 𝑥, ª, ℕ, Å (unit), ʰ …
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
    `Cyrillic`, `Thai` …. None for characters that are not letters (digits, marks, emoji, white space) or are common to
    all scripts."""
    if not character.isalpha():
        return None
    words = unicodedata.name(character, "").split()
    if words and words[0] in _WIDTHS:
        words = words[1:]
    if not words or words[0] in _COMMON:
        return None
    return _RENAMED.get(words[0], words[0].capitalize())


def counts(text: str) -> Counter[str]:
    """Script → number of letters."""
    return Counter(script for script in map(script_of, text) if script is not None)


def weight(script: str) -> int:
    """Weight of a letter of the script in Latin letters, for comparing scripts.

    The same 1,000 sentences of NTREX-128 have 101,848 letters in English, 50,666 in Korean, 50,590 in Japanese,
    41,590 and 38,246 in Traditional and Simplified Chinese: an East Asian letter says as much as two Latin ones.
    """
    return 2 if script in EAST_ASIAN else 1
