# SPDX-License-Identifier: Apache-2.0
"""Japanese, Traditional or Simplified? Chinese characters told apart by the national character sets.

Every Python has the tables: GB 2312 (1980, mainland) was made for Simplified Chinese, Big5 (1984, Taiwan) for
Traditional, JIS X 0208 (1978, Japan) for Japanese. A character in GB 2312 and not in Big5 is used by Simplified text
only (2,380 characters), one in Big5 and not in GB 2312 by Traditional text only (8,678). Characters that both sides
write (里, 后, 干, 台 …) are in both sets and count for neither, which conversion tables get wrong. Big5's rare second
level also holds old characters that the mainland took as short forms; the frequent ones are listed by hand.

Measured on the first 1,000 sentences per side of NTREX-128: one foreign character in 41,590 Traditional letters, none
in 38,246 Simplified ones; see docs/validation.md.

Lingua cannot do this: version 2.1 calls every text without kana Chinese.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

_FIRST, _LAST = 0x4E00, 0x9FFF
"""First and last code of CJK Unified Ideographs, the block that the three sets are in. Rarer characters are ignored."""

_JIS_LEVEL_1_END = b"\x98\x9f"
"""Shift JIS codes below this one hold level 1, the 2,965 characters of ordinary Japanese. Level 2 has many characters
that Japanese has given up and Chinese has not (氣, 經, 很)."""

_SHORT_FORMS_IN_BIG5 = frozenset("万与价优体党厂吨圣复宁岭异怀怜惊扰据机极构柜气洁泞洼确离种篱网腊苹茧蚕蜡触赶踊适痒")
"""Characters that are in both GB 2312 and Big5, yet no Traditional text uses them. 涂 (a surname), 庄, 洒 and 胜 (胜肽)
are left out because Traditional text has them."""

_BIG5_LEVEL_1_END = b"\xc9\x40"
"""Big5 codes below this one hold level 1, the 5,401 frequent characters."""


@cache
def traditional_only() -> frozenset[str]:
    """Characters that are in Big5 and not in GB 2312."""
    return _encodable("big5") - _encodable("gb2312")


@cache
def simplified_only() -> frozenset[str]:
    """Characters that are in GB 2312 and not in Big5, and the short forms that Big5 happens to hold."""
    return _encodable("gb2312") - _encodable("big5") | _SHORT_FORMS_IN_BIG5


@cache
def _ordinary() -> dict[str, frozenset[str]]:
    """Language → its ordinary characters."""
    return {
        "ja": _encodable("shift_jis", lambda code: code < _JIS_LEVEL_1_END) | {"々"},
        "zh-Hant": _encodable("big5", lambda code: code < _BIG5_LEVEL_1_END),
        "zh-Hans": _encodable("gb2312"),
    }


def sides(text: str) -> tuple[int, int]:
    """Number of characters that only Traditional Chinese writes, and of those that only Simplified Chinese writes."""
    return sum(c in traditional_only() for c in text), sum(c in simplified_only() for c in text)


def han_language(text: str, expected: str) -> str:
    """Language of a text whose East Asian letters are all Chinese characters.

    It is `ja` if the ordinary characters of Japanese cover more of the text than those of either Chinese script, or as
    much and `ja` is expected. Else it is `zh-Hant` or `zh-Hans`, the side with more characters that only it writes, or
    `zh` if both have the same number.
    """
    letters = [c for c in text if _FIRST <= ord(c) <= _LAST or c == "々"]
    held = {language: sum(c in ordinary for c in letters) for language, ordinary in _ordinary().items()}
    best = max(held.values())
    tied = {language for language, count in held.items() if count == best}
    if tied == {"ja"} or (expected == "ja" and "ja" in tied):
        return "ja"
    traditional, simplified = sides(text)
    if traditional == simplified:
        return "zh"
    return "zh-Hant" if traditional > simplified else "zh-Hans"


def _encodable(codec: str, condition: Callable[[bytes], bool] = lambda _: True) -> frozenset[str]:
    return frozenset(_characters(codec, condition))


def _characters(codec: str, condition: Callable[[bytes], bool]) -> list[str]:
    found = []
    for code in range(_FIRST, _LAST + 1):
        try:
            encoded = chr(code).encode(codec)
        except UnicodeEncodeError:
            continue
        if condition(encoded):
            found.append(chr(code))
    return found
