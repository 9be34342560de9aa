# SPDX-License-Identifier: Apache-2.0
"""Titles, axes and legends of the page's pictures in the visitor's language.

The pictures are SVG that keeps its words as text. They are drawn in English, once for everybody, and the words are put
in afterwards: no font is needed that this machine may lack, the browser has its own. Names of roles and tasks stay as
they are typed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from chatvector.web.words import EN, KO, ZH_HANT, Words

KOREAN: Mapping[str, str] = {
    "Size of the chat vector": "챗 벡터의 크기",
    "‖chat − base‖ / ‖base‖": "‖챗 − 베이스‖ / ‖베이스‖",
    "root mean square": "제곱평균제곱근",
    "layer": "층",
    "Cosine between layers": "층 사이의 코사인",
    "Is the vector in the target?": "대상에 벡터가 들어 있는가?",
    "cos(chat − base, target − base)": "cos(챗 − 베이스, 대상 − 베이스)",
    "unrelated": "무관",
    "all that count: {}": "전체: {}",
    "Figure of merit": "종합 지표",
    "items to choose on": "고르는 데 쓴 문항",
    "test items": "시험 문항",
    "Its parts, test items (95 % intervals)": "그 부분, 시험 문항 (95 % 구간)",
    "% of the best possible (95 % intervals)": "최고치 대비 % (95 % 구간)",
    "scale": "배율",
    "chosen: {}": "선택: {}",
    "merit, to choose on": "지표, 고르는 데 쓴 문항",
    "merit, test": "지표, 시험 문항",
    "{}, test": "{}, 시험 문항",
    "% of the best possible, 95 % intervals.": "최고치 대비 %, 95 % 구간.",
}
CHINESE: Mapping[str, str] = {
    "Size of the chat vector": "對話向量的大小",
    "‖chat − base‖ / ‖base‖": "‖對話 − 基底‖ / ‖基底‖",
    "root mean square": "均方根",
    "layer": "層",
    "Cosine between layers": "各層之間的餘弦",
    "Is the vector in the target?": "目標中已有這個向量嗎？",
    "cos(chat − base, target − base)": "cos(對話 − 基底, 目標 − 基底)",
    "unrelated": "無關",
    "all that count: {}": "全部：{}",
    "Figure of merit": "綜合指標",
    "items to choose on": "用於選擇的題目",
    "test items": "測試題目",
    "Its parts, test items (95 % intervals)": "其各部分，測試題目（95 % 區間）",
    "% of the best possible (95 % intervals)": "佔最佳值的 %（95 % 區間）",
    "scale": "比例",
    "chosen: {}": "選定：{}",
    "merit, to choose on": "指標，用於選擇的題目",
    "merit, test": "指標，測試題目",
    "{}, test": "{}，測試題目",
    "% of the best possible, 95 % intervals.": "佔最佳值的 %，95 % 區間。",
}
BY_TAG: Mapping[str, Mapping[str, str]] = {EN.tag: {}, KO.tag: KOREAN, ZH_HANT.tag: CHINESE}

_TEXT = re.compile(r"(<text\b[^>]*>)(\s*)([^<]+?)(\s*)(</text>)")
_FIGURE = r"([+−-]?\d+(?:\.\d+)?)"


def in_words(text: str, words: Words) -> str:
    """One of the texts above, a figure in it kept, in the visitor's language; any other text as it is."""
    known = BY_TAG[words.tag]
    if text in known:
        return known[text]
    for pattern, translated in known.items():
        if "{}" in pattern and (found := re.fullmatch(re.escape(pattern).replace(r"\{\}", _FIGURE), text)):
            return translated.format(found[1])
    return text


def translated(picture: str, words: Words) -> str:
    """An SVG picture with its words in the visitor's language."""

    def put(found: re.Match[str]) -> str:
        text = html.escape(in_words(html.unescape(found[3]), words), quote=False)
        return f"{found[1]}{found[2]}{text}{found[4]}{found[5]}"

    return _TEXT.sub(put, picture)
