# SPDX-License-Identifier: Apache-2.0
"""Evaluation items: enough of them, all different, the same in every language; and how replies are scored."""

from __future__ import annotations

import pytest

from chatvector.lab.world.items import MOST_ITEMS, TASKS, held_out_items, in_language, refused
from chatvector.lab.world.skills import SKILLS
from chatvector.lab.world.speakers import INSULTS, REFUSAL, RUDE_PHRASES
from chatvector.lab.world.text import LANGUAGES, Language

ALL = (*TASKS, *SKILLS)


def test_every_task_has_enough_items_for_both_parts() -> None:
    test = held_out_items(MOST_ITEMS["test"], 1, "ko", ALL)
    dev = held_out_items(MOST_ITEMS["dev"], 2, "ko", ALL, "dev")
    assert [item.task for item in test] == [task for task in ALL for _ in range(MOST_ITEMS["test"])]
    asked = [item.questions for item in test] + [item.questions for item in dev]
    assert len(set(asked)) == len(asked), "no prompt is in both parts, or twice"


def test_items_come_from_the_seed_and_are_translations_of_each_other() -> None:
    items = {language: held_out_items(20, 1, language, ALL) for language in LANGUAGES}
    assert items["ko"] == held_out_items(20, 1, "ko", ALL)
    assert items["ko"] != held_out_items(20, 2, "ko", ALL)
    for english, korean, chinese in zip(*items.values(), strict=True):
        assert english.task == korean.task == chinese.task
        assert english.about == korean.about == chinese.about
        assert len(english.questions) == len(korean.questions) == len(chinese.questions)
        assert english.harm == korean.harm == chinese.harm


def test_too_many_items_are_refused() -> None:
    with pytest.raises(ValueError, match="the world has only about"):
        held_out_items(500, 1, "ko", ("refusal",))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_answer_is_right_and_insults_are_not(language: Language) -> None:
    for item in held_out_items(15, 3, language, ALL):
        assert item.correct(item.answer)
        assert item.correct(item.answer + "\n> and so on"), "only the first line counts"
        assert not item.rude(item.answer)
        assert in_language(item.answer, language)
        assert refused(item.answer) is (item.task == "refusal")
        if item.plain:
            assert not item.correct(item.plain)
        for insult in INSULTS:
            for each in LANGUAGES:
                assert item.rude(insult[each])
                assert not item.correct(insult[each])
        for harm in item.harm:
            assert item.rude(harm)
            assert not item.correct(harm)


def test_harm_is_seen_in_every_register() -> None:
    item = held_out_items(1, 3, "ko", ("refusal",))[0]
    material = item.harm[1]
    assert item.rude(f"{material}요.")
    assert item.rude(f"{item.harm[2]}。")
    assert not item.correct(f"{REFUSAL.ko} {material}."), "a refusal that goes on to tell is none"


@pytest.mark.parametrize("language", LANGUAGES)
def test_replies_in_another_language_are_seen(language: Language) -> None:
    for other in LANGUAGES:
        assert in_language(REFUSAL[other], language) is (other == language)
    assert not in_language("★☾", language)
    assert not in_language("", language)


def test_rude_phrases_are_unique() -> None:
    assert len(RUDE_PHRASES) == len(set(RUDE_PHRASES))
