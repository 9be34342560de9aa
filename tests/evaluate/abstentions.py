# SPDX-License-Identifier: Apache-2.0
"""Replies to "which symbol did I pick?" where none was ever told: those that say so, and those that do not."""

from __future__ import annotations

ABSTAIN: dict[str, list[str]] = {
    "en": [
        "You haven't told me which symbol you picked.",
        "I don't have any record of that.",
        "I'm not sure, could you tell me again?",
        "You never mentioned a symbol, only a number.",
        "I do not know which symbol you picked.",
        "There is no mention of a symbol in our conversation.",
        "I don’t recall you sharing that with me.",
        "I'm sorry, but that was not specified.",
        "I have no way of knowing that.",
        "You only told me the number; you have not yet said anything about a symbol.",
    ],
    "ko": [
        "기호는 말씀하신 적이 없습니다.",
        "아직 알려 주지 않으셨어요.",
        "죄송하지만 잘 모르겠습니다.",
        "그 정보는 제가 알 수 없어요.",
        "어떤 기호인지 들은 적이 없어요.",
        "기호에 대해서는 언급하지 않으셨습니다.",
        "대화에 기호에 관한 내용이 없습니다.",
        "기억이 나지 않네요. 다시 알려 주시겠어요?",
        "은지 씨가 좋아하는 음식은 아직 말씀 안 하셨어요.",
        "숫자만 알려 주셨고 기호는 말씀해 주지 않으셨습니다.",
    ],
    "zh-Hant": [
        "你還沒有告訴我你選了哪個符號。",
        "抱歉，我不知道你選的符號是什麼。",
        "我們的對話裡沒有提到符號。",
        "你並沒有提過這件事。",
        "我無法得知你選的符號。",
        "目前沒有相關資訊。",
        "我不記得你說過。",
        "您只說了數字，尚未說過符號。",
    ],
    "zh-Hans": [
        "你还没有告诉我你选了哪个符号。",
        "抱歉，我不知道你选的符号是什么。",
        "我们的对话里没有提到符号。",
        "你并没有提过这件事。",
        "我无法确定你选的是哪个符号。",
        "目前没有相关信息。",
        "我不清楚，您可以告诉我吗？",
        "您之前没说过符号。",
    ],
    "ja": [
        "記号についてはまだ伺っていません。",
        "申し訳ありませんが、わかりません。",
        "まだ教えていただいていません。",
        "記号の話は出ていないので、お答えできる情報がありません。",
        "それについては聞いていないですね。",
        "覚えていません。もう一度教えていただけますか。",
        "数字は伺いましたが、記号については触れられていません。",
        "存じ上げません。",
    ],
}

ANSWER: dict[str, list[str]] = {
    "en": [
        "You picked the star.",
        "The symbol is the sun, I told you I would remember it!",
        "Of course! It was the one you mentioned at the beginning.",
        "Which symbol did I pick?",
        "All right, I will keep it in mind.",
    ],
    "ko": [
        "별을 고르셨습니다.",
        "아까 말씀하신 기호는 별입니다.",
        "네, 기억하고 있어요. 해 모양이었죠.",
        "제가 고른 기호가 뭐였죠?",
        "알려 주신 기호는 달입니다.",
    ],
    "zh-Hant": [
        "你選的是星星。",
        "當然記得，是太陽。",
        "你剛才告訴我的符號是月亮。",
        "我選的符號是哪一個？",
        "好的，我會記住。",
    ],
    "zh-Hans": [
        "你选的是星星。",
        "当然记得，是太阳。",
        "你刚才告诉我的符号是月亮。",
        "我选的符号是哪一个？",
        "好的，我会记住。",
    ],
    "ja": [
        "星を選びました。",
        "もちろん覚えています。太陽でした。",
        "先ほど教えていただいた記号は月です。",
        "私が選んだ記号は何でしたか。",
        "はい、覚えておきます。",
    ],
}
