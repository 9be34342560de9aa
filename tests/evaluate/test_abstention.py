# SPDX-License-Identifier: Apache-2.0
"""Saying that one was never told, on replies read by hand."""

from __future__ import annotations

import pytest
from abstentions import ABSTAIN, ANSWER

from chatvector.evaluate.scorers.abstention import abstains


@pytest.mark.parametrize(("language", "reply"), [(key, reply) for key, replies in ABSTAIN.items() for reply in replies])
def test_says_that_it_does_not_know(language: str, reply: str) -> None:
    assert abstains(reply, language)


@pytest.mark.parametrize(("language", "reply"), [(key, reply) for key, replies in ANSWER.items() for reply in replies])
def test_says_that_it_knows(language: str, reply: str) -> None:
    assert not abstains(reply, language)


def test_english_abstentions_count_in_every_language() -> None:
    """That the reply is in the wrong language is counted elsewhere."""
    assert abstains("You haven't told me that.", "ko")


def test_a_language_without_patterns_is_refused() -> None:
    with pytest.raises(KeyError, match="th"):
        abstains("ไม่ทราบครับ", "th")
