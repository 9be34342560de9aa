# SPDX-License-Identifier: Apache-2.0
"""The languages that the meter knows, by BCP 47 tag, and the scripts they are written in."""

from __future__ import annotations

from chatvector.errors import UsageError

UNDETERMINED = "und"
"""BCP 47's tag for what cannot be said: too short, or no letters at all. Left out of every share, and counted."""

LATIN = ("en", "de", "es", "fr", "id", "vi")
"""Written in Latin letters; Lingua chooses among these and no others."""

SCRIPTS: dict[str, frozenset[str]] = {
    "ko": frozenset({"Hangul"}),
    "ja": frozenset({"Han", "Kana"}),
    "zh": frozenset({"Han", "Bopomofo"}),
    "zh-Hant": frozenset({"Han", "Bopomofo"}),
    "zh-Hans": frozenset({"Han", "Bopomofo"}),
    "th": frozenset({"Thai"}),
    **dict.fromkeys(LATIN, frozenset({"Latin"})),
}


def known(language: str) -> str:
    """The tag itself. Raises UsageError for a language that the meter would have to guess at."""
    if language not in SCRIPTS:
        raise UsageError(f"{language}: the language meter does not know it; it knows {', '.join(sorted(SCRIPTS))}")
    return language


def matches(label: str, expected: str) -> bool:
    """Is a text with this label in the expected language? `zh` (no character that only one side writes) fits both
    Traditional and Simplified."""
    return label == expected or (label == "zh" and expected[:2] == "zh") or (expected == "zh" and label[:3] == "zh-")
