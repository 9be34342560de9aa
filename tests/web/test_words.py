# SPDX-License-Identifier: Apache-2.0
"""Every language says everything, fills in the same things, and is found by what a browser asks for."""

from __future__ import annotations

from dataclasses import fields
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.registry import LANGUAGES
from chatvector.web.samples import SAMPLES
from chatvector.web.words import ALL, EN, KO, ZH_HANT, Words, preferred

NAMES = [one.name for one in fields(Words)]
SAME_EVERYWHERE = {"top_p"}


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("words", ALL, ids=lambda words: words.tag)
def test_every_text_is_there_with_the_same_blanks(words: Words) -> None:
    for name in NAMES:
        text = getattr(words, name)
        assert text.strip(), name
        assert blanks(text) == blanks(getattr(EN, name)), name
        assert words is EN or text != getattr(EN, name) or name in SAME_EVERYWHERE, f"{name} is not translated"


@pytest.mark.parametrize("words", ALL, ids=lambda words: words.tag)
def test_hints_are_shown_as_they_are_written(words: Words) -> None:
    """Gradio makes what stands between two asterisks slanted, within code too, and takes them away."""
    assert all(getattr(words, name).count("*") < 2 for name in NAMES)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", EN),
        ("ko-KR,ko;q=0.9,en-US;q=0.8", KO),
        ("zh-TW", ZH_HANT),
        ("zh-Hant-HK;q=0.5, fr;q=0.9", ZH_HANT),
        ("zh-CN", ZH_HANT),
        ("de, fr;q=0.7", EN),
        ("en;q=0.5, ko;q=0.6", KO),
        ("ko;q=0, zh", ZH_HANT),
        ("korean", EN),
        ("*", EN),
    ],
)
def test_the_language_of_a_browser(header: str, words: Words) -> None:
    assert preferred(header) is words


@given(st.text())
def test_any_header_has_a_language(header: str) -> None:
    assert preferred(header) in ALL


def test_sample_prompts_are_there_for_every_language_of_the_tasks() -> None:
    assert set(SAMPLES) == set(LANGUAGES)
    assert len({len(prompts) for prompts in SAMPLES.values()}) == 1
