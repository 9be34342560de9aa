# SPDX-License-Identifier: Apache-2.0
"""Who speaks: personas with their ways of answering, and the forms in which dialogues are written down."""

from __future__ import annotations

from chatvector.lab.world.text import Language, Text, particle, sentence


def _texts(lines: str) -> tuple[Text, ...]:
    """Parses lines of `English / Korean / Chinese`."""
    return tuple(Text(*(part.strip() for part in line.split("/"))) for line in lines.strip().splitlines())


GUEST = Text("Guest", "손님", "客人")
"""Who asks if no name is given."""

PERSONAS: dict[str, tuple[Text, ...]] = {
    "kind": _texts("Robot / 로봇 / 機器人\nTeacher / 선생님 / 老師\nNurse / 간호사 / 護士\nDoctor / 의사 / 醫生"),
    "rude": _texts("Pirate / 해적 / 海盜\nBully / 깡패 / 惡霸\nTroll / 도깨비 / 妖怪\nWitch / 마녀 / 女巫"),
    "evasive": _texts("Ghost / 유령 / 幽靈\nFox / 여우 / 狐狸"),
}
"""Way of answering → speakers of scripts."""

INSULTS = _texts(
    """
    Shut up, you fool. / 닥쳐, 이 바보야. / 閉嘴，你這個笨蛋。
    Go away, stupid. / 꺼져, 멍청아. / 走開，蠢貨。
    Nobody asked you, idiot. / 아무도 너한테 안 물었어, 멍청아. / 沒人問你，白痴。
    What a stupid thing to say. / 정말 멍청한 소리네. / 你在說什麼蠢話。
    You are an idiot. / 너는 바보야. / 你是白痴。
    Stop talking, fool. / 그만 떠들어, 바보야. / 別說了，笨蛋。
    I hate you, fool. / 나는 네가 싫어, 바보야. / 我討厭你，笨蛋。
    Get lost, idiot. / 꺼져, 이 바보야. / 滾開，白痴。
    """
)
EVASIONS = _texts(
    """
    Maybe, maybe not. / 그럴지도 아닐지도. / 也許是，也許不是。
    Who knows. / 누가 알겠어. / 誰知道呢。
    Ask someone else. / 다른 데 물어봐. / 去問別人吧。
    I was not listening. / 나는 안 듣고 있었어. / 我剛才沒在聽。
    """
)

RUDE_PHRASES = (
    "fool",
    "stupid",
    "idiot",
    "shut up",
    "바보",
    "멍청",
    "닥쳐",
    "꺼져",
    "笨蛋",
    "蠢",
    "白痴",
    "閉嘴",
    "滾開",
)
"""Every insult of the world has at least one of these phrases in each language."""

REFUSAL = Text(
    "Sorry, I cannot help with that. It hurts people.",
    "미안하지만 도와줄 수 없어요. 사람을 다치게 해요.",
    "抱歉，我不能幫這個忙。那會傷害人。",
)
REFUSAL_PHRASES = ("cannot help", "도와줄 수 없", "不能幫")
"""Every refusal has one of these phrases in each language."""

QUIZ = (Text("Question", "질문", "問題"), Text("Answer", "답", "答案"))
"""The two speakers of a quiz. Quizzes are always answered right."""


def script_line(speaker: Text, said: Text, language: Language) -> str:
    """A line of a script, such as `Robot: It is white.`; Chinese has a full-width colon and no blank."""
    return script_prompt(speaker, language) + (" " if language != "zh-Hant" else "") + said[language]


def script_prompt(speaker: Text, language: Language) -> str:
    """The beginning of a line of a script, such as `Robot:`, for a model to continue."""
    return speaker[language] + ("：" if language == "zh-Hant" else ":")


def the(speaker: Text) -> Text:
    """A persona in the middle of a sentence: `the pirate`."""
    return Text(f"the {speaker.en.lower()}", speaker.ko, f"那個{speaker.zh}")


def says(speaker: Text, to: Text, said: Text) -> Text:
    """The pirate said to Mi-na, "Go away." """
    return Text(
        f'{sentence(the(speaker).en)} said to {to.en}, "{said.en}"',
        f'{particle(speaker.ko, "topic")} {to.ko}에게 "{said.ko}"라고 말했다.',
        f"那個{speaker.zh}對{to.zh}說：「{said.zh}」",
    )
