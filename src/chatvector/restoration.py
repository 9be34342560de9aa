# SPDX-License-Identifier: Apache-2.0
"""Recreate lost or damaged side files of a merged model from the parents that its manifest names.

What `apply` wrote follows from the recipe and the parents' files alone, so a chat template or a generation
configuration that went missing can be made again, byte for byte. This needs the same parents: their fingerprints, which
hold the SHA-256 of each side file, must be those of the manifest, and every file made must have the size (and the
digest, where one was recorded) that the manifest gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from chatvector.checks.doctor.patient import Patient
from chatvector.errors import ChatVectorError
from chatvector.messages import Say
from chatvector.origins import parents_of
from chatvector.output_files import index_bytes, side_files
from chatvector.preparation import Job
from chatvector.provenance.licences import judge
from chatvector.provenance.manifest import MANIFEST, parse_manifest
from chatvector.verification import job_of

# Findings about side files that are a reason to restore, as is a missing file.
OF_SIDE_FILES = frozenset(
    {
        "config-missing",
        "config-damaged",
        "file-unreadable",
        "side-file-damaged",
        "config-leak",
        "config-values",
        "vocab-size",
        "tokenizer-missing",
        "tokenizer-damaged",
        "tokenizer-larger",
        "tokenizer-class",
        "token-split",
        "ids-beyond-vocab",
        "ids-of-another-family",
        "bos-differs",
        "template-missing",
        "template-absent",
        "template-damaged",
        "templates-differ",
        "template-one-place",
        "template-ignores-user",
        "template-tokens-missing",
        "turn-end-is-text",
        "stop-missing",
        "stop-unknown",
        "generation-config-missing",
    }
)


@dataclass(frozen=True)
class Restored:
    """The side files that were made again.

    Attributes:
        files: name → bytes of the files that the model lacks or holds with other bytes; {} when none needs restoring.
        parents: the parents they were made from, named as in the manifest; () when nothing was made.
        reason: why nothing was made although restoring was needed; None otherwise.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    reason: str | None = None


def restore(model: Patient, codes: Collection[str], say: Say) -> Restored:
    """Make the side files as `apply` wrote them, if the model has a manifest and its side files are at fault.

    Args:
        model: the merged model.
        codes: codes of the findings of `doctor`.
        say: receives lines for people.

    Problems with the manifest or its parents are not raised: they are the `reason` of the result.
    """
    if MANIFEST not in model.listing:
        return Restored()
    with ExitStack() as stack:
        try:
            manifest = parse_manifest(model.storage.read(MANIFEST), f"{model.name}/{MANIFEST}")
            written: Mapping[str, Mapping[str, object]] = manifest["files"]
            lost = [name for name in written if name not in model.listing and name.endswith((".json", ".jinja"))]
            if not lost and OF_SIDE_FILES.isdisjoint(codes):
                return Restored()
            job = job_of(manifest, model.name, stack, say)
            if isinstance(job, str):
                return Restored(reason=job)
            made = _made(job, say)
        except ChatVectorError as problem:
            return Restored(reason=str(problem))
        otherwise = [name for name in made if name not in written or not _is(made[name], written[name])]
        if otherwise:
            return Restored(
                reason=f"this version makes {', '.join(sorted(otherwise))} otherwise than the manifest says"
            )
        files = {
            name: data for name, data in made.items() if name not in model.listing or model.storage.read(name) != data
        }
        return Restored(files, tuple(parent.name for parent in job.models) if files else ())


def _made(job: Job, say: Say) -> dict[str, bytes]:
    return side_files(job, judge(parents_of(job, say))) | index_bytes(job.plan, job.target)


def _is(data: bytes, recorded: Mapping[str, object]) -> bool:
    """Whether a file has the size, and the digest if there is one, that the manifest recorded."""
    digest = recorded.get("sha256")
    return len(data) == recorded["bytes"] and digest in (None, hashlib.sha256(data).hexdigest())
