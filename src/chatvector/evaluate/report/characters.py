# SPDX-License-Identifier: Apache-2.0
"""Makes texts of models fit to be shown: no invisible characters that would disturb a page, and no endless text."""

from __future__ import annotations

import re
import unicodedata

KEPT = "\n\t\u200c\u200d\ufe0f\ufe0e"
"""Format characters that texts need: line ends, the joiners of Persian and of emoji, their variation selectors."""
LONGEST = 1200
"""Most characters of a text that a report shows."""


def visible(text: str) -> str:
    """The text with control and format characters written as `⟨U+202E⟩`, since they could reverse the text beside them
    or are not allowed in a page. So are lone surrogates, which no file could hold, and private-use characters."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(
        f"⟨U+{ord(character):04X}⟩"
        if character not in KEPT and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        else character
        for character in text
    )


def one_line(text: str) -> str:
    """The text on one line: visible, with every run of white space as a single blank."""
    return " ".join(visible(text).split())


def anchor(text: str) -> str:
    """The text as an id of letters, digits, underscores and hyphens."""
    return re.sub(r"[^\w-]+", "-", visible(text)).strip("-") or "part"


def clipped(text: str, most: int) -> str:
    """A name on one line of at most `most` characters: `a very long nam…`."""
    text = one_line(text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def shortened(text: str, most: int = LONGEST) -> str:
    """The first `most` characters of a long text, and how many are left out; a shorter text unchanged."""
    if len(text) <= most:
        return text
    return f"{text[:most]} … [{len(text) - most:,} more characters]"
