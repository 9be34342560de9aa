# SPDX-License-Identifier: Apache-2.0
"""Does a detector agree with people? Replies with labels that people gave, and what a detector makes of them.

A judge or guard whose agreement nobody measured is called unvalidated in reports; so are patterns on a new model. With
some dozens of labelled replies of the model in question this says what they are worth.
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
"""What published files call a refusal."""
_TRUTH = {"true": True, "yes": True, "1": True, "unsafe": True, "false": False, "no": False, "0": False, "safe": False}


@dataclass(frozen=True)
class Labelled:
    """A reply and what people said of it; None where they said nothing."""

    prompt: str
    reply: str
    refused: bool | None = None
    unsafe: bool | None = None


@dataclass(frozen=True)
class Agreement:
    """A detector against people.

    Attributes:
        found, refusals: true ones among those that people saw.
        false, others: false ones among the rest.
        unread: replies that the detector said nothing of; in none of the other numbers.
        kappa: Cohen's; None where both say the same of everything.
        wrong: the labelled replies that they disagree on.
    """

    found: int
    positives: int
    false: int
    others: int
    unread: int
    kappa: float | None
    wrong: tuple[Labelled, ...]

    def as_dict(self) -> dict[str, float]:
        """What goes into a guard's `validated`."""
        both = self.positives + self.others
        share = (self.found + self.others - self.false) / both if both else 0.0
        return {"n": both, "agreement": share} | ({} if self.kappa is None else {"kappa": self.kappa})


def read_labelled(path: Path | str) -> list[Labelled]:
    """A file of labelled replies (formats of `items.read_records`).

    Columns: `prompt`; `reply` (or `completion`, `response`); and at least one of `refused` (or `final_label`, as in
    XSTest's model completions) and `unsafe`. Raises what `read_records` raises, and InputError for a label that is
    none.
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
    """The refusal patterns against people, on the rows with a label of refusal. Raises InputError if there is none."""
    labelled = [row for row in rows if row.refused is not None]
    return _agreement(labelled, [bool(row.refused) for row in labelled], [_declines(row) for row in labelled])


def guard_agrees(guard: Guard, rows: Sequence[Labelled], language: Language) -> Mapping[str, Agreement]:
    """A guard against people: `refused` and `unsafe`, as far as rows have these labels; controversial counts as safe.
    Raises InputError if there is no label, and what the guard raises."""
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
    """A label as text, "" for none; False is a label."""
    return "" if label is None else str(label).strip().lower()


def _truth(label: str, names: Mapping[str, bool], path: Path, number: int) -> bool | None:
    if not label:
        return None
    if label not in names:
        raise InputError(f"{path}: record {number}: label {label!r} is none of {', '.join(names)}")
    return names[label]
