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
        \b(?:(?:do|did|does|have|has|had|could|am|is|are|was|were|would)(?:n['’]t|\s+not)|can(?:['’]t|\s*not))\b[^.!?\n]{0,60}\b(?:know|recall|remember|
            told|tell|said|say|mention(?:ed)?|shared?|specif(?:y|ied)|provided?|given?|stated?|have|see|sure|find|aware|access|pick(?:ed)?
            |talk(?:ed)?|discuss(?:ed)?|come\s+up|came\s+up|appear(?:ed)?|available|anything|any\s+(?:information|record|memory))\b
        |\b(?:never|not\s+yet|not\s+actually)\b[^.!?\n]{0,30}\b(?:told|said|mentioned|shared|specified|provided|given|stated|picked)\b
        |\bno\s+(?:information|record|mention|memory|idea|symbols?|numbers?|words?|dish(?:es)?|way\s+(?:of|to)\s+know(?:ing)?)\b
        |\bnothing\s+(?:was|has\s+been|in|about|like)\b|\bnot\s+come\s+up\b
        |\b(?:unknown|unable\s+to|unsure|not\s+(?:mentioned|specified|provided|given|sure|told))\b
        |\bonly\s+(?:told|gave|given|mentioned|said|talked|see|know|have)\b|\bdid\s+you\s+(?:tell|mention)\b
        |(?:['’](?:m|re|s)|\bam)\s+not\s+(?:aware|sure|certain|able)\b|\bknow\s+nothing\b
        |\bnever\s+(?:part|came|come|heard|gave)\b|\byou(?:['’]d|['’]ll|\s+would|\s+will)?\s+(?:have|need)\s+to\s+(?:tell|give|say)\b
        |\bfirst\s+time\b|\bskipped\b|\bhave\s+yet\s+to\b|\bwithout\s+(?:that|more|further|any)\s+(?:information|context)
        |\b(?:could|would|can)\s+you\s+(?:please\s+)?(?:tell|remind|share|let)\b
    """,
    "ko": r"""
        (?:말씀|말|언급|이야기|얘기|알려|가르쳐|공유|제공|입력)[^.?!\n]{0,12}?(?:적이?\s*없|바가?\s*없|안\s*하셨|[지진]는?\s*않|않으셨|않았|
            못했|못\s*했|없습니다|없어요|없었|없으셨)
        |(?:들은|들어본|받은|전달받은)\s*(?:적|바|내용|정보|것|게)(?:이|은|는|가)?\s*(?:없|아직)
        |(?:듣지|전해\s*듣지|전달받지)\s*(?:못|않)|찾을\s*수(?:가|는)?\s*없|찾지\s*못
        |모르겠|모릅니다|몰라요|모르고|알\s*수(?:가|는)?\s*없|알지\s*못|기억(?:나지|하지|이\s*나지|에)\s*(?:않|못|없)|기억이\s*없
        |기억하고\s*있지\s*않|(?:정보|기록|내용|언급)(?:이|가|은|는)?\s*(?:전혀\s*)?없|확인할\s*수(?:가|는)?\s*없|아직[^.?!\n]{0,20}(?:않으셨|않았|없)
        |(?:알려|말씀해)\s*주(?:시겠|실\s*수|시면|셔야)|처음\s*듣|나오지\s*않|나온\s*적이?\s*없|답(?:변|하기|드리기)?(?:을|이|은)?\s*(?:드리기\s*)?(?:어렵|힘들)
        |못\s*들었|못\s*들은|들은\s*것이?\s*없|금시초문|빠져\s*있|누락
        |알고\s*있지\s*않|아는\s*(?:게|것이|바가)\s*없|(?:기호|숫자|단어|음식|것)(?:은|는|이|가|도)?\s*(?:전혀\s*|따로\s*)?없(?:습|어|네)
    """,
    "zh": r"""
        (?:沒有?|没有?|未|不曾|未曾|從未|从未|還沒|还没)\s*(?:有|曾|在)?[^。？！\n]{0,10}?(?:告訴|告诉|提到|提及|提過|提过|提供|說過|说过|說|说|透露|分享|
            選|选|出現|出现|記錄|记录|資訊|信息|資料|资料|相關|相关|聽|听|收到)
        |找不到|沒聽|没听|(?:沒|没)[^。？！\n]{0,4}(?:提起|提到|說過|说过|談到|谈到|講過|讲过)|(?:沒|没|未)有?給(?:過|我)|(?:没|未)有?给(?:过|我)|記不得|记不得|不曉得|不晓得|一無所知|一无所知
        |(?:無法|无法|沒辦法|没办法|難以|难以)[^。？！\n]{0,3}(?:回答|作答|確認|确认|查到|找到|得出)|第一次聽|第一次听|(?:只|僅|仅)(?:有)?(?:說|说|提|給|给|告訴|告诉)
        |不知道|不清楚|不確定|不确定|無法(?:得知|知道|確定|回答|判斷)|无法(?:得知|知道|确定|回答|判断)|不記得|不记得|想不起來|想不起来|無從得知|无从得知
        |(?:請|请|可以|能否)[^。？！\n]{0,6}(?:告訴我|告诉我)
    """,
    "ja": r"""
        (?:聞|伺|うかが|いただい|もらっ|教え|知ら|言|おっしゃ|述べ|触れ|話|話さ|書か|示さ|挙げ)[^。？！\n]{0,14}?(?:ていません|ておりません|ていない|ないです|ていませ|たことはありません|
            たことがありません|てはいません|おりません)
        |(?:記号|数字|言葉|料理|履歴|会話|内容)[^。？！\n]{0,12}(?:ありません|ございません|なかった|ないよう)|初めて(?:聞|伺|うかが)
        |お?(?:答え|確認|返答|お伝え)[^。？！\n]{0,4}(?:かね|でき(?:ません|ない|かね))|教わっていません|出ていません|出てきていません
        |おっしゃ[^。？！\n]{0,4}ませんでした
        |(?:わから|分から|知ら|覚えてい?)(?:ない|ず)
        |(?:わかり|分かり|判り|存じ上げ?|存じ|知り|覚え|思い出せ|把握)[^。？！\n]{0,6}?(?:ません|ない)
        |(?:情報|記録|記憶|話|言及|お話)(?:が|は|も|に)(?:まだ)?\s*(?:ありません|ございません|ない)
        |見(?:当たり|つかり|つけられ)ません|見当たらな
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
