# SPDX-License-Identifier: Apache-2.0
"""The languages that the meter knows, by BCP 47 tag, and the scripts they are written in."""

from __future__ import annotations

from chatvector.errors import UsageError

UNDETERMINED = "und"
"""BCP 47's tag for text whose language cannot be told: too short, or without letters. Such text is left out of every
share and counted on its own."""

LATIN = ("en", "de", "es", "fr", "id", "vi")
"""Languages written in Latin letters; Lingua chooses among these and no others."""

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
    """The tag itself. Raises UsageError for a language that the meter does not know."""
    if language not in SCRIPTS:
        raise UsageError(f"{language}: the language meter does not know it; it knows {', '.join(sorted(SCRIPTS))}")
    return language


def matches(label: str, expected: str) -> bool:
    """Whether a text with this label is in the expected language. The label `zh` (neither side's characters prevail)
    fits both Traditional and Simplified; if `zh` is expected, either side fits."""
    return label == expected or (label == "zh" and expected[:2] == "zh") or (expected == "zh" and label[:3] == "zh-")
