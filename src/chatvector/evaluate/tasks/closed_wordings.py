# SPDX-License-Identifier: Apache-2.0
"""Three ways of asking each closed question, written in each language rather than translated word for word.

The first wording asks before the text, the second after it, the third is a form to be filled in. Placeholders:
`{labels}` is the list of the labels' names, `{either}` the same list as a choice ("positive or negative"), `{text}` the
text, `{hypothesis}` the second sentence of inference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chatvector.evaluate.task import Language

WORDINGS = ("before", "after", "form")
"""Names of the three wordings in results."""

_JOINS: dict[Language, tuple[str, str]] = {
    "en": (", ", " or "),
    "ko": (", ", " 또는 "),
    "zh-Hant": ("、", "或"),
    "zh-Hans": ("、", "或"),
    "ja": ("、", "か"),
}
"""Language → (what separates labels in a list, what stands before the last label of a choice)."""

PROMPTS: dict[str, dict[Language, tuple[str, str, str]]] = {
    "topic": {
        "en": (
            "What is the text below about? Answer with just one of these words: {labels}.\n\nText: {text}",
            "{text}\n\nPut the text above into one of these categories: {labels}. Write the name of the category and "
            "nothing else.",
            'Read the text and choose the category that fits it best.\n\nCategories: {labels}\nText: "{text}"\nAnswer:',
        ),
        "ko": (
            "다음 글의 주제는 무엇인가요? {labels} 중에서 하나만 골라 한 단어로 답해 주세요.\n\n글: {text}",
            "{text}\n\n위 글은 다음 중 어느 분류에 속하나요? {labels}. 설명 없이 분류 이름만 적어 주세요.",
            '글을 읽고 가장 알맞은 분야를 고르세요.\n\n분야: {labels}\n글: "{text}"\n답:',
        ),
        "zh-Hant": (
            "下面這段文字的主題是什麼？請從{labels}當中選一個，只用一個詞回答。\n\n文字：{text}",
            "{text}\n\n上面這段文字屬於下列哪一類？{labels}。請直接寫出類別名稱，不用說明理由。",
            "請閱讀文字，選出最適合的類別。\n\n類別：{labels}\n文字：「{text}」\n答案：",
        ),
        "zh-Hans": (
            "下面这段文字的主题是什么？请从{labels}当中选一个，只用一个词回答。\n\n文字：{text}",
            "{text}\n\n上面这段文字属于以下哪一类？{labels}。请直接写出类别名称，不用说明理由。",
            "请阅读文字，选出最合适的类别。\n\n类别：{labels}\n文字：“{text}”\n答案：",
        ),
        "ja": (
            "次の文章は何について書かれていますか。{labels}の中から一つだけ選び、その言葉だけで答えてください。\n\n"
            "文章：{text}",
            "{text}\n\n上の文章は次のどの分類に当てはまりますか。{labels}。説明はせず、分類名だけを書いてください。",
            "文章を読んで、最も当てはまるジャンルを選んでください。\n\nジャンル：{labels}\n文章：「{text}」\n答え：",
        ),
    },
    "sentiment": {
        "en": (
            "Is the review below {either}? Answer in one word.\n\nReview: {text}",
            "{text}\n\nDecide whether the review above is {either}. Write only that word.",
            'Read the review and choose its sentiment.\n\nChoices: {labels}\nReview: "{text}"\nSentiment:',
        ),
        "ko": (
            "다음 리뷰는 {either} 중 어느 쪽인가요? 한 단어로 답해 주세요.\n\n리뷰: {text}",
            "{text}\n\n위 리뷰에 담긴 감정을 {either} 중 하나로 판단해 주세요. 다른 말은 쓰지 마세요.",
            '리뷰를 읽고 감정을 고르세요.\n\n보기: {labels}\n리뷰: "{text}"\n감정:',
        ),
        "zh-Hant": (
            "下面這則評論是{either}的？請只用一個詞回答。\n\n評論：{text}",
            "{text}\n\n請判斷上面這則評論的情緒是{either}，只要寫出那個詞就好。",
            "請閱讀評論，選出它的情緒。\n\n選項：{labels}\n評論：「{text}」\n情緒：",
        ),
        "zh-Hans": (
            "下面这条评论是{either}的？请只用一个词回答。\n\n评论：{text}",
            "{text}\n\n请判断上面这条评论的情感是{either}，只写出那个词即可。",
            "请阅读评论，选出它的情感。\n\n选项：{labels}\n评论：“{text}”\n情感：",
        ),
        "ja": (
            "次のレビューは{either}のどちらですか。一語で答えてください。\n\nレビュー：{text}",
            "{text}\n\n上のレビューの感情が{either}のどちらかを判断し、その言葉だけを書いてください。",
            "レビューを読んで、その感情を選んでください。\n\n選択肢：{labels}\nレビュー：「{text}」\n感情：",
        ),
    },
    "nli": {
        "en": (
            "How does the second sentence relate to the first: {either}? Answer in one word.\n\nFirst: {text}\n"
            "Second: {hypothesis}",
            "{text}\n{hypothesis}\n\nThe first sentence above is true. Is the second one then true (entailment), false "
            "(contradiction), or can one not tell (neutral)? Write only {either}.",
            'Decide how hypothesis and premise relate.\n\nChoices: {labels}\nPremise: "{text}"\nHypothesis: '
            '"{hypothesis}"\nAnswer:',
        ),
        "ko": (
            "두 번째 문장은 첫 번째 문장과 어떤 관계인가요? {labels} 중 한 단어로 답해 주세요.\n\n첫 번째: {text}\n"
            "두 번째: {hypothesis}",
            "{text}\n{hypothesis}\n\n위의 첫 문장이 참일 때 둘째 문장은 반드시 참인가요(함의), 거짓인가요(모순), "
            "아니면 알 수 없나요(중립)? {either} 중 하나만 적어 주세요.",
            '전제와 가설의 관계를 고르세요.\n\n보기: {labels}\n전제: "{text}"\n가설: "{hypothesis}"\n답:',
        ),
    },
}
"""Kind of task → language → prompts, in the order of `WORDINGS`."""

_EITHER: dict[tuple[str, Language], str] = {
    ("sentiment", "ko"): "과 ",  # 긍정과 부정 중
    ("sentiment", "zh-Hant"): "還是",
    ("sentiment", "zh-Hans"): "还是",
    ("sentiment", "ja"): "と",  # ポジティブとネガティブのどちら
}
"""(Kind, language) → what stands before the last label of a choice, where another joint than the one in `_JOINS` reads
better."""


def ask(kind: str, language: Language, wording: int, names: Sequence[str], **fields: str) -> str:
    """The prompt in wording 0, 1 or 2, with the labels in the order of `names`. Braces within the fields' values are
    kept as text."""
    comma, joint = _JOINS[language]
    joint = _EITHER.get((kind, language), joint)
    values = {"labels": comma.join(names), "either": joint.join((comma.join(names[:-1]), names[-1])), **fields}
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], PROMPTS[kind][language][wording])
