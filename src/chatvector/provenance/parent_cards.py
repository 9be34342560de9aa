# SPDX-License-Identifier: Apache-2.0
"""What a parent's own model card says about licence and languages: the YAML between two `---` at its head.

The keys are those of the hub ("Model Cards" in its documentation). A card that cannot be read says nothing; it never
stops a run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from chatvector.yaml_text import NotYaml, parse_yaml

CARD = "README.md"
FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
# Longer front matter than any card has (model-index tables reach some tens of kB).
MOST_CHARACTERS = 1 << 18


@dataclass(frozen=True)
class CardFacts:
    """What is taken from a card. Empty tuples where it says nothing."""

    licences: tuple[str, ...] = ()
    """As written: the hub's ids, or `license_name` where `license` is `other`."""
    languages: tuple[str, ...] = ()
    """Language codes."""


def read_card(data: bytes | None) -> CardFacts:
    """The facts of a card; none for no card, no front matter, or YAML that is none."""
    if data is None:
        return CardFacts()
    metadata = front_matter(data.decode("utf-8", "replace"))
    licences = _texts(metadata.get("license"))
    named = _texts(metadata.get("license_name"))
    if named and (not licences or licences == ("other",)):
        licences = named
    return CardFacts(licences, tuple(text for text in _texts(metadata.get("language")) if _is_language(text)))


def front_matter(text: str) -> dict[str, Any]:
    """The metadata at the head of a card; empty when there is none or it is no mapping."""
    match = FRONT_MATTER.match(text[:MOST_CHARACTERS])
    if match is None:
        return {}
    try:
        document = parse_yaml(match[1])
    except NotYaml:
        return {}
    return document if isinstance(document, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    # YAML reads `no`, the code of Norwegian, as false.
    found = ["no" if entry is False else entry for entry in values]
    return tuple(dict.fromkeys(entry.strip() for entry in found if isinstance(entry, str) and entry.strip()))


def _is_language(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*|multilingual|code", text) is not None
