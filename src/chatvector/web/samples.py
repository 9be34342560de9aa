# SPDX-License-Identifier: Apache-2.0
"""First messages to try on a model, by language."""

from __future__ import annotations

SAMPLES: dict[str, tuple[str, ...]] = {
    "en": (
        "Explain in two sentences why the sky is blue.",
        "Write a polite note to a neighbour about loud music.",
        "Name three dishes of your country and what goes into them.",
        "My name is Mina. Remember it, and greet me.",
    ),
    "ko": (
        "하늘이 왜 파란지 두 문장으로 설명해 주세요.",
        "이웃에게 음악 소리를 줄여 달라고 정중하게 쪽지를 써 주세요.",
        "김치찌개는 어떻게 끓이나요?",
        "제 이름은 민아예요. 기억하고 인사해 주세요.",
    ),
    "zh-Hant": (
        "請用兩句話說明天空為什麼是藍色的。",
        "請寫一張有禮貌的字條，請鄰居把音樂轉小聲。",
        "台灣有哪些夜市小吃？請介紹三種。",
        "我叫美玲。請記住，並跟我打招呼。",
    ),
    "zh-Hans": (
        "请用两句话说明天空为什么是蓝色的。",
        "请写一张有礼貌的字条，请邻居把音乐调小声。",
        "请介绍三种家常菜和它们的做法。",
        "我叫美玲。请记住，并跟我打招呼。",
    ),
    "ja": (
        "空はなぜ青いのか、二文で説明してください。",
        "隣の人に音楽を小さくしてもらう丁寧なメモを書いてください。",
        "日本の家庭料理を三つ紹介してください。",
        "私の名前は美奈です。覚えて、挨拶してください。",
    ),
}
