# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, and what pictures say, in every language of the page."""

from __future__ import annotations

from dataclasses import fields
from string import Formatter

import pytest

from chatvector.errors import (
    ChatVectorError,
    HubError,
    MissingExtra,
    MissingInput,
    NotEnoughSpace,
    OutputRefused,
    VerificationFailed,
)
from chatvector.recipe import Recipe, VectorSpec
from chatvector.web import plot_words
from chatvector.web.measuring import sweep_html
from chatvector.web.plot_words import CHINESE, KOREAN, in_words, translated
from chatvector.web.sentences import BY_TAG, PageError, Sentences, told
from chatvector.web.vector_view import view
from chatvector.web.words import ALL, EN, KO, ZH_HANT, Words

NAMES = [one.name for one in fields(Sentences)]


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("words", ALL, ids=lambda words: words.tag)
def test_every_sentence_is_there_with_the_same_blanks(words: Words) -> None:
    for name in NAMES:
        text, english = getattr(BY_TAG[words.tag], name), getattr(BY_TAG["en"], name)
        assert text.strip(), name
        assert blanks(text) == blanks(english), name
        assert words is EN or text != english, f"{name} is not translated"


def test_the_pages_own_errors_are_whole_sentences() -> None:
    error = PageError("not_a_scale", value="'<b>'")
    assert str(error) == "'<b>' is no scale; a scale is any finite number, such as 0.8"
    assert told(error, EN) == "&#x27;&lt;b&gt;&#x27; is no scale; a scale is any finite number, such as 0.8"
    assert told(error, KO).startswith("&#x27;&lt;b&gt;&#x27;은(는) 배율이 아닙니다.")
    assert "lang" not in told(error, ZH_HANT)


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (OutputRefused("x<y"), "of_usage"),
        (MissingInput("x<y"), "of_input"),
        (VerificationFailed("x<y"), "of_verification"),
        (NotEnoughSpace("x<y"), "of_space"),
        (HubError("x<y"), "of_network"),
        (MissingExtra("ui", "x<y"), "of_extra"),
        (ChatVectorError("x<y"), "of_other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_line_of_the_library_has_a_sentence_before_it(error: ChatVectorError, key: str) -> None:
    assert told(error, EN).startswith("x&lt;y")
    for words in (KO, ZH_HANT):
        assert told(error, words).startswith(f'{getattr(BY_TAG[words.tag], key)} <span lang="en">x&lt;y')


def test_a_bug_of_ours_is_named() -> None:
    assert told(KeyError("x"), EN) == "unexpected (KeyError: &#x27;x&#x27;); the terminal that runs the page says where"
    assert "KeyError" in told(KeyError("x"), KO)


def test_pictures_say_the_same_in_every_language() -> None:
    assert set(KOREAN) == set(CHINESE)
    for known in (KOREAN, CHINESE):
        for english, text in known.items():
            assert text.count("{}") == english.count("{}")
            assert text != english


def test_a_figure_within_a_text_is_kept() -> None:
    assert in_words("all that count: −0.012", KO) == "전체: −0.012"
    assert in_words("chosen: 0.75", ZH_HANT) == "選定：0.75"
    assert in_words("attention", KO) == "attention"
    assert in_words("layer", EN) == "layer"
    assert translated("<g><text x='1'>layer</text><!--layer--><text> a &lt; b </text></g>", KO) == (
        "<g><text x='1'>층</text><!--layer--><text> a &lt; b </text></g>"
    )


def test_all_words_of_the_pictures_are_known() -> None:
    """What is drawn and stays English are figures, and names of roles and tasks, which are typed as they are."""
    recipe = Recipe(target="demo:target", vectors=(VectorSpec(base="demo:base", chat="demo:chat"),))
    point = {"value": 0.5, "low": 0.4, "high": 0.6}
    halves = {half: {"merit": point, "parts": {"chat": point}} for half in ("development", "test")}
    swept = {
        "scales": [{"scale": scale, **halves} for scale in (0.0, 0.75)],
        "chosen": 0.75, "weights": {"chat": 1.0}, "warnings": [], "answer": "a", "apply": "b",
    }  # fmt: skip
    pages = {words.tag: sweep_html(swept, words) for words in ALL}
    drawn = [*view(recipe, lambda _line: None).pictures.values(), pages["en"]]
    texts = {found[3] for picture in drawn for found in plot_words._TEXT.finditer(picture)}
    left = {text for text in texts if in_words(text.strip(), KO) == text.strip()}
    names = {"attention", "mlp", "norm", "embedding", "head", "chat"}
    assert {text for text in left if not text.strip("−-+.0123456789 ")} | names >= left
    for page, known in ((pages["ko"], KOREAN), (pages["zh-Hant"], CHINESE)):
        for text in ("Figure of merit", "items to choose on", "merit, test", "% of the best possible, 95 % intervals."):
            assert known[text] in page
            assert f">{text}<" not in page
