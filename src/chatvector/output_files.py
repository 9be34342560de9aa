# SPDX-License-Identifier: Apache-2.0
"""The side files of a merged model: the target's, byte for byte, except the few that the chat format changes."""

from __future__ import annotations

import json

from chatvector.arithmetic.plan import Plan
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.files import safetensors_name
from chatvector.preparation import Job
from chatvector.provenance.licences import Verdict, licence_files, notice_file
from chatvector.vocabulary.files import output_side_files


def side_files(job: Job, verdict: Verdict) -> dict[str, bytes]:
    """All side files of the output by name, including remote code and all parents' licences and notices."""
    files = own_files(job)
    files |= licence_files([found.parent for found in verdict.found], files)
    return files | notice_file(verdict, files)


def own_files(job: Job, *, untie: bool | None = None) -> dict[str, bytes]:
    """The side files by name, without the licences: the target's, with the changes that the chat format makes.

    `untie`: clear the flag that ties head and embedding. None: clear it where the plan says so (`MergePlan.unties`).
    The target's README is left behind: it describes another model. Raises DamagedFile, UsageError.
    """
    chat = None if job.choice.vector is None else job.vectors[job.choice.vector].chat
    changed = output_side_files(
        job.target,
        job.vocabulary,
        job.choice,
        chat,
        system_prompt=job.recipe.system_prompt,
        tie_word_embeddings=False if (job.merge.unties if untie is None else untie) else None,
    )
    kept = {name: job.target.read_file(name) for name in job.target.files if name not in changed}
    return kept | {name: data for name, data in changed.items() if data is not None}


def index_bytes(plan: Plan, target: Checkpoint) -> dict[str, bytes]:
    """The index of a sharded output, written anew; nothing for a single file."""
    if target.model_files.index is None:
        return {}
    total = sum((tensor.dtype.bits // 8) * tensor.elements for tensor in plan.tensors)
    document = {
        "metadata": {"total_size": total},
        "weight_map": {tensor.name: tensor.file for tensor in sorted(plan.tensors, key=lambda one: one.name)},
    }
    return {safetensors_name(target.model_files.index): (json.dumps(document, indent=2) + "\n").encode()}
