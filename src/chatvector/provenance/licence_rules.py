# SPDX-License-Identifier: Apache-2.0
"""The rules of published licences, read from `licences.toml`, and which of them a file or a card means.

Facts, not legal advice. A licence that is not in the table is reported as such; nothing is guessed from names of
models or architectures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

TABLE = Path(__file__).with_name("licences.toml")
# Agreements say their name within their first lines; Creative Commons puts half a page of advice before it.
HEAD_CHARACTERS = 6000

Rule = Literal[
    "copy",
    "changes",
    "notice",
    "display",
    "name",
    "policy",
    "only_for",
    "commercial",
    "share_alike",
    "derivatives",
]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Clause:
    """One thing that a licence asks. `text` is its content where it has one, `where` the clause that says so."""

    text: str = ""
    names: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Licence:
    """One licence of the table."""

    id: str
    title: str
    url: str
    binding: bool
    """Its terms bind what is made from the model; a permissive one asks for its text to be kept and no more."""
    on_hub: bool
    """Whether the hub knows the id; otherwise a card says `license: other` and `license_name`."""
    names: tuple[str, ...]
    read: Literal["original", "copy", "quoted", "no"]
    """How the entry was checked against the licence's text."""
    head: str
    """A phrase of the agreement's own head, normalised; empty where only cards name it."""
    rules: Mapping[Rule, Clause]

    @property
    def noncommercial(self) -> bool:
        """Whether commercial use is excluded whatever the number of users."""
        return "commercial" in self.rules and self.rules["commercial"].text == "no"

    @property
    def derivatives_forbidden(self) -> bool:
        """Whether modified versions must not be shared at all."""
        return "derivatives" in self.rules


@cache
def table() -> Mapping[str, Licence]:
    """All licences by id."""
    return {entry["id"]: _licence(entry) for entry in _document()["licence"]}


def by_name(name: str) -> Licence | None:
    """The licence that a card's `license` or `license_name` means; None when the table lacks it."""
    wanted = _spelling(name)
    return next((found for found in table().values() if wanted in found.names), None)


def by_text(text: str) -> Licence | None:
    """The licence whose agreement begins like `text`; the first one named counts. None when none is."""
    head = _normalised(text[:HEAD_CHARACTERS])
    places = {head.find(found.head): found for found in table().values() if found.head and found.head in head}
    return places[min(places)] if places else None


def hint(config: Mapping[str, Any]) -> str | None:
    """What a parsed config.json looks like, for a model whose licence nothing names; None when like nothing known."""
    for entry in _document()["hint"]:
        size = config.get("vocab_size")
        enough = isinstance(size, int) and size >= entry.get("vocab_size_from", 0)
        if config.get("model_type") in entry["model_types"] and (enough or "vocab_size_from" not in entry):
            return str(entry["says"])
    return None


@cache
def _document() -> dict[str, Any]:
    import tomllib

    return tomllib.loads(TABLE.read_text("utf-8"))


def _licence(entry: Mapping[str, Any]) -> Licence:
    rules: dict[Rule, Clause] = {
        rule: Clause(entry[rule].get("text", ""), tuple(entry[rule].get("names", ())), entry[rule].get("clause", ""))
        for rule in RULES
        if rule in entry
    }
    return Licence(
        entry["id"],
        entry["title"],
        entry["url"],
        entry["kind"] == "terms",
        entry.get("hub", True),
        tuple(_spelling(name) for name in (entry["id"], *entry.get("names", ()))),
        entry["read"],
        _normalised(entry.get("text", "")),
        rules,
    )


def _spelling(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def _normalised(text: str) -> str:
    """Lower case, blanks folded, marks of Markdown and quotes dropped: who copies an agreement reflows it."""
    return re.sub(r"\s+", " ", re.sub(r"[*_#>`\"“”]", " ", text)).strip().lower()
