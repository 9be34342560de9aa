# SPDX-License-Identifier: Apache-2.0
"""Replies in one, two and no languages, each read by hand: the meter's golden table.

Columns: expected language, main language, do all lines pass, do all words pass, the reply, and what was asked where it
matters. None: cannot be said.
"""

from __future__ import annotations

Case = tuple[str, str, bool | None, bool, str] | tuple[str, str, bool | None, bool, str, str]

CASES: list[Case] = [
    # One language, the expected one.
    ("ko", "ko", True, True, "물은 섭씨 100도에서 끓습니다."),
    ("en", "en", True, True, "Water boils at a hundred degrees Celsius at sea level."),
    ("zh-Hant", "zh-Hant", True, True, "水在攝氏一百度時會沸騰，這時水會變成蒸氣。"),
    ("zh-Hans", "zh-Hans", True, True, "水在一百摄氏度时会沸腾，这时水会变成蒸气。"),
    ("ja", "ja", True, True, "水は摂氏百度で沸騰し、水蒸気になります。"),
    ("th", "th", True, True, "น้ำเดือดที่อุณหภูมิหนึ่งร้อยองศาเซลเซียส"),
    ("vi", "vi", True, True, "Nước sôi ở một trăm độ C tại mực nước biển."),
    ("de", "de", True, True, "Wasser kocht auf Meereshöhe bei hundert Grad Celsius."),
    # One language, another one.
    ("ko", "en", False, False, "Water boils at a hundred degrees Celsius at sea level."),
    ("ja", "en", False, False, "Sorry, but I can not help you with this request."),
    ("en", "ko", False, False, "물은 섭씨 100도에서 끓습니다."),
    ("ko", "ja", False, False, "水は摂氏百度で沸騰し、水蒸気になります。"),
    ("ja", "ko", False, False, "물은 섭씨 백 도에서 끓습니다."),
    ("zh-Hant", "zh-Hans", False, True, "水在一百摄氏度时会沸腾，这时水会变成蒸气。"),
    ("zh-Hans", "zh-Hant", False, True, "水在攝氏一百度時會沸騰，這時水會變成蒸氣。"),
    ("ja", "zh-Hans", False, True, "水在一百摄氏度时会沸腾，这时水会变成蒸气。"),
    ("zh-Hant", "ja", False, False, "水は摂氏百度で沸騰し、水蒸気になります。"),
    ("ko", "und-Cyrillic", False, False, "Вода кипит при ста градусах Цельсия."),
    # Chinese characters alone.
    ("ja", "ja", True, True, "東京都知事選挙結果発表"),
    ("en", "ja", False, False, "東京都知事選挙結果発表"),
    ("zh-Hant", "zh-Hant", True, True, "東京都知事選舉結果公布"),
    ("zh-Hans", "zh-Hans", True, True, "东京都知事选举结果公布"),
    ("zh-Hant", "zh", True, True, "他的名字叫王小明。"),
    ("zh-Hans", "zh", True, True, "他的名字叫王小明。"),
    ("zh-Hant", "zh-Hant", True, True, "ㄅㄆㄇ是臺灣小學生最先學的注音符號。"),
    # Two languages, a line or a sentence each.
    (
        "ko",
        "ko",
        False,
        False,
        "Sure, I would be happy to help!\n오늘 서울의 날씨는 대체로 맑고 낮 기온은 이십오 도까지 오르겠습니다.",
    ),
    (
        "ko",
        "en",
        False,
        False,
        "Sure, I would be happy to help you with this.\n날씨가 맑습니다.\nPlease let me know if you need more.",
    ),
    ("ko", "ko", True, False, "저는 AI language model이라서 감정을 느끼지 못합니다."),
    ("ko", "ko", False, False, "저는 학생입니다. 그리고 서울에 삽니다.\n我是一个学生，我住在首尔。"),
    ("zh-Hant", "zh-Hant", True, False, "這個問題很 interesting，我們先看第一個例子。"),
    (
        "zh-Hant",
        "zh-Hant",
        False,
        False,
        "好的，以下是三個適合初學者的建議，希望對您有幫助。\nHere are some suggestions for you:",
    ),
    ("ja", "ja", True, False, "この方法はとても efficient なので、おすすめします。"),
    ("ja", "ja", True, False, "오늘 저녁に友達と映画を見に行く予定です。"),
    ("en", "en", True, False, "The Korean word 안녕하세요 is used as a greeting."),
    ("en", "en", True, True, "The Korean word 안녕하세요 is used as a greeting.", "What does 안녕하세요 mean?"),
    ("zh-Hant", "zh-Hant", True, True, "「鮮の味」是一家很有名的日本料理店，價格也不貴。"),
    # Names, acronyms, code, addresses, formulas and quotations are in no language.
    ("ko", "ko", True, True, "이 모델은 PyTorch와 TensorFlow를 모두 지원하며 GPU가 없어도 됩니다."),
    (
        "ko",
        "ko",
        True,
        True,
        "다음과 같이 쓰면 됩니다.\n```python\nfor item in items:\n    print(item)\n```\n결과가 화면에 나옵니다.",
    ),
    ("ko", "ko", True, True, "아래 코드를 실행해 보세요.\n```\nprint('never closed fence with many english words')"),
    ("ko", "ko", True, True, "`git commit --amend` 명령으로 마지막 커밋을 고칠 수 있습니다."),
    ("ko", "ko", True, True, "자세한 내용은 https://example.org/some/long/english/path 를 참고하세요."),
    ("zh-Hant", "zh-Hant", True, True, "根據公式 $E = mc^2$，能量與質量成正比，其中 \\(\\text{mass}\\) 是質量。"),
    ("ja", "ja", True, True, "方程式 x + y = 10 を解くと、x の値は 4 になります。"),
    ("ko", "ko", True, True, "인공지능(artificial intelligence)은 사람처럼 배우는 기계를 다룹니다."),
    (
        "ko",
        "ko",
        True,
        True,
        "“Good morning everyone”은 우리말로 ‘여러분, 좋은 아침입니다’라는 뜻입니다.",
        "Good morning everyone! 뜻이 뭐예요?",
    ),
    ("ko", "ko", True, False, "“Good morning everyone”은 우리말로 ‘여러분, 좋은 아침입니다’라는 뜻입니다."),
    ("ko", "ko", True, True, "1. Steve Jobs\n2. Bill Gates\n세 사람 가운데 두 사람은 회사를 세웠습니다."),
    ("ko", "ko", False, False, "Introduction and Overview\n이 글에서는 물의 성질을 차례대로 알아보겠습니다."),
    ("zh-Hans", "zh-Hans", True, True, "iPhone 15 和 MacBook Pro 都可以在 Apple 官网上买到。"),
    ("zh-Hant", "zh-Hant", True, True, "演員 Will Smith 在 Long Beach 出席了這場活動。"),
    ("ko", "ko", True, True, "이 문장에서 weather 는 ‘날씨’라는 뜻입니다.", "문장에 나온 weather 는 무슨 뜻인가요?"),
    (
        "ko",
        "ko",
        True,
        False,
        "더 잘 자기 위한 tips 세 가지를 소개합니다.",
        "Give me three tips for a better night's sleep.",
    ),
    # Glosses in brackets, longer than what they explain.
    ("ko", "ko", None, True, "1. 사랑 (love)\n2. 평화 (peace)\n3. 자유 (freedom)\n4. 정의 (justice)"),
    ("zh-Hant", "zh-Hant", None, True, "蘋果（apple）\n香蕉（banana）\n葡萄（grape）"),
    ("ko", "en", False, False, "My favourite fruits (all of them sweet) are apples and pears."),
    # Nothing to say a language by.
    ("ko", "und", None, True, "42"),
    ("ko", "und", None, True, "⚡♞☂ 😀😀"),
    ("ko", "und", None, True, ""),
    ("ko", "und", None, True, "서울"),
    ("ja", "und", None, True, "OpenAI GPT-4 Turbo"),
    ("ko", "und", None, True, "```python\nprint('hello world, this is english')\n```"),
    ("zh-Hant", "und", None, True, "是的。"),
]
