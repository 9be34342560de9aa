# SPDX-License-Identifier: Apache-2.0
"""What models write, made fit to be shown: nothing invisible that would turn a page around, and no endless text."""

from __future__ import annotations

import re
import unicodedata

KEPT = "\n\t\u200c\u200d\ufe0f\ufe0e"
"""Format characters that texts need: line ends, the joiners of Persian and of emoji, their variation selectors."""
LONGEST = 1200
"""Characters of a text that a report shows."""


def visible(text: str) -> str:
    """Control and format characters as `⟨U+202E⟩`: they would reverse what stands beside them, or are not allowed in a
    page. Half a surrogate pair is written so too, since no file could hold it."""
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
    """All white space as single blanks."""
    return " ".join(visible(text).split())


def anchor(text: str) -> str:
    """An id of letters, digits and hyphens."""
    return re.sub(r"[^\w-]+", "-", visible(text)).strip("-") or "part"


def clipped(text: str, most: int) -> str:
    """At most so many characters on one line, for a name: `a very long nam…`."""
    text = one_line(text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def shortened(text: str, most: int = LONGEST) -> str:
    """The beginning of a long text, and how much is left out."""
    if len(text) <= most:
        return text
    return f"{text[:most]} … [{len(text) - most:,} more characters]"
