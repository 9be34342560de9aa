# SPDX-License-Identifier: Apache-2.0
"""The verdict over three parents: what it finds, what it calls a conflict, what it leaves open."""

from __future__ import annotations

import re

import pytest

from chatvector.provenance.card_licence import licence_metadata, missing_copies
from chatvector.provenance.licences import Parent, Verdict, judge, licence_files, name_faults, notice_file
from chatvector.provenance.parent_cards import CardFacts
from provenance.licence_texts import APACHE, LLAMA2, LLAMA3, LLAMA31, LLAMA31_NOTICE, QWEN_RESEARCH


def parent(called: str, licence: str | None = None, text: str | None = None, **files: str) -> Parent:
    """A parent whose card names `licence` and whose LICENSE holds `text`."""
    data = {name: content.encode() for name, content in files.items()}
    if text is not None:
        data["LICENSE"] = text.encode()
    role = called if called == "target" else f"vectors.0.{called}"
    return Parent(role, called, None, None, data, CardFacts((licence,) if licence else ()))


def trio(target: str | None, base: str | None, chat: str | None) -> Verdict:
    return judge([parent("target", target), parent("base", base), parent("chat", chat)])


@pytest.mark.parametrize(
    ("cards", "output"),
    [
        (("apache-2.0", "apache-2.0", "apache-2.0"), "apache-2.0"),
        (("mit", "apache-2.0", "apache-2.0"), "mit"),
        (("llama3.1", "llama3.1", "llama3.1"), "llama3.1"),
        (("apache-2.0", "apache-2.0", "cc-by-nc-4.0"), "cc-by-nc-4.0"),
        (("llama3.1", "llama3", "llama3"), "llama3.1-and-llama3"),
        ((None, "llama2", "llama2"), None),
        (("apache-2.0", "apache-2.0", "some-vendor"), None),
    ],
)
def test_the_outputs_licence(cards: tuple[str | None, ...], output: str | None) -> None:
    assert trio(*cards).output == output


def test_equal_permissive_parents_leave_nothing_to_settle() -> None:
    verdict = trio("apache-2.0", "apache-2.0", "apache-2.0")
    assert (verdict.conflicts, verdict.undetermined, verdict.forbidden) == ((), (), ())


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        (("cc-by-nc-4.0", "apache-2.0", "apache-2.0"), "target: cc-by-nc-4.0 excludes commercial use, of"),
        (("llama3.1", "llama3", "llama3"), "the terms of llama3.1 and llama3 hold all at once"),
        (("mit", "llama2", "llama2"), "llama2 forbids to improve other language models with it, .*: target .mit."),
        (("apache-2.0", "llama3.1", "llama3.1"), "target says apache-2.0, but the base that it should descend from is"),
        (("cc-by-sa-4.0", "gemma", "gemma"), "asks that the whole be under cc-by-sa-4.0, and the terms of gemma hold"),
        (("exaone", "llama3.1", "llama3.1"), "no name begins with both 'EXAONE' .exaone. and 'Llama' .llama3.1."),
        (("apache-2.0", "apache-2.0", "cc-by-nc-nd-4.0"), "chat is under cc-by-nc-nd-4.0, which does not"),
    ],
)  # fmt: skip
def test_conflicts(cards: tuple[str, str, str], words: str) -> None:
    conflicts = trio(*cards).conflicts
    assert [line for line in conflicts if re.search(words, line)], conflicts


def test_only_no_derivatives_forbids_sharing() -> None:
    assert trio("apache-2.0", "apache-2.0", "cc-by-nd-4.0").forbidden
    assert not trio("cc-by-nc-4.0", "llama2", "exaone").forbidden


def test_a_file_and_a_card_that_disagree() -> None:
    verdict = judge(
        [parent("target", "apache-2.0", LLAMA31), parent("base", text=LLAMA31), parent("chat", text=LLAMA31)]
    )
    assert "target names llama3.1 and apache-2.0 (LICENSE, README.md): which one holds?" in verdict.conflicts
    assert verdict.output == "llama3.1"


def test_what_is_not_known_is_said_with_a_hint() -> None:
    silent = parent("target")
    looks = Parent("target", "target", None, None, {}, CardFacts(), {"model_type": "gemma2"})
    assert judge([silent]).undetermined == ("target: neither a licence file nor a card names a licence",)
    assert "its configuration is that of Gemma 1 to 3" in judge([looks]).undetermined[0]
    (line,) = judge([parent("base", "vendor-licence")]).undetermined
    assert line == "base: vendor-licence is not among the licences whose rules are known here"


def test_a_notice_is_no_licence() -> None:
    verdict = judge([parent("target", None, None, NOTICE=APACHE)])
    assert verdict.undetermined


def test_licences_of_the_targets_own_parents_count() -> None:
    merged = parent("target", "apache-2.0", None, **{"licences/chat/LICENSE": QWEN_RESEARCH})
    assert [licence.id for licence in judge([merged]).licences] == ["qwen-research", "apache-2.0"]


def test_identical_files_are_kept_once_and_none_is_overwritten() -> None:
    own = {"LICENSE": LLAMA31.encode(), "licences/chat/LICENSE": b"another model's"}
    parents = [
        parent("target", text=LLAMA31),
        parent("base", text=LLAMA31, USE_POLICY_md="policy"),
        parent("chat", text=LLAMA3),
    ]
    files = licence_files(parents, own)
    assert files == {"licences/base/USE_POLICY_md": b"policy", "licences/chat/2-LICENSE": LLAMA3.encode()}


def test_vectors_have_a_folder_each() -> None:
    one = Parent("vectors.0.base", "base of vector 1", None, None, {"LICENSE": b"1"}, CardFacts())
    two = Parent("vectors.1.base", "base of vector 2", None, None, {"LICENSE": b"2"}, CardFacts())
    assert licence_files([one, two], {}) == {"licences/base-1/LICENSE": b"1", "licences/base-2/LICENSE": b"2"}


def test_the_prescribed_notice_is_added_once() -> None:
    verdict = trio("llama3.1", "llama3.1", "llama3.1")
    assert notice_file(verdict, {}) == {"NOTICE": (LLAMA31_NOTICE + "\n").encode()}
    theirs = {"Notice.txt": f"By us.\n{LLAMA31_NOTICE.replace(' Community', chr(10) + 'Community')}\n".encode()}
    assert notice_file(verdict, theirs) == {}
    (name, data), *rest = notice_file(verdict, {"Notice.txt": b"By us."}).items()
    assert (name, data.decode(), rest) == ("Notice.txt", f"By us.\n\n{LLAMA31_NOTICE}\n", [])


def test_changed_weights_are_said_where_a_licence_asks() -> None:
    verdict = trio("apache-2.0", "apache-2.0", "apache-2.0")
    (data,) = notice_file(verdict, {}).values()
    assert data.startswith(b"The weights were modified")
    assert notice_file(verdict, {"NOTICE": data}) == {}


@pytest.mark.parametrize(
    ("licence", "name", "fits"),
    [
        ("llama3.1", "Llama-3.1-Ko-Chat", True),
        ("llama3.1", "llama-ko", True),
        ("llama3.1", "Ko-Llama-3.1", False),
        ("llama3", "Llama-3-Ko", True),
        ("llama3", "Llama3Ko", True),
        ("llama3", "Llama-Ko", False),
        ("llama2", "anything", True),
        ("exaone", "EXAONE-ko", True),
        ("exaone", "ko-EXAONE", False),
    ],
)
def test_names_of_published_models(licence: str, name: str, fits: bool) -> None:
    rules = trio(licence, licence, licence).as_dict()["rules"]
    assert (name_faults(rules, name) == []) is fits


def test_a_fault_of_the_name_says_which_clause() -> None:
    rules = trio("llama3.1", "llama3.1", "llama3.1").as_dict()["rules"]
    assert name_faults(rules, "ko") == ["llama3.1 asks for a name that begins with 'Llama' (clause 1.b.i)"]


def test_metadata_for_the_hub() -> None:
    def of(*cards: str | None) -> dict[str, str]:
        return licence_metadata(trio(*cards).as_dict())  # type: ignore[arg-type]

    assert of("llama2", "llama2", "llama2") == {"license": "llama2"}
    research = of("qwen-research", "apache-2.0", "apache-2.0")
    assert (research["license"], research["license_name"]) == ("other", "qwen-research")
    several = of("llama3.1", "llama3", "llama3")
    assert several == {"license": "other", "license_name": "llama3.1-and-llama3", "license_link": "README.md"}
    assert of(None, "llama2", "llama2") == {}


def test_a_missing_copy_of_an_agreement_is_noticed() -> None:
    by_card = judge([parent("target", "llama2"), parent("base", "llama2"), parent("chat", "llama2")])
    by_file = judge([parent("target", "llama2"), parent("base", text=LLAMA2), parent("chat", "llama2")])
    assert missing_copies(by_card.as_dict()) == ["llama2"]
    assert missing_copies(by_file.as_dict()) == []
