# SPDX-License-Identifier: Apache-2.0
"""What stands in a report for a text that may hold harm: how long it is and which one, never what it says.

Items say of themselves whether they are `sensitive`; reports show them only where the user asked for it.
"""

from __future__ import annotations

import hashlib

from chatvector.evaluate.task import Item


def redact(text: str) -> str:
    """`[redacted: 212 characters, 3f9a1c04]`. The eight hexadecimal digits are the beginning of the text's SHA-256, so
    that equal replies are seen to be equal, and one can be found again in the items files."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"[redacted: {len(text)} characters, {digest[:8]}]"


def shown(text: str, item: Item, *, reveal: bool = False) -> str:
    """A prompt or reply of `item` as a report shows it: as it is, unless the item is sensitive and not revealed. An
    empty text hides nothing and stays."""
    return text if reveal or not item.sensitive or not text else redact(text)
