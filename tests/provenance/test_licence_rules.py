# SPDX-License-Identifier: Apache-2.0
"""Which licence a file or a card means, and that the table is whole."""

from __future__ import annotations

import pytest

from chatvector.provenance.licence_rules import RULES, by_name, by_text, hint, table
from provenance.licence_texts import APACHE, LLAMA2, LLAMA3, LLAMA31, QWEN, QWEN_RESEARCH, TONGYI

CREATIVE_COMMONS = (
    "Attribution-NonCommercial 4.0 International\n"
    + "advice " * 300
    + "\nCreative Commons Attribution-NonCommercial 4.0 International Public\nLicense"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LLAMA2, "llama2"),
        (LLAMA3, "llama3"),
        (LLAMA31, "llama3.1"),
        (LLAMA31.replace("3.1", "3.2"), "llama3.2"),
        (LLAMA31.replace("3.1", "3.3"), "llama3.3"),
        ("**LLAMA 3.3 COMMUNITY LICENSE AGREEMENT**\n\n Llama 3.3 Version Release Date: December 6, 2024", "llama3.3"),
        ("LLAMA 4 COMMUNITY LICENSE AGREEMENT\n\nLlama 4 Version Effective Date: April 5, 2025", "llama4"),
        (APACHE, "apache-2.0"),
        (QWEN, "qwen"),
        (QWEN_RESEARCH, "qwen-research"),
        (TONGYI, "tongyi-qianwen"),
        ("# **LLAMA 3.1 COMMUNITY\n  LICENSE AGREEMENT**", "llama3.1"),
        (CREATIVE_COMMONS, "cc-by-nc-4.0"),
        ("EXAONE AI Model License Agreement 1.1 - NC\n\nThis License Agreement (“Agreement”) is", "exaone"),
    ],
)
def test_a_licence_is_known_by_the_head_of_its_text(text: str, expected: str) -> None:
    found = by_text(text)
    assert found is not None
    assert found.id == expected


def test_a_licence_that_is_quoted_far_below_is_not_meant() -> None:
    assert by_text("Our own licence.\n" + "word " * 3000 + LLAMA31) is None


@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_another_version_of_an_agreement_is_not_taken_for_the_one_that_was_read(version: str) -> None:
    assert by_text(f"EXAONE AI Model License Agreement {version} - NC\n\nThis License Agreement is") is None


def test_what_exaone_asks_for_is_what_its_agreement_says() -> None:
    rules = table()["exaone"].rules
    assert {rule: clause.where for rule, clause in rules.items()} == {
        "copy": "2.1.d",
        "name": "2.1.c",
        "only_for": "3.1",
        "commercial": "3.1",
    }
    assert table()["exaone"].noncommercial


def test_the_first_of_several_agreements_in_a_file_counts() -> None:
    found = by_text(LLAMA31 + "\n" + APACHE)
    assert found is not None
    assert found.id == "llama3.1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("apache-2.0", "apache-2.0"),
        ("Llama 3.1", "llama3.1"),
        ("llama_3.1", "llama3.1"),
        ("QWEN-RESEARCH", "qwen-research"),
        ("gemma", "gemma"),
    ],
)
def test_a_licence_is_known_by_the_names_that_cards_use(name: str, expected: str) -> None:
    found = by_name(name)
    assert found is not None
    assert found.id == expected


@pytest.mark.parametrize("name", ["other", "llama", "openrail++", ""])
def test_other_names_mean_nothing(name: str) -> None:
    assert by_name(name) is None


def test_no_two_licences_share_a_name_or_contain_each_others_head() -> None:
    licences = list(table().values())
    names = [name for licence in licences for name in licence.names]
    assert len(names) == len(set(names))
    heads = [licence.head for licence in licences if licence.head]
    assert not [(one, two) for one in heads for two in heads if one is not two and one in two]


def test_every_rule_of_the_table_has_what_it_needs() -> None:
    for licence in table().values():
        assert licence.url.startswith("https://"), licence.id
        assert licence.read in ("original", "copy", "quoted", "no"), licence.id
        for rule, clause in licence.rules.items():
            assert rule in RULES
            if rule in ("notice", "display", "name", "policy", "commercial"):
                assert clause.text, (licence.id, rule)
            if rule == "commercial":
                assert clause.text == "no" or clause.text.isdigit(), licence.id
            if rule == "only_for":
                assert set(clause.names) <= table().keys(), licence.id
            if rule == "display" and licence.id.startswith("llama"):
                assert clause.text.startswith("Built with")


def test_llama_2_asks_for_no_name_and_its_successors_do() -> None:
    prefixes = {id: licence.rules["name"].text for id, licence in table().items() if "name" in licence.rules}
    assert "llama2" not in prefixes
    assert prefixes["llama3"] == "Llama 3"
    assert {prefixes[id] for id in ("llama3.1", "llama3.2", "llama3.3", "llama4")} == {"Llama"}


def test_the_licences_that_ask_for_a_name_were_read_in_the_original() -> None:
    """As `push` enforces it."""
    enforced = {id: licence.read for id, licence in table().items() if "name" in licence.rules}
    assert {id for id, read in enforced.items() if read != "original"} == set()


def test_a_configuration_is_a_hint_only() -> None:
    assert "Gemma 1 to 3" in str(hint({"model_type": "gemma2", "vocab_size": 256000}))
    assert "Llama 3 family" in str(hint({"model_type": "llama", "vocab_size": 128256}))
    assert hint({"model_type": "llama", "vocab_size": 32000}) is None
    assert hint({}) is None
