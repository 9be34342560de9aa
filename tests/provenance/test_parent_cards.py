# SPDX-License-Identifier: Apache-2.0
"""What is read from a parent's card, and that no card stops a run."""

from __future__ import annotations

import pytest

from chatvector.provenance.parent_cards import CardFacts, read_card


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nlicense: apache-2.0\nlanguage: ko\n---\n# x", CardFacts(("apache-2.0",), ("ko",))),
        ("---\nlicense: [mit, apache-2.0]\nlanguage:\n- zh\n- en\n---", CardFacts(("mit", "apache-2.0"), ("zh", "en"))),
        ("---\r\nlicense: other\r\nlicense_name: qwen-research\r\n---\r\n", CardFacts(("qwen-research",))),
        ("---\nlicense: other\n---\n", CardFacts(("other",))),
        ("---\nlicense: llama3.1\nlicense_name: my words\n---\n", CardFacts(("llama3.1",))),
        ("\ufeff---\nlanguage: no\n---\n", CardFacts((), ("no",))),
        ("---\nlanguage: [ko, 한국어, zh-Hant, 3]\n---\n", CardFacts((), ("ko", "zh-Hant"))),
        ("# no front matter\nlicense: mit\n", CardFacts()),
        ("text\n---\nlicense: mit\n---\n", CardFacts()),
        ("---\nlicense: [unclosed\n---\n", CardFacts()),
        ("---\n- a\n- list\n---\n", CardFacts()),
        ("---\nlicense: {a: b}\nlanguage: {c: d}\n---\n", CardFacts()),
        ("---\nlicense: !!python/object/apply:os.system [true]\n---\n", CardFacts()),
        ("---\n" + "[" * 5000 + "\n---\n", CardFacts()),
        ("", CardFacts()),
    ],
)
def test_front_matter(text: str, expected: CardFacts) -> None:
    assert read_card(text.encode()) == expected


def test_no_card_and_no_text() -> None:
    assert read_card(None) == CardFacts()
    assert read_card(b"\xff\xfe\x00garbage") == CardFacts()
