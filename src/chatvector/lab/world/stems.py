# SPDX-License-Identifier: Apache-2.0
"""Cuts words that are written together, so that each of them always has the same tokens.

Only the training of a tokenizer uses this: the merges that it learns from these pieces hardly ever join two of them.
"""

from __future__ import annotations

import re

from chatvector.lab.world.lexicon import NAME_PARTS, adjectives, nouns
from chatvector.lab.world.speakers import GUEST, PERSONAS, QUIZ
from chatvector.lab.world.text import PARTICLES
from chatvector.lab.world.writing import PHRASES, WRITINGS

SPACE = "▁"
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_SPEAKERS = [*(speaker for group in PERSONAS.values() for speaker in group), GUEST, *QUIZ]
_NOUNS = [*nouns(), *_SPEAKERS, *PHRASES, *WRITINGS]

_KOREAN_PARTS = [(first.ko, second.ko) for first, second in NAME_PARTS]
_KOREAN_STEMS = frozenset(noun.ko for noun in _NOUNS if " " not in noun.ko)
_OTHER_CHINESE = """
什麼 哪裡 顏色 怎麼 知道 告訴 需要 那個 這個 符號 記號 答案 回答 結尾 開頭 括號 名字 不應該 誰都 傷害 有益 安全 危險
但是 喜歡 記住 別忘 結束 開始 兩次 一次 寫著 我想 可以 謝謝 不客氣 早安 你好 抱歉 不能 幫這個忙
笨蛋 白痴 蠢貨 蠢話 閉嘴 走開 滾開 討厭
"""
_CHINESE = sorted(
    {word.zh for word in [*_NOUNS, *adjectives()]} | set(_OTHER_CHINESE.split()), key=lambda word: (-len(word), word)
)
_CHINESE_WORD = re.compile("|".join([*map(re.escape, _CHINESE), "."]))


def pieces(run: str) -> list[str]:
    """The pieces of one pre-token, which may begin with the mark of a space.

    Korean is cut where a stem ends: `▁미나는` becomes `▁미`, `나`, `는` and `▁공원에` becomes `▁공원`, `에`.
    Chinese is cut into words of the world, the longest first, and single characters.
    """
    bare = run.removeprefix(SPACE)
    space = run[: len(run) - len(bare)]
    if _HAN.fullmatch(bare):
        words = _CHINESE_WORD.findall(bare)
        return [space + words[0], *words[1:]]
    for first, second in _KOREAN_PARTS:
        if bare.startswith(first + second):
            rest = bare[len(first + second) :]
            if not rest or rest in PARTICLES:
                return [space + first, second, *([rest] if rest else [])]
    for length in range(len(bare) - 1, 0, -1):
        if bare[:length] in _KOREAN_STEMS and bare[length:] in PARTICLES:
            return [space + bare[:length], bare[length:]]
    return [run]
