# SPDX-License-Identifier: Apache-2.0
"""What a report shows instead of a text that may hold harm: its length and part of its hash, never what it says.

Each item says whether it is `sensitive`; reports show the texts of such items only if the user asks for it.
"""

from __future__ import annotations

import hashlib

from chatvector.evaluate.task import Item


def redact(text: str) -> str:
    """`[redacted: 212 characters, 3f9a1c04]`. The eight hexadecimal digits are the beginning of the text's SHA-256, so
    equal replies can be seen to be equal and a reply can be found again in the items files."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"[redacted: {len(text)} characters, {digest[:8]}]"


def shown(text: str, item: Item, *, reveal: bool = False) -> str:
    """A prompt or reply of `item` as a report shows it: unchanged, unless the item is sensitive and `reveal` is False.
    An empty text has nothing to hide and stays."""
    return text if reveal or not item.sensitive or not text else redact(text)
