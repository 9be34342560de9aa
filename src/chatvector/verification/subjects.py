# SPDX-License-Identifier: Apache-2.0
"""The subjects of `verify`, but for the reply: files, weights, side files and manifest, and the model by itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from chatvector.checkpoint.files import ADAPTER, INDEX, is_side_file
from chatvector.checkpoint.storage import Storage
from chatvector.checks.doctor.examine import Diagnosis, examine_opened
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.recompute import Advance, Comparison, compare
from chatvector.errors import InputError, first_five
from chatvector.messages import Say
from chatvector.origins import parents_of
from chatvector.output_files import index_bytes, side_files
from chatvector.preparation import Job
from chatvector.provenance.licences import judge
from chatvector.provenance.manifest import MANIFEST
from chatvector.verification.account import check_account
from chatvector.verification.report import Check

Started = Callable[[Job, int], Advance]

# Files that are hashed without --full, where a digest is recorded: everything but weights.
SMALL_FILE_BYTES = 64 << 20


def check_files(
    manifest: Mapping[str, Any], storage: Storage, listing: Mapping[str, int], notes: list[str], *, full: bool
) -> Check:
    """Names, sizes and recorded digests (with `full` also those of weights). What no loader reads goes into `notes`."""
    recorded: Mapping[str, Mapping[str, Any]] = manifest["files"]
    problems: list[str] = []
    hashed = 0
    for name, facts in recorded.items():
        if name not in listing:
            (problems if _matters(name) else notes).append(f"{name} is missing")
        elif listing[name] != facts["bytes"]:
            line = f"{name} has {listing[name]} bytes, {facts['bytes']} were written"
            (problems if _matters(name) else notes).append(line)
        elif "sha256" in facts and (full or facts["bytes"] <= SMALL_FILE_BYTES):
            hashed += 1
            if _sha256(storage, name, facts["bytes"]) != facts["sha256"]:
                (problems if _matters(name) else notes).append(f"{name}: its SHA-256 is another one")
    for name in sorted(listing.keys() - recorded.keys() - {MANIFEST}):
        if _matters(name):
            problems.append(f"{name} was not there when the model was made")
        elif name not in ("README.md", ".gitattributes"):  # the hub writes the latter
            notes.append(f"{name} was not there when the model was made; no loader reads it")
    summary = f"{len(recorded)} files, sizes as recorded" + (f", {hashed} digests" if hashed else "")
    return Check("files", not problems, summary, tuple(problems), {"files": len(recorded), "digests": hashed})


def _matters(name: str) -> bool:
    """Whether a loader would read the file."""
    return is_side_file(name) or name in (INDEX, ADAPTER) or name.endswith((".safetensors", ".bin", ".pt", ".gguf"))


def _sha256(storage: Storage, name: str, nbytes: int) -> str:
    digest = hashlib.sha256()
    source = storage.open(name)
    try:
        buffer = bytearray(min(nbytes, 1 << 22) or 1)
        for start in range(0, nbytes, len(buffer)):
            part = memoryview(buffer)[: min(len(buffer), nbytes - start)]
            source.read_into(start, part)
            digest.update(part)
    finally:
        source.close()
    return digest.hexdigest()


def open_output(storage: Storage, output: str, stack: ExitStack) -> Patient | str:
    """The output, opened leniently; why not, when no weights can be read at all."""
    try:
        model = Patient(storage, output)
    except InputError as problem:
        return str(problem)
    stack.callback(model.weights.close)
    return model


def check_weights(job: Job, model: Patient | str, started: Started, *, full: bool, threads: int | None) -> Check:
    """Headers as they were laid out, and elements computed again from the parents: a sample, or with `full` all."""
    if isinstance(model, str):
        return Check("weights", False, "cannot be read", (model,))
    total = sum(tensor.elements * tensor.dtype.bits // 8 for tensor in job.plan.tensors)
    problems = [f"{file}: {reason}" for file, reason in model.damaged.items()]
    for shard in job.plan.shards:
        header = model.headers.get(shard.file)
        if header is not None and header.raw != shard.header[8:]:
            problems.append(f"{shard.file}: its header is laid out otherwise")
    found: Comparison = compare(
        job.plan, model.weights, full=full, threads=threads, advance=started(job, total if full else 0)
    )
    if found.differences:
        said = first_five(found.differences)
        problems.append(f"{len(found.differences)} of {found.tensors} tensors differ from the recipe: {said}")
    share = found.elements / max(1, found.of_elements)
    extent = "all" if full else f"a sample of {share:.2%}"
    summary = f"{found.tensors} tensors, {found.elements:,} of {found.of_elements:,} elements computed again ({extent})"
    figures = {
        "full": full,
        "tensors": found.tensors,
        "elements": found.elements,
        "of_elements": found.of_elements,
        "differing": [
            {"tensor": one.tensor, "reason": one.reason, "elements": one.elements, "first": one.first}
            for one in found.differences
        ],
    }
    return Check("weights", not problems, summary, tuple(problems), figures)


def check_made_again(
    job: Job, manifest: Mapping[str, Any], storage: Storage, listing: Mapping[str, int], say: Say
) -> list[Check]:
    """Two checks: the side files, byte for byte, and the manifest's own account."""
    parents = parents_of(job, say)
    verdict = judge(parents)
    files = side_files(job, verdict) | index_bytes(job.plan, job.target)
    subjects, problems = check_account(job, parents, verdict, files, manifest)
    told = Check("manifest", not problems, f"{', '.join(subjects)} as the recipe and the parents mean them", problems)
    return [_side_files(files, storage, listing), told]


def _side_files(expected: Mapping[str, bytes], storage: Storage, listing: Mapping[str, int]) -> Check:
    problems = [
        f"{name} {'is missing' if name not in listing else _difference(storage.read(name), data)}"
        for name, data in sorted(expected.items())
        if name not in listing or storage.read(name) != data
    ]
    summary = f"{len(expected)} files made again, byte for byte"
    return Check("side files", not problems, summary, tuple(problems), {"files": sorted(expected)})


def _difference(found: bytes, expected: bytes) -> str:
    """Which keys of two JSON objects differ; else the first byte."""
    try:
        left, right = json.loads(found), json.loads(expected)
    except (ValueError, RecursionError):
        left = right = None
    if isinstance(left, dict) and isinstance(right, dict):
        keys = [key for key in {**right, **left} if key not in left or key not in right or left[key] != right[key]]
        if keys:
            return f"differs in {first_five(keys)}"
    pairs = zip(found, expected, strict=False)
    place = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(found), len(expected)))
    return f"differs from byte {place} on"


def check_model(model: Patient | str, notes: list[str]) -> Check:
    """What `doctor` finds of the model alone: its faults are problems, its warnings go into `notes`."""
    if isinstance(model, str):
        return Check("model", False, "cannot be read", (model,))
    found: Diagnosis = examine_opened(model)
    notes += [f"{one.code}: {one.detail}" for one in found.findings if one.level == "warning"]
    chat = found.chat
    idle = [repr(health.token) for health in chat.rows if health.untrained]
    rows = f"{len(chat.rows)} rows trained" if not idle else f"{len(chat.rows)} rows, untrained {first_five(idle)}"
    summary = (
        f"configuration against weights, tokenizer against embedding, {len(chat.conversations)} conversations"
        f" ({', '.join(chat.conversations) or 'no template'}), {len(chat.template_tokens)} tokens one id each,"
        f" {rows}, stop ids {chat.stop_ids}"
    )
    problems = tuple(f"{one.code}: {one.detail}" for one in found.faults)
    figures = {
        "conversations": list(chat.conversations),
        "template_tokens": dict(chat.template_tokens),
        "stop_ids": list(chat.stop_ids),
        "rows": [vars(health) for health in chat.rows],
    }
    return Check("model", not problems, summary, problems, figures)
