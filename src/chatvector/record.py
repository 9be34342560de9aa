# SPDX-License-Identifier: Apache-2.0
"""The manifest's data about a run: everything reproducible first; what belongs to this machine is under `run`."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatvector import __version__
from chatvector.arithmetic.execute import Outcome
from chatvector.arithmetic.statistics import report
from chatvector.checkpoint.names import resolve
from chatvector.origins import origin, without_paths
from chatvector.preparation import Job
from chatvector.provenance.licences import Verdict
from chatvector.provenance.manifest import FORMAT, MANIFEST
from chatvector.recipe import Recipe
from chatvector.vocabulary.choice import describe


def merge_manifest(
    job: Job,
    verdict: Verdict,
    outcome: Outcome,
    checks: Mapping[str, Any],
    started: float,
    output: Path | str,
    place: Path,
) -> dict[str, Any]:
    """The manifest of a merged model.

    Args:
        job: what was planned.
        verdict: the parents' names and licences, and what the licences require.
        outcome: result of the executor.
        checks: results of the checks on the written files.
        started: when the run began, seconds since the epoch.
        output: final place of the model; this path and those in the recipe are recorded under `run` only.
        place: the staging directory, from which sizes and digests of the files are taken.
    """
    parents = [found.parent for found in verdict.found]
    return {
        "format": FORMAT,
        "kind": "model",
        "chatvector": __version__,
        "plan": job.plan.hash,
        "recipe": public_recipe(job.recipe),
        "origins": {parent.role: origin(parent) for parent in parents},
        "parents": dict(job.fingerprints),
        "chat_format": describe(job.choice),
        "vocabulary": job.vocabulary.report.as_dict(),
        "scales": effective_scales(job),
        "copied": copied(job),
        "left_behind": list(job.merge.left_behind),
        "lineage": [None if verdict is None else verdict.summary() for verdict in job.lineage],
        "statistics": report(job.plan, outcome.sums, len(job.vectors)),
        "checks": dict(checks),
        "languages": list(parents[0].facts.languages),
        "licences": verdict.as_dict(),
        "warnings": without_paths(job.warnings, job, parents),
        "files": output_listing(place, sha256=job.recipe.sha256),
        "run": {
            "recipe": _placed(job.recipe),
            "revisions": _revisions(job),
            "warnings": list(job.warnings),
            "output": str(output),
            **run_section(started, outcome, job.plan.bytes_read, job.plan.bytes_written),
        },
    }


def public_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe without paths; a template file is given by its name alone."""
    chat_format = recipe.chat_format
    return recipe.identity() | {"chat_format": Path(chat_format).name if names_a_file(chat_format) else chat_format}


def _placed(recipe: Recipe) -> dict[str, Any]:
    """The recipe with absolute paths, so that it runs again from anywhere."""
    document = recipe.model_dump(mode="json", exclude_defaults=True)
    document["target"] = _absolute(document["target"])
    if names_a_file(recipe.chat_format):
        document["chat_format"] = str(Path(recipe.chat_format).expanduser().absolute())
    for vector in document["vectors"]:
        for key in vector.keys() & {"base", "chat", "vector"}:
            vector[key] = _absolute(vector[key])
    return document


def names_a_file(chat_format: str) -> bool:
    """Whether the chat format is a template file rather than the target's or a vector's."""
    return re.fullmatch(r"auto|target|vector(:\d+)?", chat_format) is None


def _absolute(name: str) -> str:
    location = resolve(name)
    return str(Path(location.path).absolute()) if location.kind == "local" and location.path else name


def run_section(started: float, outcome: Outcome, bytes_read: int, bytes_written: int) -> dict[str, Any]:
    """Time, bytes and memory of this run on this machine; never published."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        "bytes_read": bytes_read,
        "bytes_written": bytes_written,
        "bytes_kept_from_earlier_run": outcome.reused_bytes,
        "peak_memory_bytes": peak_memory_bytes(),
        "threads": outcome.threads,
        "engine": outcome.engine,
        "python": sys.version.split()[0],
    }


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def output_listing(place: Path, *, sha256: bool) -> dict[str, Any]:
    """Size, and on request SHA-256, of every file of the output except the manifest, lock and journal."""
    listing: dict[str, Any] = {}
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder) / name
            relative = path.relative_to(place).as_posix()
            if relative.startswith(".") or relative == MANIFEST:
                continue
            listing[relative] = {"bytes": path.stat().st_size}
            if sha256:
                with open(path, "rb") as file:
                    listing[relative]["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return dict(sorted(listing.items()))


def effective_scales(job: Job) -> list[dict[str, Any]]:
    """For each vector: the rules with their scales and numbers of tensors, and the scale of every tensor."""
    found: list[dict[str, Any]] = []
    for number, _ in enumerate(job.vectors):
        rules: dict[str, int] = {}
        tensors: dict[str, float] = {}
        for tensor in job.plan.tensors:
            for term in tensor.terms:
                if term.vector == number:
                    rules[term.rule] = rules.get(term.rule, 0) + 1
                    tensors[tensor.name] = term.scale
        found.append({"rules": rules, "tensors": tensors})
    return found


def copied(job: Job) -> dict[str, list[str]]:
    """Names of the tensors copied from the target, by the reason for it."""
    derived = set(job.merge.derived)
    untouched = [
        tensor.name
        for tensor in job.plan.tensors
        if not tensor.terms and tensor.transplant is None and tensor.name not in derived
    ]
    return {"derived_buffers": list(job.merge.derived), "scale_zero": untouched}


def _revisions(job: Job) -> dict[str, str]:
    """Hub name → commit that was read."""
    return {model.name: model.revision for model in job.models if model.revision is not None}
