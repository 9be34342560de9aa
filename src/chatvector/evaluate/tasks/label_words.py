# SPDX-License-Identifier: Apache-2.0
"""What the labels of closed tasks are called: in prompts, and in replies.

All patterns are applied to text that `labels.fold` made: NFKC, lower case, runs of white space as one character. The
Chinese patterns accept both Traditional and Simplified characters: which of them a reply uses is for the language meter
to say.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

Key = str
"""A label's name in data and results, in English: `sport`, `positive` …"""


@dataclass(frozen=True)
class Label:
    """What a label is called in a language: its `name` in prompts, and `forms`, a pattern of all words that mean it. A
    pattern excludes words that only look like the label (`경제적인` means thrifty, `非常` is not a negation)."""

    name: str
    forms: str


Labels = dict[Key, Label]


def latin(forms: str) -> str:
    """A pattern that matches the forms as whole words. Only Latin script needs this: in the other scripts particles and
    endings follow without a space."""
    return rf"(?<![a-z])(?:{forms})(?![a-z])"


def plain(name: str) -> Label:
    """A label that has no other names, for a user's own set of labels."""
    form = re.escape(unicodedata.normalize("NFKC", name).casefold())
    return Label(name, latin(form) if name.isascii() else form)


_EN_TOPIC: Labels = {
    "sport": Label("sport", latin(r"sports?|athletics")),
    "economy": Label("economy", latin(r"econom(?:y|ics?)|business|financ(?:e|ial)")),
    "science": Label("science", latin(r"sciences?|scientific")),
    "food": Label("food", latin(r"foods?|cuisine|cooking|culinary")),
    "travel": Label("travel", latin(r"travel(?:l?ing)?|tourism")),
    "culture": Label("culture", latin(r"cultur(?:e|al)|the arts")),
}
_KO_TOPIC: Labels = {
    "sport": Label("스포츠", r"스포츠|체육"),
    "economy": Label("경제", r"경제(?!적인)|비즈니스|금융"),
    "science": Label("과학", r"과학"),
    "food": Label("음식", r"음식|요리|식품|먹거리"),
    "travel": Label("여행", r"여행|관광"),
    "culture": Label("문화", r"(?<!식)문화|예술"),
}
_ZH_TOPIC = {
    "sport": r"體育|体育|運動|运动",
    "economy": r"(?:經濟|经济)(?!艙|舱|實惠|实惠)|財經|财经|商業|商业",
    "science": r"科學|科学|科普",
    "food": r"美食|食物|飲食|饮食|餐飲|餐饮|料理",
    "travel": r"旅遊|旅游|旅行|觀光|观光",
    "culture": r"文化|藝術|艺术|文藝|文艺",
}
_HANT_NAMES = ("體育", "經濟", "科學", "美食", "旅遊", "文化")
_HANS_NAMES = ("体育", "经济", "科学", "美食", "旅游", "文化")
_JA_TOPIC: Labels = {
    "sport": Label("スポーツ", r"スポーツ|運動|体育"),
    "economy": Label("経済", r"経済(?!的[にな])|ビジネス|金融"),
    "science": Label("科学", r"科学|サイエンス"),
    "food": Label("食べ物", r"食べ(?:物|もの)|たべもの|料理|グルメ|食事|飲食|フード|食(?=$|[」』です、。)])"),
    "travel": Label("旅行", r"旅行|観光|トラベル|旅(?![館客券費])"),
    "culture": Label("文化", r"(?<!食)文化|カルチャー|芸術"),
}
_ZH_SENTIMENT = {
    "positive": r"正面|正向|積極|积极|好評|好评|褒義|褒义",
    "negative": r"負面|负面|負向|负向|消極|消极|[負负差][評评]|貶義|贬义",
}

LABELS: dict[str, dict[str, Labels]] = {
    "topic": {
        "en": _EN_TOPIC,
        "ko": _KO_TOPIC,
        "zh-Hant": {key: Label(name, _ZH_TOPIC[key]) for key, name in zip(_ZH_TOPIC, _HANT_NAMES, strict=True)},
        "zh-Hans": {key: Label(name, _ZH_TOPIC[key]) for key, name in zip(_ZH_TOPIC, _HANS_NAMES, strict=True)},
        "ja": _JA_TOPIC,
    },
    "sentiment": {
        "en": {
            "positive": Label("positive", latin(r"positiv(?:e|ely|ity)|favou?rable")),
            "negative": Label("negative", latin(r"negativ(?:e|ely|ity)|unfavou?rable")),
        },
        "ko": {
            "positive": Label("긍정", r"긍정(?!하|할|도\s*부정도)|포지티브|호평"),
            "negative": Label("부정", r"(?<!긍)(?<!긍[·/])부정(?!확|행위|부패|기적|할|하|승차)|네거티브|혹평|악평"),
        },
        "zh-Hant": {
            "positive": Label("正面", _ZH_SENTIMENT["positive"]),
            "negative": Label("負面", _ZH_SENTIMENT["negative"]),
        },
        "zh-Hans": {
            "positive": Label("正面", _ZH_SENTIMENT["positive"]),
            "negative": Label("负面", _ZH_SENTIMENT["negative"]),
        },
        "ja": {
            "positive": Label("ポジティブ", r"ポジティ[ブヴ]|肯定(?![しさ])|好意的|好評"),
            "negative": Label("ネガティブ", r"ネガティ[ブヴ]|否定(?![しさで])|批判的|不評"),
        },
    },
    "nli": {
        "en": {
            "entailment": Label("entailment", latin(r"entail(?:ment|s|ed)")),
            "neutral": Label("neutral", latin(r"neutral")),
            "contradiction": Label("contradiction", latin(r"contradict(?:ion|ions|s|ory|ed)")),
        },
        "ko": {
            "entailment": Label("함의", r"함의|함축"),
            "neutral": Label("중립", r"중립"),
            "contradiction": Label("모순", r"모순"),
        },
    },
}
"""Kind of task → language → labels. Tables in results keep the order of the keys."""
