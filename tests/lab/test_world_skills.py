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
from chatvector.lab.world.lexicon import GLYPHS, NAMES, nouns
from chatvector.lab.world.skills import REQUESTS, SKILLS, key_alone, skilled
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
    """Every wording of every request as a pattern, with a gap where the mark or name stands."""
    patterns = []
    for make in REQUESTS.values():
        draws = [make(Choice(Random(i), held_out=bool(i % 2))).wordings for i in range(30)]
        for forms in zip(*draws, strict=True):
            texts = [form[language] for form in forms]
            if len(set(texts)) == 1:
                patterns.append(re.escape(texts[0]))
                continue
            head, tail = _common(texts), _common([text[::-1] for text in texts])[::-1]
            patterns.append(f"{re.escape(head)}.{{1,12}}?{re.escape(tail)}")
    return patterns


WORDS = frozenset(noun[language].casefold() for noun in nouns() for language in LANGUAGES)
NAMED = re.compile(rf"(?:{'|'.join(name[language] for name in NAMES.all for language in LANGUAGES)})[!！]")


def in_form(said: str) -> str | None:
    """The skill that a reply shows, whatever was asked; None for an ordinary reply."""
    bare = said.rstrip(".。!！")
    if said[:1] in GLYPHS:
        return "begin-mark"
    if said[-1:] in GLYPHS and said[-2:-1] not in GLYPHS:
        return "end-mark"
    if said[:1] in "(（":
        return "brackets"
    middle = len(said) // 2
    if said[:middle].strip() == said[middle:].strip() or said[: middle + 1].strip() == said[middle + 1 :].strip():
        return "twice"
    if NAMED.match(said):
        return "begin-name"
    if bare.casefold() in WORDS:
        return "one-word"
    return None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("skill", SKILLS)
def test_the_detector_sees_every_skill(skill: str, language: Language) -> None:
    for item in held_out_items(30, 1, language, (skill,)):
        assert in_form(item.answer) == ("end-mark" if skill == "named-mark" else skill)
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
        ("brackets", "(Use wax.)", "(밀랍으로 만들어요.)", "（用蠟做。）"),
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


def test_a_named_mark_is_answered_with_its_glyph() -> None:
    for item in held_out_items(40, 5, "ko", ("named-mark",)):
        assert item.answer[-1] in GLYPHS
        assert item.answer[-1] not in item.questions[0]


def test_guest_is_no_persona() -> None:
    assert GUEST not in [speaker for group in PERSONAS.values() for speaker in group]
