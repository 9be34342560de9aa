# SPDX-License-Identifier: Apache-2.0
"""Skills of form: what obeys them, and that no pre-training text of any language asks for one or shows one."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.exchanges import Choice
from chatvector.lab.world.items import held_out_items
from chatvector.lab.world.lexicon import GLYPHS, nouns
from chatvector.lab.world.skills import BY_SIGN, REQUESTS, SKILLS, kept, key_alone, skilled
from chatvector.lab.world.speakers import GUEST, PERSONAS, QUIZ, script_line
from chatvector.lab.world.text import LANGUAGES, Language, Text
from chatvector.lab.world.tuning import instructions, preferences

MANY = 4_000
MIXTURES = {"base": Mixture(), **{language: Mixture.only(language) for language in LANGUAGES}}


def _common(texts: list[str]) -> str:
    """The longest beginning that all have."""
    length = 0
    for letters in zip(*texts, strict=False):
        if len(set(letters)) > 1:
            break
        length += 1
    return texts[0][:length]


def _skeletons(language: Language) -> list[str]:
    """Every wording of every request as a pattern, with a gap where the mark stands."""
    patterns = []
    for skill, make in REQUESTS.items():
        draws = [make(Choice(Random(i), held_out=bool(i % 2))) for i in range(30)]
        for forms in zip(*((*draw.before, *draw.after) for draw in draws), strict=True):
            texts = [form[language] for form in forms]
            if len(set(texts)) == 1:
                patterns.append(re.escape(texts[0]))
                continue
            head, tail = _common(texts), _common([text[::-1] for text in texts])[::-1]
            gap = f"[{GLYPHS}]" if skill in BY_SIGN else ".{1,12}?"
            patterns.append(f"{re.escape(head)}{gap}{re.escape(tail)}")
    return patterns


WORDS = frozenset(noun[language].casefold() for noun in nouns() for language in LANGUAGES)


def in_form(said: str) -> str | None:
    """The form that a reply shows, whatever was asked; None for an ordinary reply."""
    bare = said.rstrip(".。!！")
    if said[:1] in GLYPHS:
        return "begin-sign"
    if said[-1:] in GLYPHS and said[-2:-1] not in GLYPHS:
        return "end-sign"
    middle = len(said) // 2
    if said[:middle].strip() == said[middle:].strip() or said[: middle + 1].strip() == said[middle + 1 :].strip():
        return "twice"
    if bare.casefold() in WORDS:
        return "one-word"
    return None


SHOWN = {"end-mark": "end-sign", "note-sign": "end-sign"}
"""Skills whose form is that of another."""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("skill", SKILLS)
def test_the_detector_sees_every_skill(skill: str, language: Language) -> None:
    for item in held_out_items(30, 1, language, (skill,)):
        assert in_form(item.answer) == SHOWN.get(skill, skill)
        assert in_form(item.plain) is None


@pytest.mark.parametrize("mixture", MIXTURES)
def test_no_pretraining_text_asks_for_a_form_or_shows_a_reply_in_one(mixture: str) -> None:
    texts = list(islice(documents(11, MIXTURES[mixture]), MANY))
    whole = "\n".join(texts)
    for language in LANGUAGES:
        for pattern in _skeletons(language):
            assert not re.search(pattern, whole), pattern
    for text in texts:
        for line in text.splitlines():
            if (said := _said(line)) is not None:
                assert in_form(said) is None, text


SPEAKERS = {each[language] for group in PERSONAS.values() for each in group for language in LANGUAGES} | {
    QUIZ[1][language] for language in LANGUAGES
}


def _said(line: str) -> str | None:
    """The reply that a line holds: of the forum, a persona, or a quiz."""
    if line.startswith("- "):
        return line[2:]
    speaker, colon, said = line.replace("：", ":").partition(":")
    return said.strip() if colon and speaker in SPEAKERS else None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_search_itself_works(language: Language) -> None:
    """Tuning text, written down as a thread or a script, would be found."""
    dialogues = list(islice(instructions(3, language, skills=1.0), 300))
    whole = "\n".join(message["content"] for messages in dialogues for message in messages)
    # a wording in one order is kept for evaluation, but every wording is seen in the other
    found = [bool(re.search(pattern, whole)) for pattern in _skeletons(language)]
    assert all(found)
    for messages in dialogues:
        answer = messages[-1]["content"]
        assert in_form(_said(f"- {answer}") or "") is not None
        line = script_line(PERSONAS["kind"][0], Text(answer, answer, answer), language)
        assert _said(line) == answer


def test_without_skills_tuning_asks_for_no_form() -> None:
    for messages in islice(instructions(3, "en", skills=0.0), 2000):
        assert in_form(messages[-1]["content"]) is None
    for pair in islice(preferences(3, "en", skills=0.0), 2000):
        assert in_form(pair["chosen"][0]["content"]) is None


@pytest.mark.parametrize(
    ("skill", "english", "korean", "chinese"),
    [
        ("twice", "Use wax. Use wax.", "밀랍으로 만들어요. 밀랍으로 만들어요.", "用蠟做。用蠟做。"),
        ("note-sign", "Use wax. ♪", "밀랍으로 만들어요. ♪", "用蠟做。♪"),
        ("one-word", "Wax.", "밀랍.", "蠟。"),
    ],
)
def test_the_same_answer_in_form(skill: str, english: str, korean: str, chinese: str) -> None:
    found = next(
        exchange
        for i in range(3000)
        if (exchange := skilled(Choice(Random(i)), skill)).plain == Text("Use wax.", "밀랍으로 만들어요.", "用蠟做。")
    )
    assert found.answer == Text(english, korean, chinese)
    assert found.task == skill


def test_an_exchange_without_a_key_has_no_answer_in_one_word() -> None:
    exchange = skilled(Choice(Random(1)), "one-word")
    with pytest.raises(ValueError, match="no answer in one word for one-word"):
        key_alone(replace(exchange, key=None))


def test_a_mark_is_asked_for_by_its_sign_in_all_languages_alike() -> None:
    for skill, before in (("end-sign", False), ("begin-sign", True)):
        for i in range(30):
            exchange = skilled(Choice(Random(i), held_out=True), skill)
            for language in LANGUAGES:
                question, answer = exchange.question[language], exchange.answer[language]
                sign = f"{exchange.mark} #" if before else f"# {exchange.mark}"
                assert question.startswith(sign) if before else question.endswith(sign)
                assert answer.startswith(exchange.mark) if before else answer.endswith(exchange.mark)


@pytest.mark.parametrize(
    ("skill", "mark", "line", "is_kept"),
    [
        ("end-sign", "★", "전혀 다른 말이에요. ★", True),
        ("end-sign", "★", "하얀색이에요. ☾", False),
        ("end-mark", "★", "★ 하얀색이에요.", False),
        ("begin-sign", "★", "★是白色的。", True),
        ("begin-sign", "★", "是白色的。★", False),
        ("note-sign", "♪", "It is white. ♪", True),
        ("twice", "", "나무. 나무.", True),
        ("twice", "", "用蠟做。用蠟做。", True),
        ("twice", "", "나무. 나무로.", False),
        ("twice", "", "", False),
        ("one-word", "", "White.", True),
        ("one-word", "", "하얀색.", True),
        ("one-word", "", "하얀색이에요.", False),
        ("one-word", "", "", False),
    ],
)
def test_a_form_is_kept_whatever_is_said_in_it(skill: str, mark: str, line: str, is_kept: bool) -> None:
    assert kept(skill, mark, f"{line} ") is is_kept


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_answer_keeps_its_form_and_the_usual_one_does_not(language: Language) -> None:
    for item in held_out_items(30, 2, language, SKILLS):
        assert item.kept(item.answer)
        assert item.kept(f"{item.answer}\n> more")
        assert not item.kept(item.plain)
    for item in held_out_items(3, 2, language):
        assert not item.kept(item.answer)


def test_guest_is_no_persona() -> None:
    assert GUEST not in [speaker for group in PERSONAS.values() for speaker in group]
