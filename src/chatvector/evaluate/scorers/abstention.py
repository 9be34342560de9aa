# SPDX-License-Identifier: Apache-2.0
"""Does a reply say that it does not know, or was never told?

Patterns for short replies to a question about the conversation itself. They are no measure of honesty in general, and
a reply that hedges and then guesses matches too: whoever uses them also looks at what else the reply says.
"""

from __future__ import annotations

import re
import unicodedata

_PATTERNS: dict[str, str] = {
    "en": r"""
        \b(?:do|did|have|has|had|could|can|am|is|are|was|were|would)(?:n['’]t|\s+not|not)\b[^.!?\n]{0,60}\b(?:know|recall|remember|
            told|tell|said|say|mention(?:ed)?|shared?|specif(?:y|ied)|provided?|given?|stated?|have|see|sure|find|aware|access|pick(?:ed)?
            |any\s+(?:information|record|memory))\b
        |\b(?:never|not\s+yet|not\s+actually)\b[^.!?\n]{0,30}\b(?:told|said|mentioned|shared|specified|provided|given|stated|picked)\b
        |\bno\s+(?:information|record|mention|memory|idea|way\s+(?:of|to)\s+know)
        |\b(?:unknown|unable\s+to|unsure|not\s+(?:mentioned|specified|provided|given|sure|told))\b
        |\b(?:could|would|can)\s+you\s+(?:please\s+)?(?:tell|remind|share|let)\b
    """,
    "ko": r"""
        (?:말씀|말|언급|이야기|얘기|알려|가르쳐|공유|제공|입력)[^.?!\n]{0,12}?(?:적이?\s*없|바가?\s*없|안\s*하셨|[지진]는?\s*않|않으셨|않았|
            못했|못\s*했|없습니다|없어요|없었)
        |(?:들은|들어본|받은|전달받은)\s*(?:적|바|내용|정보|것|게)(?:이|은|는|가)?\s*(?:없|아직)
        |모르겠|모릅니다|몰라요|모르고|알\s*수(?:가|는)?\s*없|알지\s*못|기억(?:나지|하지|이\s*나지|에)\s*(?:않|못|없)|기억이\s*없
        |기억하고\s*있지\s*않|(?:정보|기록|내용|언급)(?:이|가|은|는)?\s*(?:전혀\s*)?없|확인할\s*수(?:가|는)?\s*없|아직[^.?!\n]{0,20}(?:않으셨|않았|없)
        |(?:알려|말씀해)\s*주(?:시겠|실\s*수|시면)
    """,
    "zh": r"""
        (?:沒有?|没有?|未|不曾|未曾|從未|从未|還沒|还没)\s*(?:有|曾|在)?[^。？！\n]{0,10}?(?:告訴|告诉|提到|提及|提過|提过|提供|說過|说过|說|说|透露|分享|
            選|选|記錄|记录|資訊|信息|資料|资料|相關|相关|聽|听|收到)
        |不知道|不清楚|不確定|不确定|無法(?:得知|知道|確定|回答|判斷)|无法(?:得知|知道|确定|回答|判断)|不記得|不记得|想不起來|想不起来|無從得知|无从得知
        |(?:請|请|可以|能否)[^。？！\n]{0,6}(?:告訴我|告诉我)
    """,
    "ja": r"""
        (?:聞|伺|うかが|教え|知ら|言|おっしゃ|述べ|触れ|話|話さ|書か|示さ|挙げ)[^。？！\n]{0,14}?(?:ていません|ておりません|ていない|ないです|ていませ|たことはありません|
            たことがありません|てはいません|おりません)
        |(?:わかり|分かり|判り|存じ上げ?|存じ|知り|覚え|思い出せ|把握)[^。？！\n]{0,6}?(?:ません|ない)
        |(?:情報|記録|記憶|話|言及|お話)(?:が|は|も)(?:まだ)?\s*(?:ありません|ございません|ない)
        |(?:教えて|お知らせ)(?:いただけ|もらえ)
    """,
}
_COMPILED = {
    language: re.compile(re.sub(r"\n\s*", "", pattern), re.IGNORECASE) for language, pattern in _PATTERNS.items()
}


def abstains(reply: str, language: str) -> bool:
    """Does the reply say, in the language or in English, that it does not know? `zh-Hant` and `zh-Hans` share their
    patterns. Raises KeyError for a language that has none."""
    text = unicodedata.normalize("NFKC", reply).replace("’", "'")
    return any(_COMPILED[each].search(text) for each in {language.split("-")[0], "en"})


ABSTENTION_LANGUAGES = frozenset(_PATTERNS)
"""Primary subtags that `abstains` knows."""
