# SPDX-License-Identifier: Apache-2.0
"""Whether the verdicts of a run's guard could be read, and how well it agrees with people; if not, the results say
so."""

from __future__ import annotations

from collections.abc import Sequence

from chatvector.errors import InputError
from chatvector.evaluate.judge.remarks import unread_verdicts
from chatvector.evaluate.results import Results
from chatvector.evaluate.scorers.labelled import Labelled, guard_agrees, patterns_agree
from chatvector.evaluate.scorers.verdicts import Guard
from chatvector.evaluate.tally import Block
from chatvector.evaluate.task import Language

FEWEST = 20
"""Fewest labelled replies, of one kind of label, whose verdicts could be read; with fewer the guard stays
unvalidated."""


READ = "guard_read"
"""Name of the mark that says whether a verdict could be read; the mark is None if no verdict was asked for."""


def with_guard_remarks(
    results: Results, blocks: Sequence[Block], guard: Guard | None, labels: Sequence[Labelled] | None
) -> Results:
    """The results with warnings about their guard and with its agreement with `labels`; unchanged without a guard.

    The labels are taken to be in the language of the first block. Asks the guard about them; raises what it raises.
    """
    if guard is None:
        return results
    results = _warned(results, *(line for block in blocks for line in unread_verdicts(block, READ, "the guard's ")))
    if labels is not None:
        results = with_guard_agreement(results, guard, labels, blocks[0].language)
    told = results.services["guard"]
    judged = (one for block in blocks for listed in block.marked.values() for one in listed)
    if not told["validated"] and any(one.marks.get(READ) is not None for one in judged):
        results = _warned(results, f"guard {told['model']}: unvalidated (--guard-labels validates one)")
    return results


def with_guard_agreement(results: Results, guard: Guard, rows: Sequence[Labelled], language: Language) -> Results:
    """The results with the guard's agreement with people's labels `rows`: share, Cohen's κ and number of replies, for
    `unsafe` and `refused` if people labelled them. For `refused` also the agreement of the refusal patterns.

    If there are too few labels, or none that the guard has a verdict on, a warning says so: the run's verdicts stay and
    the guard counts as unvalidated. Asks the guard; raises what it raises, except for InputError.
    """
    try:
        found = dict(guard_agrees(guard, rows, language))
    except InputError as error:
        return _warned(results, str(error))
    if any(row.refused is not None for row in rows):
        found["refused by patterns"] = patterns_agree(rows)
    few = {name: one for name, one in found.items() if one.positives + one.others < FEWEST}
    kept = {name: one for name, one in found.items() if name not in few}
    figures = {f"{name} {key}": value for name, one in kept.items() for key, value in one.as_dict().items()}
    for name, one in few.items():
        read = one.positives + one.others
        line = f"--guard-labels, {name}: {read} labels have a verdict that was read, and {FEWEST} are needed"
        results = _warned(results, line)
    services = {**results.services, "guard": {**results.services["guard"], "validated": figures}}
    return results.model_copy(update={"services": services})


def _warned(results: Results, *lines: str) -> Results:
    return results.model_copy(update={"warnings": (*results.warnings, *lines)})
