# SPDX-License-Identifier: Apache-2.0
"""Remarks on the judge in the results: how many verdicts could not be read, and whether it agrees with people's
labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chatvector.errors import InputError
from chatvector.evaluate.judge.labels import Key, Labels, judge_agreement
from chatvector.evaluate.results import Results
from chatvector.evaluate.tally import Block
from chatvector.evaluate.task import Marked

UNREAD = "scored"
"""Name of the mark that says whether a verdict could be read."""


def with_remarks(results: Results, blocks: Sequence[Block], labels: Labels | None) -> Results:
    """The results with warnings about their judge, and with its agreement with `labels`; unchanged without a judge.

    If too few replies have labels, a warning says so: the verdicts stay, and the judge counts as unvalidated.
    """
    judge = results.services.get("judge")
    judged = [
        block for block in blocks if any(UNREAD in one.marks for listed in block.marked.values() for one in listed)
    ]
    if not judge or not judged:
        return results
    warnings = [line for block in judged for line in unread_verdicts(block, UNREAD)]
    if labels is not None:
        try:
            found = judge_agreement(labels, verdicts(judged, scores=labels.are_scores))
            judge = {**judge, "validated": found, "status": "validated"}
        except InputError as error:
            warnings.append(str(error))
    if judge["status"] != "validated":
        warnings.append(f"judge {judge['model']}: {judge['status']} (--judge-labels validates one)")
    services = {**results.services, "judge": judge}
    return results.model_copy(update={"services": services, "warnings": (*results.warnings, *warnings)})


def verdicts(blocks: Iterable[Block], *, scores: bool) -> dict[Key, float | str | None]:
    """Verdicts by (model, item id): raw scores, or preferences in words; None if the verdict could not be read. Of
    several samples the first one counts."""
    mark = "raw" if scores else "preferred"
    found: dict[Key, float | str | None] = {}
    for block in blocks:
        for model, listed in block.marked.items():
            for one in listed:
                if one.marks.get(UNREAD) is not None and mark in one.marks:
                    found.setdefault((model, one.answer.item.id), _verdict(one, mark))
    return found


def _verdict(one: Marked, mark: str) -> float | str | None:
    value = one.marks[mark]
    if value is None or isinstance(value, str):
        return value
    words: Mapping[float, str] = {0.0: "first", 0.5: "tie", 1.0: "second"}
    return float(value) if mark == "raw" else words[float(value)]


def unread_verdicts(block: Block, mark: str, whose: str = "") -> Iterable[str]:
    """A warning for each model some of whose verdicts were asked for but could not be read, as `mark` says. `whose`
    goes before the word "verdicts"."""
    for model, listed in block.marked.items():
        asked = [read for one in listed if (read := one.marks.get(mark)) is not None]
        lost = asked.count(False)
        if lost:
            yield (
                f"{block.task} ({block.language}), {model}: {whose}verdicts that could not be read: {lost} of"
                f" {len(asked)}"
            )
