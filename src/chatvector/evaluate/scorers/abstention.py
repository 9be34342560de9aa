# SPDX-License-Identifier: Apache-2.0
"""Does a reply say that it does not know, or was never told?

Patterns for short replies to a question about the conversation itself. They do not measure honesty in general. A reply
that hedges and then guesses matches too, so callers must also look at what else the reply says. The patterns miss
wordings that they do not know; docs/validation.md says how many.
"""

from __future__ import annotations

import re
import unicodedata

_NOT = r"(?:(?:do|did|does|have|has|had|could|am|is|are|was|were|would)(?:n't|\s+not)|can(?:'t|\s*not))"

_EN = (
    # haven't told, don't know, was not stated, can't find …
    rf"\b{_NOT}\b[^.!?\n]{{0,60}}\b(?:know|recall|remember|aware|sure|see|find|have|access|available|anything)\b",
    rf"\b{_NOT}\b[^.!?\n]{{0,60}}\b(?:told|tell|said|say|mention(?:ed)?|shared?|specif(?:y|ied)|provided?|given?)\b",
    rf"\b{_NOT}\b[^.!?\n]{{0,60}}\b(?:stated?|pick(?:ed)?|talk(?:ed)?|discuss(?:ed)?|c[oa]me\s+up|appear(?:ed)?)\b",
    rf"\b{_NOT}\b[^.!?\n]{{0,60}}\bany\s+(?:information|record|memory)\b",
    r"(?:'(?:m|re|s)|\bam)\s+not\s+(?:aware|sure|certain|able)\b",
    r"\b(?:never|not\s+yet|not\s+actually)\b[^.!?\n]{0,30}\b(?:told|said|mentioned|shared|specified|provided|given)\b",
    r"\b(?:never|not\s+yet|not\s+actually)\b[^.!?\n]{0,30}\b(?:stated|picked)\b",
    r"\bnever\s+(?:part|came|come|heard|gave)\b",
    r"\bnot\s+(?:mentioned|specified|provided|given|sure|told|come\s+up)\b",
    r"\bno\s+(?:information|record|mention|memory|idea|symbols?|numbers?|words?|dish(?:es)?)\b",
    r"\bno\s+way\s+(?:of|to)\s+know(?:ing)?\b",
    r"\bnothing\s+(?:was|has\s+been|in|about|like)\b|\bknow\s+nothing\b",
    r"\b(?:unknown|unable\s+to|unsure|first\s+time|skipped|have\s+yet\s+to)\b",
    r"\bonly\s+(?:told|gave|given|mentioned|said|talked|see|know|have)\b",
    r"\bwithout\s+(?:that|more|further|any)\s+(?:information|context)\b",
    # asks back
    r"\bdid\s+you\s+(?:tell|mention)\b",
    r"\byou(?:'d|'ll|\s+would|\s+will)?\s+(?:have|need)\s+to\s+(?:tell|give|say)\b",
    r"\b(?:could|would|can)\s+you\s+(?:please\s+)?(?:tell|remind|share|let)\b",
)
_KO = (
    # 말씀하신 적이 없다, 알려 주지 않으셨다 …
    r"(?:말씀|말|언급|이야기|얘기|알려|가르쳐|공유|제공|입력)[^.?!\n]{0,12}?(?:적이?\s*없|바가?\s*없|안\s*하셨|[지진]는?\s*않)",
    r"(?:말씀|말|언급|이야기|얘기|알려|가르쳐|공유|제공|입력)[^.?!\n]{0,12}?(?:않으셨|않았|못\s*했|없(?:습니다|어요|었|으셨))",
    r"아직[^.?!\n]{0,20}(?:않으셨|않았|없)",
    r"(?:들은|들어본|받은|전달받은)\s*(?:적|바|내용|정보|것|게)(?:이|은|는|가)?\s*(?:없|아직)",
    r"(?:듣지|전달받지)\s*(?:못|않)|못\s*들[었은]|처음\s*듣|금시초문",
    # 모르겠다, 기억나지 않는다, 찾을 수 없다 …
    r"모르겠|모릅니다|몰라요|모르고|(?:알|찾을|확인할)\s*수(?:가|는)?\s*없|(?:알|찾)지\s*못|알고\s*있지\s*않|아는\s*(?:게|것이|바가)\s*없",
    r"기억(?:나지|하지|이\s*나지|에)\s*(?:않|못|없)|기억이\s*없|기억하고\s*있지\s*않",
    r"(?:정보|기록|내용|언급)(?:이|가|은|는)?\s*(?:전혀\s*)?없",
    r"(?:기호|숫자|단어|음식|것)(?:은|는|이|가|도)?\s*(?:전혀\s*|따로\s*)?없(?:습|어|네)",
    r"나오지\s*않|나온\s*적이?\s*없|빠져\s*있|누락|답(?:변|하기|드리기)?(?:을|이|은)?\s*(?:드리기\s*)?(?:어렵|힘들)",
    # asks back
    r"(?:알려|말씀해)\s*주(?:시겠|실\s*수|시면|셔야)",
)
_ZH = (
    # 沒有告訴我, 從未提過 … both sides
    r"(?:[沒没]有?|未|不曾|[從从]未|[還还][沒没])\s*[有曾在]?[^。？！\n]{0,10}?(?:告[訴诉]|提[到及過过供]|[說说]|透露|分享|[選选])",
    r"(?:[沒没]有?|未|不曾|[從从]未|[還还][沒没])\s*[有曾在]?[^。？！\n]{0,10}?(?:出[現现]|[記记][錄录]|[資资]|信息|相[關关]|[聽听]|收到)",
    r"[沒没][^。？！\n]{0,4}(?:提[起到]|[說说談谈講讲][過过到])|[沒没未]有?[給给][過过我]|[沒没][聽听]|第一次[聽听]",
    r"[只僅仅]有?(?:[說说提給给]|告[訴诉])",
    # 不知道, 無法確定, 找不到 …
    r"不(?:知道|清楚|[確确]定|[記记]得|[曉晓]得)|[記记]不得|想不起[來来]|一[無无]所知|找不到|[無无][從从法]得知",
    r"(?:[無无]法|[沒没][辦办]法|[難难]以)[^。？！\n]{0,3}(?:回答|作答|判[斷断]|[確确][認认定]|知道|查到|找到|得出)",
    # asks back
    r"(?:[請请]|可以|能否)[^。？！\n]{0,6}告[訴诉]我",
)
_JA = (
    # 伺っていません, 教えていただいていない, おっしゃいませんでした …
    r"(?:聞|伺|うかが|いただい|もらっ|教え|知ら|言|おっしゃ|述べ|触れ|話|書か|示さ|挙げ)[^。？！\n]{0,14}?"
    r"(?:て(?:い|おり|はい)ません|ていな|ないです|たことは?が?ありません)",
    r"いただいておりません|おっしゃ[^。？！\n]{0,4}ませんでした|初めて(?:聞|伺|うかが)|教わっていません|出て(?:きて)?いません",
    # 情報がありません, 見当たりません …
    r"(?:記号|数字|言葉|料理|履歴|会話|内容)[^。？！\n]{0,12}(?:ありません|ございません|なかった|ないよう)",
    r"(?:情報|記録|記憶|話|言及)(?:が|は|も|に)(?:まだ)?\s*(?:ありません|ございません|ない)|見(?:当たり|つかり|つけられ)ません|見当たらな",
    # わかりません, 存じません, お答えしかねます …
    r"(?:わかり|分かり|判り|存じ|知り|覚え|思い出せ|把握)[^。？！\n]{0,6}?(?:ません|ない)|(?:わから|分から|知ら|覚えてい?)(?:ない|ず)",
    r"(?:答え|確認|返答|伝え)[^。？！\n]{0,4}(?:かね|でき(?:ません|ない|かね))",
    # asks back
    r"(?:教えて|お知らせ)(?:いただけ|もらえ)",
)
_COMPILED = {
    language: re.compile("|".join(patterns), re.IGNORECASE)
    for language, patterns in {"en": _EN, "ko": _KO, "zh": _ZH, "ja": _JA}.items()
}


def abstains(reply: str, language: str) -> bool:
    """Does the reply say, in the language or in English, that it does not know? `zh-Hant` and `zh-Hans` share their
    patterns. Raises KeyError for a language without patterns."""
    text = unicodedata.normalize("NFKC", reply).replace("’", "'")
    return any(_COMPILED[each].search(text) for each in {language.split("-")[0], "en"})
