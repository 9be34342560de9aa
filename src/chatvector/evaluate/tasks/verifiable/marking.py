# SPDX-License-Identifier: Apache-2.0
"""Strict and loose, by prompt and by instruction, as IFEval defines them (Zhou et al. 2023, arXiv 2311.07911, §2.3).

Strict marking looks at the reply as it is. Loose marking looks at eight texts, one of which has to pass: the reply, the
reply without its first line, without its last line, and without both, each with and without asterisks. Loose marking
forgives "Sure, here it is:" and emphasis, but also lets pass what only seems right; read the two figures together. A
prompt is followed loosely if each of its instructions is followed by any of the eight texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatvector.evaluate.task import Marked, Marks, Metric

Follows = Callable[[str], bool]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one instruction: its kind, the group to whose figure it is added, and whether it was followed by
    strict and by loose marking (both None if none of our rules can check it)."""

    kind: str
    group: str
    strict: bool | None
    loose: bool | None


def loose_forms(reply: str) -> list[str]:
    """The eight texts of loose marking, without empty ones and duplicates."""
    lines = reply.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    forms = [reply, *cut]
    forms += [form.replace("*", "") for form in forms]
    return [form for form in dict.fromkeys(forms) if form.strip()]


def outcome(kind: str, group: str, follows: Follows, reply: str) -> Outcome:
    """Outcome of an instruction that a rule can check."""
    strict = bool(reply.strip()) and follows(reply)
    return Outcome(kind, group, strict, strict or any(follows(form) for form in loose_forms(reply)))


def unsupported(kind: str) -> Outcome:
    """Outcome of an instruction that none of our rules can check. It is in no figure, but it is counted."""
    return Outcome(kind, "unsupported", None, None)


def marks_of(outcomes: Sequence[Outcome]) -> Marks:
    """Marks of a reply: `prompt_strict` and `prompt_loose` (None if an instruction cannot be checked, because it is not
    known then whether all are followed), `supported` (all instructions can be checked), counts of instructions for the
    aggregates, and the result of each instruction by the name of its kind."""
    known = [one for one in outcomes if one.strict is not None]
    whole = len(known) == len(outcomes)
    marks: dict[str, bool | float | str | None] = {
        "prompt_strict": all(one.strict for one in known) if whole else None,
        "prompt_loose": all(one.loose for one in known) if whole else None,
        "supported": whole,
    }
    for group in dict.fromkeys(one.group for one in known):
        part = [one for one in known if one.group == group]
        marks |= {
            f"{group}:all": float(len(part)),
            f"{group}:strict": float(sum(bool(one.strict) for one in part)),
            f"{group}:loose": float(sum(bool(one.loose) for one in part)),
        }
    seen: dict[str, int] = {}
    for one in outcomes:
        seen[one.kind] = seen.get(one.kind, 0) + 1
        name = one.kind if seen[one.kind] == 1 else f"{one.kind} {seen[one.kind]}"
        marks[f"instruction {name}"] = "unsupported" if one.strict is None else _word(one)
    return marks


def _word(one: Outcome) -> str:
    return "followed" if one.strict else "followed loosely" if one.loose else "not followed"


def _followed(name: str, title: str, how: str, groups: Sequence[str]) -> Metric:
    """Metric: share of the instructions of some groups that are followed by marking `how` (`strict` or `loose`); None
    without any."""

    def aggregate(marked: Sequence[Marked]) -> float | None:
        total = followed = 0.0
        for one in marked:
            for group in groups:
                total += _number(one.marks.get(f"{group}:all"))
                followed += _number(one.marks.get(f"{group}:{how}"))
        return followed / total if total else None

    def counts(marked: Marked) -> bool:
        return any(_number(marked.marks.get(f"{group}:all")) for group in groups)

    return Metric(name, title, aggregate=aggregate, kind="mean", counts=counts)


def _number(mark: object) -> float:
    return mark if isinstance(mark, float) else 0.0


def metrics(groups: Sequence[str]) -> tuple[Metric, ...]:
    """The four figures of IFEval, the share of prompts that rules can check, and the instructions followed strictly by
    group."""
    return (
        Metric("prompt_strict", "all instructions followed", "prompt_strict", by=("instructions",), primary=True),
        Metric("prompt_loose", "all instructions followed, loose", "prompt_loose", by=("instructions",)),
        Metric("supported", "prompts that rules can check", "supported", better="neither"),
        _followed("instruction_strict", "instructions followed", "strict", groups),
        _followed("instruction_loose", "instructions followed, loose", "loose", groups),
        *(_followed(f"strict_{group}", f"followed: {group}", "strict", (group,)) for group in groups),
    )
