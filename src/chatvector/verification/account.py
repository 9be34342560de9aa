# SPDX-License-Identifier: Apache-2.0
"""The manifest's own account of a merge, against what its recipe and its parents mean.

What follows from headers, configurations, side files and the sample of weights is made again and compared. Norms need
every weight of the parents: of these only that they add up is checked (docs/verify.md says which keys are which).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chatvector import __version__
from chatvector.arithmetic.plan import Plan
from chatvector.checks.selfcheck import check_chat_files, checked_blocks
from chatvector.origins import origin, without_paths
from chatvector.preparation import Job
from chatvector.provenance.licences import Parent, Verdict
from chatvector.provenance.parent_cards import CARD
from chatvector.record import copied, effective_scales, public_recipe
from chatvector.vocabulary.choice import describe

# Another processor adds up in another order: sums of float64 then differ far behind this digit.
SAME_NUMBER = 1e-6


def check_account(
    job: Job, parents: Sequence[Parent], verdict: Verdict, files: Mapping[str, bytes], manifest: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys of a model's manifest that were compared, and a line on each that is not what it should be.

    `files`: side files and index, made again.
    """
    meant = _of_recipe_and_parents(job, parents)
    if manifest["chatvector"] == __version__:  # another version may judge otherwise, and know other licences
        meant |= _judged_by_this_version(job, parents, verdict, manifest)
    plain = json.loads(json.dumps(meant))
    problems = [
        _edited_card(manifest["languages"], value)
        if key == "languages" and parents[0].name is None
        else f"{key} is not what the recipe and the parents mean"
        for key, value in plain.items()
        if not _same(manifest.get(key), value)
    ]
    keys = [*plain, "statistics"]
    problems += [f"statistics do not add up: {what}" for what in _not_added_up(job.plan, manifest["statistics"])]
    if manifest["chatvector"] == __version__:
        keys.append("checks")
        problems += [
            f"checks: {what} is not what was compared" for what in _other_checks(job, files, manifest["checks"])
        ]
    return tuple(keys), tuple(problems)


def _of_recipe_and_parents(job: Job, parents: Sequence[Parent]) -> dict[str, Any]:
    return {
        "recipe": public_recipe(job.recipe),
        "origins": {parent.role: origin(parent) for parent in parents},
        "chat_format": describe(job.choice),
        "vocabulary": job.vocabulary.report.as_dict(),
        "scales": effective_scales(job),
        "copied": copied(job),
        "left_behind": list(job.merge.left_behind),
        "languages": list(parents[0].facts.languages),
    }


def _judged_by_this_version(
    job: Job, parents: Sequence[Parent], verdict: Verdict, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    licences = verdict.as_dict()
    if not manifest.get("run"):  # the publisher may name a licence, and pass over faults
        told = manifest["licences"]
        licences |= {"output": licences["output"] or told["output"]}
        licences |= {key: told[key] for key in ("accepted",) if key in told}
    return {
        "licences": licences,
        "lineage": [None if found is None else found.summary() for found in job.lineage],
        "warnings": without_paths(job.warnings, job, parents),
    }


def _edited_card(told: Sequence[str], meant: Sequence[str]) -> str:
    """Of a target in a directory: unlike a commit on the hub, its card may have been edited after the merge."""
    now, then = (", ".join(map(str, each)) or "none" for each in (meant, told))
    return (
        f"languages: the target's {CARD} names {now}, the manifest {then}; one of the two was edited since the merge,"
        " and no weight depends on it"
    )


def _same(told: object, meant: object) -> bool:
    """Equal, but for the last digits of fractions."""
    if isinstance(meant, float) and isinstance(told, float):
        return math.isclose(told, meant, rel_tol=SAME_NUMBER, abs_tol=SAME_NUMBER)
    if isinstance(meant, dict) and isinstance(told, dict):
        return told.keys() == meant.keys() and all(_same(told[key], value) for key, value in meant.items())
    if isinstance(meant, list) and isinstance(told, list):
        return len(told) == len(meant) and all(map(_same, told, meant))
    return told == meant


def _not_added_up(plan: Plan, told: Mapping[str, Any]) -> Iterator[str]:
    """Which norms of several tensors are not the root of the sum of their squares."""
    tensors: Mapping[str, Mapping[str, Any]] = told["tensors"]
    changed = [tensor for tensor in plan.tensors if tensor.terms]
    if tensors.keys() != {tensor.name for tensor in changed}:
        yield "tensors"
        return
    if not _is_sum_of(told["total"], tensors.values()):
        yield "total"
    for kind, of in (("roles", lambda tensor: tensor.role), ("layers", lambda tensor: tensor.layer)):
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for tensor in changed:
            if of(tensor) is not None:
                groups.setdefault(str(of(tensor)), []).append(tensors[tensor.name])
        if groups.keys() != told[kind].keys():
            yield kind
        else:
            yield from (f"{kind} {name}" for name, parts in groups.items() if not _is_sum_of(told[kind][name], parts))


def _is_sum_of(whole: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]) -> bool:
    total, norms = whole["tau_norm"], [part["tau_norm"] for part in parts]
    if any(len(each) != len(total) for each in norms):
        return False
    return _same(total, [math.hypot(*(each[vector] for each in norms)) for vector in range(len(total))])


def _other_checks(job: Job, files: Mapping[str, bytes], told: Mapping[str, Any]) -> Iterator[str]:
    # How much is compared depends on whether the parents were near when the model was made, which they need not be now.
    possible = [
        {
            "tensors": len(job.plan.tensors),
            "elements": sum(stop - start for _, start, stop in checked_blocks(job.plan, from_afar=far)),
        }
        for far in (False, True)
    ]
    if told.get("weights") not in possible:
        yield "weights"
    chat = json.loads(json.dumps(check_chat_files(files, job.choice, job.target)))
    if {key: value for key, value in told.items() if key == "chat"} != chat:
        yield "chat"
