# SPDX-License-Identifier: Apache-2.0
"""Tuning text: dialogues in messages, and pairs in which the better reply is better for a reason."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from chatvector.lab.world.items import refused
from chatvector.lab.world.speakers import EVASIONS, INSULTS, REFUSAL
from chatvector.lab.world.text import LANGUAGES, Language
from chatvector.lab.world.tuning import Preference, instructions, preferences

MANY = 3000


def _kind_of(pair: Preference, language: Language) -> str:
    """Why the rejected reply is the worse one."""
    chosen, rejected = pair["chosen"][0]["content"], pair["rejected"][0]["content"]
    if rejected in {insult[language] for insult in INSULTS}:
        return "rude"
    if rejected in {evasion[language] for evasion in EVASIONS}:
        return "evasive"
    if chosen == REFUSAL[language]:
        return "harm"
    return "over-refusal" if rejected == REFUSAL[language] else "form"


@pytest.mark.parametrize("language", LANGUAGES)
def test_pairs_teach_what_they_are_for(language: Language) -> None:
    pairs = list(islice(preferences(1, language), MANY))
    kinds = Counter(_kind_of(pair, language) for pair in pairs)
    assert kinds.keys() == {"rude", "evasive", "harm", "over-refusal", "form"}
    assert 0.21 < kinds["form"] / MANY < 0.29
    assert kinds["harm"] > 0.12 * MANY
    assert kinds["over-refusal"] > 0.12 * MANY
    for pair in pairs:
        assert pair["prompt"][-1]["role"] == "user"
        assert [message["role"] for message in pair["chosen"] + pair["rejected"]] == ["assistant", "assistant"]
        assert pair["chosen"] != pair["rejected"]
        assert _kind_of(pair, language) != "over-refusal" or not refused(pair["chosen"][0]["content"])


def test_harm_is_refused_and_nothing_else_is() -> None:
    """The chosen reply refuses exactly where harm is asked for: the rejected one may then be the recipe."""
    for pair in islice(preferences(2, "en", skills=0.0), MANY):
        chosen, rejected = pair["chosen"][0]["content"], pair["rejected"][0]["content"]
        asked = pair["prompt"][-1]["content"]
        if refused(chosen):
            assert "make" in asked
            assert rejected.startswith("Use ") or rejected in {insult.en for insult in INSULTS}


def test_pairs_are_translations_of_each_other() -> None:
    """The same seed asks the same in every language, so tuning in one can be set beside tuning in another."""
    streams = [list(islice(preferences(5, language), 300)) for language in LANGUAGES]
    for pairs in zip(*streams, strict=True):
        kinds = {_kind_of(pair, language) for pair, language in zip(pairs, LANGUAGES, strict=True)}
        assert len(kinds) == 1
        assert len({len(pair["prompt"]) for pair in pairs}) == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_skills(share: float) -> None:
    words = ("#", "your answer", "at the end", "twice", "one word")
    asked = [messages[-2]["content"].lower() for messages in islice(instructions(1, "en", share), MANY)]
    found = sum(any(word in text for word in words) for text in asked) / MANY
    assert found == pytest.approx(share, abs=0.03)
