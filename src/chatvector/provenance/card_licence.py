# SPDX-License-Identifier: Apache-2.0
"""The licence part of a model card: the hub's keys, and in words what each parent's licence asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatvector.provenance.licence_rules import by_name, table
from chatvector.provenance.licences import LICENCE_FOLDER, NOTICE, OWN
from chatvector.provenance.parent_cards import CARD


def licence_metadata(licences: Mapping[str, Any]) -> dict[str, str]:
    """`license`, and for what the hub has no id `license_name` and `license_link`; {} when it is undetermined."""
    output = licences["output"]
    if output is None:
        return {}
    known = by_name(output)
    if known is not None and known.on_hub:
        return {"license": known.id}
    if known is None:  # several side by side: the text says which
        return {"license": "other", "license_name": output, "license_link": CARD}
    return {"license": "other", "license_name": known.id, "license_link": known.url}


def licence_section(manifest: Mapping[str, Any]) -> str:
    """Which licences were found where, what they ask, and what does not fit together."""
    licences = manifest["licences"]
    origins = manifest["origins"]
    lines = []
    for parent in licences["parents"]:
        known = ", ".join(map(_titled, parent["licences"]))
        text = ", ".join(part for part in (known, *parent["unknown"]) if part) or "not determined"
        called = parent["called"] + (f" ({name})" if (name := origins[parent["role"]]["model"]) else "")
        places = f", from {', '.join(parent['found_in'])}" if parent["found_in"] else ""
        lines.append(f"- {called}: {text}{places}")
    asked = [f"- {_sentence(rule, licences)}" for rule in licences["rules"]]
    if asked:
        lines += ["", "They ask:", "", *asked]
    doubts = [*licences["conflicts"], *licences["undetermined"]]
    if doubts:
        lines += ["", "To settle before this model is used or passed on:", "", *(f"- {line}" for line in doubts)]
    if licences.get("accepted"):
        lines += ["", "Published all the same, by decision of the publisher:", ""]
        lines += [f"- {line}" for line in licences["accepted"]]
    return "\n".join(lines)


def missing_copies(licences: Mapping[str, Any]) -> list[str]:
    """Licences that ask for a copy of their text, of which no parent brought one."""
    there = {
        id
        for parent in licences["parents"]
        for id in parent["licences"]
        if any(place not in (CARD, OWN) for place in parent["found_in"])
    }
    asking = dict.fromkeys(rule["licence"] for rule in licences["rules"] if rule["rule"] == "copy")
    return [id for id in asking if id not in there]


def _sentence(rule: Mapping[str, str], licences: Mapping[str, Any]) -> str:
    """One rule in our words, with its clause."""
    clause = f" (clause {rule['clause']})" if rule["clause"] else ""
    return f"{rule['licence']}: {_asked(rule, licences)}{clause}"


def _asked(rule: Mapping[str, str], licences: Mapping[str, Any]) -> str:
    text = rule["text"]
    match rule["rule"]:
        case "copy" if rule["licence"] in missing_copies(licences):
            return "recipients get a copy of the agreement; none was among the parents' files, so it has to be added"
        case "copy":
            return f"recipients get a copy of the agreement; it is among these files, here or in `{LICENCE_FOLDER}/`"
        case "changes":
            return f"changed files say so; `{NOTICE}` and this page do"
        case "notice":
            return f"a notice, which `{NOTICE}` holds"
        case "display":
            return f"“{text}” is shown where the model is offered"
        case "name":
            return f"the name of a published model begins with “{text}”"
        case "policy":
            return f"use follows [its rules of use]({_link(text)})"
        case "only_for":
            return "it is not used to improve language models of other families"
        case "commercial":
            return (
                "no commercial use" if text == "no" else f"above {_grouped(text)} users a month, a licence of its own"
            )
        case "share_alike":
            return "what is made from it is passed on under the same licence"
        case "derivatives":
            return "modified versions are not passed on"
    return rule["rule"]


def _titled(id: str) -> str:
    """A licence as a link; its id alone where this version's table does not have it."""
    known = table().get(id)
    return id if known is None else f"[{known.title}]({known.url})"


def _grouped(number: str) -> str:
    return f"{int(number):,}".replace(",", " ") if number.isdecimal() else number


def _link(text: str) -> str:
    return text if "://" in text else f"https://{text}"
