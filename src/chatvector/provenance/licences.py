# SPDX-License-Identifier: Apache-2.0
"""Under which licences the parents are, what those ask of the output, and where they do not fit together.

The output is made from all parents, so it owes what each of them asks. What is found comes from licence files and
from the licence named by a parent's card; where there is neither, the licence is undetermined and that is said.
Not legal advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from chatvector.provenance.licence_rules import RULES, Licence, Rule, by_name, by_text, hint, table
from chatvector.provenance.parent_cards import CARD, CardFacts

LICENCE_FOLDER = "licences"
NOTICE = "NOTICE"
OWN = "chatvector"
"""Where the licence of the embedded family was found: it is part of this package."""
DISCLAIMER = "No legal advice: what is said here was found by a program; the licences themselves decide."


@dataclass(frozen=True)
class Parent:
    """What is known of one parent besides its weights.

    Attributes:
        role: its key in the manifest: `target`, `vectors.0.base`, …
        called: how people call it: `target`, `base`, `chat`, `base of vector 2`.
        name: hub name, or `demo:…`; None for a directory, whose name is nobody's business.
        commit: the hub commit that was read.
        files: its licence and notice files, name to bytes.
        facts: what its card says.
        config: its parsed config.json.
    """

    role: str
    called: str
    name: str | None
    commit: str | None
    files: Mapping[str, bytes]
    facts: CardFacts
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """The licences of one parent, where they were found, and what is named but not in the table."""

    parent: Parent
    licences: tuple[Licence, ...]
    unknown: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def determined(self) -> bool:
        """Whether all of its licences are known."""
        return bool(self.licences) and not self.unknown


@dataclass(frozen=True)
class Verdict:
    """What publishing the output asks for. `conflicts` are for people; `forbidden` are reasons not to publish."""

    found: tuple[Found, ...]
    conflicts: tuple[str, ...]
    undetermined: tuple[str, ...]
    forbidden: tuple[str, ...]

    @property
    def licences(self) -> tuple[Licence, ...]:
        """All licences that were found, each once, in the order of the parents."""
        return _once(licence for found in self.found for licence in found.licences)

    @property
    def output(self) -> str | None:
        """The id of the output's licence: the one whose terms bind, else the permissive one; None if undetermined.

        Several binding licences hold side by side: `a-and-b`.
        """
        if self.undetermined:
            return None
        binding = [licence.id for licence in self.licences if licence.binding]
        if binding:
            return "-and-".join(binding)
        return self.licences[0].id if len(self.licences) == 1 else self._of_target()

    def rules(self, rule: Rule) -> list[tuple[Licence, str]]:
        """Licences that have the rule, with its text."""
        return [(licence, licence.rules[rule].text) for licence in self.licences if rule in licence.rules]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the manifest; `rules` are those that somebody has to follow by hand or program."""
        return {
            "output": self.output,
            "parents": [
                {
                    "role": found.parent.role,
                    "called": found.parent.called,
                    "licences": [licence.id for licence in found.licences],
                    "unknown": list(found.unknown),
                    "found_in": list(found.places),
                }
                for found in self.found
            ],
            "rules": [
                {"licence": licence.id, "rule": rule, "text": clause.text, "clause": clause.where}
                for licence in self.licences
                for rule in RULES
                if (clause := licence.rules.get(rule)) is not None
            ],
            "conflicts": list(self.conflicts),
            "undetermined": list(self.undetermined),
            "forbidden": list(self.forbidden),
        }

    def _of_target(self) -> str:
        own = next(found for found in self.found if found.parent.role == "target")
        return own.licences[0].id


def judge(parents: Sequence[Parent]) -> Verdict:
    """Find each parent's licences and compare them."""
    found = tuple(find(parent) for parent in parents)
    undetermined = tuple(_undetermined(one) for one in found if not one.determined)
    forbidden = tuple(
        f"{one.parent.called} is under {licence.id}, which does not allow to share modified versions"
        for one in found
        for licence in one.licences
        if licence.derivatives_forbidden
    )
    return Verdict(found, (*forbidden, *_conflicts(found)), undetermined, forbidden)


def find(parent: Parent) -> Found:
    """The licences that a parent's files and card name. Files of its own parents (`licences/…`) count as well."""
    if parent.name is not None and parent.name.startswith("demo:"):
        return Found(parent, (table()["apache-2.0"],), (), (OWN,))
    licences: list[Licence] = []
    unknown: list[str] = []
    places: list[str] = []
    for name, data in sorted(parent.files.items()):
        if "notice" in PurePosixPath(name).name.lower():
            continue
        licence = by_text(data.decode("utf-8", "replace"))
        if licence is not None:
            licences.append(licence)
            places.append(name)
    for name in parent.facts.licences:
        licence = by_name(name)
        if licence is not None:
            licences.append(licence)
        elif not licences or name.lower() != "other":
            unknown.append(name)
        places.append(CARD)
    return Found(parent, _once(licences), tuple(dict.fromkeys(unknown)), tuple(dict.fromkeys(places)))


def licence_files(parents: Sequence[Parent], own: Mapping[str, bytes]) -> dict[str, bytes]:
    """The licence and notice files of all parents but the target, by their place in the output.

    `own` are the output's other files: what is there already with the same bytes is not stored again.
    """
    files: dict[str, bytes] = {}
    for parent in parents:
        if parent.role == "target":
            continue
        folder = parent.called.replace(" of vector ", "-")
        for name, data in sorted(parent.files.items()):
            if data in files.values() or data in own.values():
                continue
            place = PurePosixPath(LICENCE_FOLDER, folder, PurePosixPath(name).name)
            number = 2
            while str(place) in files or str(place) in own:
                place = place.with_name(f"{number}-{PurePosixPath(name).name}")
                number += 1
            files[str(place)] = data
    return files


def notice_file(verdict: Verdict, own: Mapping[str, bytes]) -> dict[str, bytes]:
    """The NOTICE with the lines that the licences prescribe, under the name that the target's has; {} if none is due.

    Lines that the target's notice has already are not repeated; what it says otherwise stays.
    """
    name = next(
        (name for name in sorted(own) if PurePosixPath(name).stem.lower() == "notice" and "/" not in name), NOTICE
    )
    before = own.get(name, b"").decode("utf-8", "replace")
    lines = [text for _, text in verdict.rules("notice") if text not in " ".join(before.split())]
    changed = "The weights were modified: README.md says from which models and how they were computed."
    if verdict.rules("changes") and changed not in before:
        lines.append(changed)
    if not lines:
        return {}
    head = before.rstrip("\n") + "\n\n" if before.strip() else ""
    return {name: (head + "\n\n".join(lines) + "\n").encode()}


def name_faults(rules: Iterable[Mapping[str, Any]], repo_name: str) -> list[str]:
    """Which `name` rules of a manifest's `licences.rules` the name of a repository (without `org/`) breaks.

    Case, blanks, dots and dashes do not count: `Llama 3` is met by `llama-3-ko`.
    """
    return [
        f"{rule['licence']} asks for a name that begins with {rule['text']!r}"
        + (f" (clause {rule['clause']})" if rule["clause"] else "")
        for rule in rules
        if rule["rule"] == "name" and not _letters(repo_name).startswith(_letters(rule["text"]))
    ]


def _conflicts(found: Sequence[Found]) -> list[str]:
    known = [(one, licence) for one in found for licence in one.licences]
    binding = _once(licence for _, licence in known if licence.binding)
    lines: list[str] = []
    for licence in binding:
        if licence.noncommercial:
            who = ", ".join(one.parent.called for one in found if licence in one.licences)
            lines.append(f"{who}: {licence.id} excludes commercial use, of the output too")
    if len(binding) > 1:
        lines.append(f"the terms of {_list(binding)} hold all at once; where they contradict, none may be shared")
    lines += [
        f"{licence.id} asks that the whole be under {licence.id}, and the terms of {_list(other)} hold as well"
        for licence in binding
        if "share_alike" in licence.rules and (other := [one for one in binding if one is not licence])
    ]
    lines += _foreign(known)
    lines += _relicensed(found)
    prefixes = [(licence, licence.rules["name"].text) for licence in binding if "name" in licence.rules]
    for number, (licence, prefix) in enumerate(prefixes):
        for other, text in prefixes[number + 1 :]:
            one, two = _letters(prefix), _letters(text)
            if not one.startswith(two) and not two.startswith(one):
                lines.append(f"no name begins with both {prefix!r} ({licence.id}) and {text!r} ({other.id})")
    for one in found:
        if len(one.licences) > 1:
            lines.append(f"{one.parent.called} names {_list(one.licences)} ({', '.join(one.places)}): which one holds?")
    return lines


def _foreign(known: Sequence[tuple[Found, Licence]]) -> list[str]:
    """Parents under other terms than those that a licence's "only to improve …" clause allows."""
    lines: list[str] = []
    for licence in _once(licence for _, licence in known):
        allowed = licence.rules["only_for"].names if "only_for" in licence.rules else None
        others = [f"{o.parent.called} ({other.id})" for o, other in known if allowed and other.id not in allowed]
        if others:
            lines.append(
                f"{licence.id} forbids to improve other language models with it, and these are said to be others:"
                f" {', '.join(others)}"
            )
    return lines


def _relicensed(found: Sequence[Found]) -> list[str]:
    """A chat model or target that claims to be freer than the base that it is made from."""
    bases = [one for one in found if one.parent.called.startswith("base")]
    terms = _once(licence for base in bases for licence in base.licences if licence.binding)
    return [
        f"{one.parent.called} says {_list(one.licences)}, but the base that it should descend from is under"
        f" {_list(terms)}, which does not end with a fine-tune"
        for one in found
        if one not in bases and terms and one.licences and not any(licence.binding for licence in one.licences)
    ]


def _undetermined(found: Found) -> str:
    called = found.parent.called
    if found.unknown:
        return f"{called}: {', '.join(found.unknown)} is not among the licences whose rules are known here"
    looks = hint(found.parent.config)
    return f"{called}: neither a licence file nor a card names a licence" + (f"; {looks}" if looks else "")


def _once(licences: Iterable[Licence]) -> tuple[Licence, ...]:
    return tuple({licence.id: licence for licence in licences}.values())


def _list(licences: Iterable[Licence]) -> str:
    return " and ".join(licence.id for licence in licences)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
