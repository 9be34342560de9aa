# SPDX-License-Identifier: Apache-2.0
"""Make a model's text safe for a terminal, or for a page shown there: without control characters."""

from __future__ import annotations

# Control characters move the cursor, change titles, fill the clipboard: a model's text must not.
_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
_CONTROLS[13] = ""


def printable(text: str) -> str:
    """The text without characters that control a terminal."""
    return text.translate(_CONTROLS)
