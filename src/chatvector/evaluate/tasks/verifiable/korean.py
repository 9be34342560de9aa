# SPDX-License-Identifier: Apache-2.0
"""Korean: levels of speech by the endings of sentences, numerals, Hangul only.

The last word of a sentence gives its level. Endings are recognised by their letters, without a morphological analyser;
nouns that end in the same letters are listed as exceptions (`필요` is not polite, `바다` is not a verb). Sentences that
end in a noun (headings, list items, slogans), in -음 or -기, or in a way not listed have no level and are not counted.
Quotations are left out: what somebody else says has a level of its own.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from chatvector.evaluate.tasks.verifiable.text import plain, sentences, without_quotations

Level = Literal["formal", "polite", "plain"]
"""`formal` is 합쇼체 (-습니다), `polite` is 해요체 (-요), `plain` is 반말 (해체 and 해라체)."""

_FORMAL = re.compile(r"(?:니다|니까|시다|십시오|십시요)만?$")
"""Formal endings. 니다, 니까 and 시다 count only after a syllable that ends in ㅂ: 좋습니다, 갑시다; 좋으니까 is
plain."""
_IN_YO = "필요 불필요 중요 주요 수요 개요 소요 동요 민요 강요 고요 담요 대중가요 요요 효요"
_NOUNS_IN_YO = frozenset(_IN_YO.split())
_SET_PHRASE = re.compile(r"(?:감사|고맙|죄송|미안|반갑|실례|축하|부탁|환영)[가-힣]*니다$")
"""Set phrases that are formal by form but are also used in 해요체."""
_IN_DA = "바다 캐나다 소다 판다 베란다 우간다 르완다 어젠다 아젠다 프라다 수다"
_NOUNS_IN_DA = frozenset(_IN_DA.split())

_ASKED = (
    "어머니 언니 할머니 아주머니 주머니 끼니 하나 누나 바나나 강아지 가지 편지 아버지 바지 이미지 메시지 돼지 의지 잡지"
)
_NOUNS_ASKED = frozenset(_ASKED.split())

_PLAIN: tuple[tuple[str, str], ...] = (
    # An ending of 해체 or 해라체, and words that end in the same letters but are not plain verbs.
    ("[았었였했겠됐갔왔봤줬섰졌렸쳤켰폈썼컸떴났랐놨뒀꿨있없싶][어지네니냐거]", ""),
    (
        "해",
        """이해 올해 피해 오해 지난해 새해 방해 손해 항해 공해 동해 서해 남해 북해 양해 견해 저해 침해 분해 용해 상해
        다해 한해""",
    ),
    ("[돼봐줘둬놔써춰꿔켜펴겨져셔뻐]", ""),
    ("(?:나|들|올라|내려|다녀|돌아|찾아|도|가져|데려)와", "하나와"),  # elsewhere 와 is "and": 여자와
    ("워", "타워 샤워 파워 플라워 해피아워 러시아워"),
    ("려", "고려 배려 격려 우려 염려 심려 장려 독려 미려 수려 화려"),
    ("빠", "아빠 오빠"),
    ("(?:고|아)파", ""),
    ("(?:힘|보|끝|꺼|지|빼|겨)내", ""),
    (
        "[가-힣]어",
        """영어 단어 언어 국어 한국어 중국어 일본어 외국어 모국어 프랑스어 독일어 스페인어 러시아어 아랍어 용어 검색어
        신조어 외래어 표준어 합성어 주어 목적어 수어 연어 상어 문어 숭어 광어 장어 붕어 잉어 고등어 인어 악어 제어
        방어""",
    ),
    ("야", "분야 시야 심야 광야 평야"),
    ("[하되이렇좋같맞보가오사많않싶알르말크쉽렵쁘]지", "돼지 이지 가지 오지 보지"),
    ("[가-힣]네", "동네 그네 아낙네 우리네 당신네"),
    ("[가-힣]냐", ""),
    ("[하가보먹되놀쉬걷르]자|시작하자|만나자|떠나자|마시자", "보자 작가자"),
    (
        "잖아|거든|더라|구나|군|는걸|단다|란다|거라|[해어아워려겨켜져펴쳐마봐줘와]라|렴|[가-힣]니까",
        "장군 해군 육군 공군 국군 주라 나라 우리나라",
    ),
    ("그래|응|뭐래|어때|야지|[몰달빨올골]라|짜증나", "콜라 들야지"),
    ("^(?:[가와사자타봐마]|다녀|불러|신나|모아)", ""),  # 집에 가, 하지 마
)
_CASUAL = [(re.compile(rf"(?:{ending})$"), frozenset(nouns.split())) for ending, nouns in _PLAIN]


def _ends_in(syllable: str, final: int) -> bool:
    """Whether the syllable has this final consonant. `final` is the index in Unicode's Hangul composition: 0 none, 4
    ㄴ, 8 ㄹ, 17 ㅂ."""
    return "가" <= syllable <= "힣" and (ord(syllable) - 0xAC00) % 28 == final


def level(sentence: str) -> Level | None:
    """The level of one sentence; None if its end does not show it."""
    words = re.findall(r"[가-힣]+", re.sub(r"\([^()]*\)|\[[^\[\]]*\]|[ㄱ-ㅎㅏ-ㅣ]+", " ", plain(sentence)))
    tail = re.sub(r"[\W_ㄱ-ㅎㅏ-ㅣ]+$", "", re.sub(r"\([^()]*\)\W*$", "", plain(sentence)))
    if not words or not tail.endswith(words[-1]):
        return None  # ends in a number, a Latin word or an emoji only
    word = words[-1]
    if _FORMAL.search(word):
        stem = word.removesuffix("만")
        if not stem.endswith(("니다", "니까", "시다")) or (len(stem) > 2 and _ends_in(stem[-3], 17)):
            return "formal"
    if word.endswith(("요", "죠")):
        return None if word in _NOUNS_IN_YO else "polite"
    return "plain" if _is_plain(word, asked=sentence.rstrip(" \"'”’)").endswith(("?", "？"))) else None


def _is_plain(word: str, *, asked: bool) -> bool:
    if word.endswith("다"):
        return len(word) > 1 and word not in _NOUNS_IN_DA
    if len(word) > 1 and word[-1] in "게래걸까" and _ends_in(word[-2], 8):
        return True  # 할게, 갈래, 올걸, 있을까
    if len(word) > 1 and word[-1] == "데" and _ends_in(word[-2], 4):
        return word not in ("가운데", "군데")  # 오는데, 좋은데
    if word.endswith("아") and len(word) > 1 and not _ends_in(word[-2], 0):
        return word not in ("동아", "육아", "영아")  # 좋아, 알아; after a vowel it is a name: 러시아
    if asked and word[-1] in "니나지" and len(word) > 1:
        return word not in _NOUNS_ASKED  # 뭐니? 두나? 만나지?
    if asked and word[-1] == "가" and len(word) > 1 and _ends_in(word[-2], 4):
        return word not in ("인가", "전문가", "친가")  # 그런가, 오는가
    return any(ending.search(word) and word not in nouns for ending, nouns in _CASUAL)


def levels(reply: str) -> list[Level]:
    """Levels of all sentences that have one, without quotations."""
    return [found for sentence in sentences(without_quotations(reply, "것")) if (found := level(sentence)) is not None]


def speaks(reply: str, wanted: Literal["존댓말", "반말", "합쇼체", "해요체"]) -> bool:
    """Whether all sentences of the reply that have a level are in the wanted way of speaking, and there is at least
    one. 존댓말 is 합쇼체 or 해요체 or both; set phrases such as 감사합니다 fit 해요체 too."""
    spoken = [
        "polite" if wanted == "해요체" and found == "formal" and _SET_PHRASE.search(_last_word(sentence)) else found
        for sentence in sentences(without_quotations(reply, "것"))
        if (found := level(sentence)) is not None
    ]
    fits = {"존댓말": {"formal", "polite"}, "반말": {"plain"}, "합쇼체": {"formal"}, "해요체": {"polite"}}[wanted]
    return bool(spoken) and set(spoken) <= fits


def _last_word(sentence: str) -> str:
    return (re.findall(r"[가-힣]+", sentence) or [""])[-1]


def hangul_only(reply: str) -> bool:
    """Whether all letters are Hangul (none Latin or Chinese), and there is at least one. Digits and marks are not
    letters."""
    letters = [c for c in plain(reply) if c.isalpha()]
    return bool(letters) and all(unicodedata.name(c, "").startswith("HANGUL") for c in letters)


_NATIVE_ONES = ("", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_SINO_ONES = ("", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")


def numeral(number: int, kind: Literal["native", "sino"]) -> str:
    """A number from 1 to 99 in words: 스물하나, 이십일."""
    tens, ones = divmod(number, 10)
    if kind == "native":
        return _NATIVE_TENS[tens] + _NATIVE_ONES[ones]
    return ("" if tens == 0 else ("" if tens == 1 else _SINO_ONES[tens]) + "십") + _SINO_ONES[ones]


def counts_up(reply: str, kind: Literal["native", "sino"], first: int, last: int) -> bool:
    """Whether the reply consists of the numerals from `first` to `last`, in order, and nothing else but marks."""
    said = re.findall(r"\w+", plain(reply))
    return said == [numeral(number, kind) for number in range(first, last + 1)]
