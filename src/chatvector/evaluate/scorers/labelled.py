# SPDX-License-Identifier: Apache-2.0
"""Does a detector agree with people? Compares people's labels of replies with what a detector says of them.

Reports call a judge or guard unvalidated if nobody measured its agreement; patterns on a new model are no better. Some
dozens of labelled replies of the model in question show what a detector is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatvector.errors import InputError
from chatvector.evaluate.items import read_records
from chatvector.evaluate.scorers.refusals import find_refusal
from chatvector.evaluate.scorers.verdicts import Exchange, Guard
from chatvector.evaluate.statistics.agreement import kappa
from chatvector.evaluate.task import Language

REFUSED = {
    "full": True,
    "partial": True,
    "none": False,
    # XSTest's annotation.
    "1_full_compliance": False,
    "2_full_refusal": True,
    "3_partial_refusal": True,
}
"""Labels of published files → whether the reply is a refusal."""
_TRUTH = {"true": True, "yes": True, "1": True, "unsafe": True, "false": False, "no": False, "0": False, "safe": False}


@dataclass(frozen=True)
class Labelled:
    """A reply and people's labels of it; None for a label that was not given."""

    prompt: str
    reply: str
    refused: bool | None = None
    unsafe: bool | None = None


@dataclass(frozen=True)
class Agreement:
    """A detector compared with people.

    Attributes:
        found: number of the `positives` that the detector also called true.
        positives: number of replies that people labelled true.
        false: number of the `others` that the detector called true.
        others: number of replies that people labelled false.
        unread: number of replies that the detector said nothing of; they are in none of the other numbers.
        kappa: Cohen's kappa; None if no reply was read, or both sides say one and the same thing of all replies.
        wrong: the labelled replies on which they disagree.
    """

    found: int
    positives: int
    false: int
    others: int
    unread: int
    kappa: float | None
    wrong: tuple[Labelled, ...]

    def as_dict(self) -> dict[str, float]:
        """The figures for a guard's `validated`: `n`, `agreement` (a share) and, if defined, `kappa`."""
        both = self.positives + self.others
        share = (self.found + self.others - self.false) / both if both else 0.0
        return {"n": both, "agreement": share} | ({} if self.kappa is None else {"kappa": self.kappa})


def read_labelled(path: Path | str) -> list[Labelled]:
    """Read a file of labelled replies, in a format of `items.read_records`.

    Columns: `prompt`; `reply` (or `completion`, `response`); and at least one of `refused` (or `final_label`, as in
    XSTest's model completions) and `unsafe`. Raises what `read_records` raises, and InputError for an unknown label or
    a reply without any.
    """
    path = Path(path)
    rows = []
    records = read_records(path, ("prompt", ("reply", "completion", "response")))
    for number, record in enumerate(records, 1):
        said = {name: _plain(record.get(name)) for name in ("refused", "final_label", "unsafe")}
        refused = _truth(said["refused"] or said["final_label"], REFUSED | _TRUTH, path, number)
        unsafe = _truth(said["unsafe"], _TRUTH, path, number)
        if refused is None and unsafe is None:
            raise InputError(f"{path}: record {number} has no label: give a column refused, final_label or unsafe")
        rows.append(Labelled(str(record["prompt"]), str(record["reply"]), refused, unsafe))
    return rows


def patterns_agree(rows: Sequence[Labelled]) -> Agreement:
    """Compare the refusal patterns with people, on the rows that have a label `refused`. Raises InputError if none
    has."""
    labelled = [row for row in rows if row.refused is not None]
    return _agreement(labelled, [bool(row.refused) for row in labelled], [_declines(row) for row in labelled])


def guard_agrees(guard: Guard, rows: Sequence[Labelled], language: Language) -> Mapping[str, Agreement]:
    """Compare a guard with people: `refused` and `unsafe`, if rows have these labels; controversial counts as safe.
    Raises InputError if the guard says nothing about any label, and what the guard raises."""
    exchanges = [Exchange((("user", row.prompt), ("assistant", row.reply))) for row in rows]
    verdicts = guard.judge(exchanges, language)
    found: dict[str, Agreement] = {}
    refusals = [(row, verdict.refusal) for row, verdict in zip(rows, verdicts, strict=True) if row.refused is not None]
    if refusals and guard.info.refusals:
        kept = [row for row, _ in refusals]
        found["refused"] = _agreement(kept, [bool(row.refused) for row in kept], [said for _, said in refusals])
    judged = [(row, verdict.safety) for row, verdict in zip(rows, verdicts, strict=True) if row.unsafe is not None]
    if judged:
        kept = [row for row, _ in judged]
        said = [None if safety is None else safety == "unsafe" for _, safety in judged]
        found["unsafe"] = _agreement(kept, [bool(row.unsafe) for row in kept], said)
    if not found:
        raise InputError("no labelled reply that this guard says anything about")
    return found


def _declines(row: Labelled) -> bool:
    return find_refusal(row.reply) is not None


def _agreement(rows: Sequence[Labelled], people: Sequence[bool], detector: Sequence[bool | None]) -> Agreement:
    if not rows:
        raise InputError("no labelled reply to compare with")
    read = [(row, truth, said) for row, truth, said in zip(rows, people, detector, strict=True) if said is not None]
    return Agreement(
        found=sum(truth and bool(said) for _, truth, said in read),
        positives=sum(truth for _, truth, _ in read),
        false=sum(not truth and bool(said) for _, truth, said in read),
        others=sum(not truth for _, truth, _ in read),
        unread=len(rows) - len(read),
        kappa=kappa([truth for _, truth, _ in read], [bool(said) for _, _, said in read]) if read else None,
        wrong=tuple(row for row, truth, said in read if truth != said),
    )


def _plain(label: object) -> str:
    """A label as lower-case text; "" for None. False is a label."""
    return "" if label is None else str(label).strip().lower()


def _truth(label: str, names: Mapping[str, bool], path: Path, number: int) -> bool | None:
    if not label:
        return None
    if label not in names:
        raise InputError(f"{path}: record {number}: label {label!r} is none of {', '.join(names)}")
    return names[label]
