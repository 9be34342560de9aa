# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a line of a starter set: script, one-sided Han characters, wording of the other side, marks.

Its tables are small and its own: what the package counts replies with is not used to check the package's items.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

HANGUL, HAN, KANA, LATIN = "HANGUL", "CJK UNIFIED", "KANA", "LATIN"

CODES = {"zh-Hant": "big5", "zh-Hans": "gb2312", "ja": "shift_jis"}
"""National character sets: Big5 was made for Traditional Chinese, GB 2312 for Simplified, JIS X 0208 for Japanese."""

SHORT_FORMS = frozenset(
    "万与么价优体余党凄吨圣复宁惊扑据构柜气洁灶确离种粽网艺荐虫蚕蜡触赶辟适肮腊听岭异怀怜扰极苹茧踊痒"
)
"""Simplified characters that Big5 holds as well, for rare old characters of the same shape."""

# Words by which a Taiwanese or a mainland reader notices at once that a text comes from the other side.
MAINLAND_WORDS = "視頻 軟件 硬件 信息 網絡 短信 出租車 公交 鼠標 打印 屏幕 酒店 外賣 土豆 西紅柿 博客 默認 質量 網上"
TAIWAN_WORDS = "影片 软体 硬体 资讯 网路 简讯 计程车 捷运 滑鼠 列印 萤幕 外送 部落格 脚踏车 程式 品质 肯亚 笔电 预设"

MARKS: dict[str, str] = {"en": "「」『』“”‘’，。？！：；、", "ko": '「」『』"，。？！：；、'}
MARKS |= {"zh-Hant": '“”‘’",?!;', "zh-Hans": '「」『』",?!;', "ja": '“”‘’",?!;，'}
"""Quotation and punctuation marks that a language's lines do not use."""

POLITE = re.compile(r"(?:요|니다|니까|시오)[.?!]$", re.MULTILINE)
"""A Korean sentence in polite style at the end of a line (a text to be summarised follows on lines of its own)."""


def shares(text: str) -> dict[str, float]:
    """Share of the letters that belong to each script, by character name."""
    letters = [unicodedata.name(character, "") for character in text if character.isalpha()]
    scripts = Counter(next((s for s in (HANGUL, HAN, "KATAKANA", "HIRAGANA", LATIN) if s in n), n) for n in letters)
    found = {script: count / len(letters) for script, count in scripts.items()}
    found[KANA] = found.get("KATAKANA", 0) + found.get("HIRAGANA", 0)
    return found


def _english(text: str) -> list[str]:
    return [] if shares(text).get(LATIN, 0) == 1 else ["letters that are not Latin"]


def _korean(text: str) -> list[str]:
    found = shares(text)
    wrong = ["Han or kana"] if found.get(HAN, 0) + found[KANA] > 0 else []
    return wrong + (["too little Hangul"] if found.get(HANGUL, 0) < 0.75 else [])


def _chinese(text: str) -> list[str]:
    found = shares(text)
    wrong = ["Hangul or kana"] if found.get(HANGUL, 0) + found[KANA] > 0 else []
    return wrong + (["too little Han"] if found.get(HAN, 0) < 0.75 else [])


def _traditional(text: str) -> list[str]:
    signs = [*(SHORT_FORMS & set(text)), *MAINLAND_WORDS.split()]
    return _chinese(text) + [f"{sign} is mainland" for sign in signs if sign in text]


def _simplified(text: str) -> list[str]:
    return _chinese(text) + [f"{word} is Taiwanese" for word in TAIWAN_WORDS.split() if word in text]


def _outside(text: str, code: str) -> list[str]:
    """Han characters that a national character set lacks."""
    han = [character for character in text if unicodedata.name(character, "").startswith(HAN)]
    return [f"{c} is not in {code}" for c in han if not c.encode(code, "ignore")]


def _japanese(text: str) -> list[str]:
    found = shares(text)
    wrong = ["Hangul"] if found.get(HANGUL, 0) > 0 else []
    return wrong + (["too little kana"] if found[KANA] < 0.25 or found[KANA] + found.get(HAN, 0) < 0.75 else [])


_CHECKS: dict[str, Callable[[str], list[str]]] = {
    "en": _english,
    "ko": _korean,
    "zh-Hant": _traditional,
    "zh-Hans": _simplified,
    "ja": _japanese,
}


def faults(text: str, language: str) -> list[str]:
    """What is wrong with a line that should be in `language`; empty if nothing is."""
    wrong = _CHECKS[language](text) + (_outside(text, CODES[language]) if language in CODES else [])
    between_digits = re.compile(r"(?<=\d)[,:](?=\d)")
    wrong += [f"the mark {mark}" for mark in MARKS[language] if mark in between_digits.sub("", text)]
    if text != unicodedata.normalize("NFC", text) or text != text.strip() or "  " in text:
        wrong.append("not NFC, or stray spaces")
    if re.search(r"https?:|www\.|\S@\S|\ufffd", text):
        wrong.append("an address, or a broken character")
    return wrong


def normal(text: str) -> str:
    """Letters and digits only, width and case folded: what two copies of a text have in common."""
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


def likeness(one: str, other: str, size: int) -> float:
    """Jaccard index of the sets of character n-grams, 0 (nothing in common) to 1."""
    first, second = ({text[i : i + size] for i in range(len(text) - size + 1)} for text in (normal(one), normal(other)))
    return len(first & second) / max(len(first | second), 1)
