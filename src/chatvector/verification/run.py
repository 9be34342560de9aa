# SPDX-License-Identifier: Apache-2.0
"""`verify` in numbered steps, and the plan of the parents that a manifest names.

Everything is read anew: the parents from the places that the manifest names, the output from its files. With the
parents, weights and side files are made again and compared; without them (a published manifest names no places) what
the output alone can show is checked, and the report says what was left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from chatvector import __version__
from chatvector.checkpoint.locate import open_storage
from chatvector.checkpoint.remote import RemoteStorage
from chatvector.checkpoint.storage import Storage
from chatvector.errors import HubError, InputError, UsageError, first_five
from chatvector.messages import Say, silent
from chatvector.preparation import Job, prepare
from chatvector.provenance.manifest import MANIFEST, parse_manifest
from chatvector.rerun import changed_parents, manifest_bytes, recipe_of
from chatvector.verification.reply import check_reply
from chatvector.verification.report import Check, Verification
from chatvector.verification.subjects import (
    Started,
    check_files,
    check_made_again,
    check_model,
    check_weights,
    open_output,
)


def verify(
    output: str,
    *,
    full: bool = False,
    generate: bool | None = None,
    threads: int | None = None,
    started: Started = lambda _job, _total: lambda _nbytes: None,
    say: Say = silent,
) -> Verification:
    """Verify the model `output` by its manifest.

    Args:
        output: a model made by `apply` or `run`, as `Checkpoint.open` takes names.
        full: compute every element and hash every file again, instead of a sample.
        generate: let it write a reply through transformers, downloading a model from afar for it; None when that is
            installed and the model is small (`reply.GENERATE_BYTES`, `reply.DOWNLOAD_BYTES`).
        threads: at most so many for the arithmetic.
        started: called with the job and the bytes to compare; what it returns is told of progress.
        say: takes lines for people.

    Raises MissingInput without a manifest or when a parent is gone, InputError for a manifest of another version or
    parents that changed, UsageError for a vector's manifest, HubError, MissingExtra when a reply is asked for and
    transformers is not installed, NotEnoughSpace when it is asked for and the download does not fit. Differences are no
    exception: see `Verification.ok`.
    """
    # 1. The manifest.
    storage, revision = open_storage(output, say, stream=True)
    with ExitStack() as opened:
        if isinstance(storage, RemoteStorage):
            opened.callback(storage.close)
        return _verify(
            storage, output, revision, full=full, generate=generate, threads=threads, started=started, say=say
        )


def _verify(
    storage: Storage,
    output: str,
    revision: str | None,
    *,
    full: bool,
    generate: bool | None,
    threads: int | None,
    started: Started,
    say: Say,
) -> Verification:
    listing = storage.listing()
    manifest = parse_manifest(manifest_bytes(storage, listing, output, revision), f"{output}/{MANIFEST}")
    if manifest["kind"] != "model":
        raise UsageError(f"{output}: is a vector, not a merged model; verify a model that was made with it")
    notes = list(_notes(manifest))
    with ExitStack() as stack:
        # 2. The parents, as they are today, and the plan that they make.
        job = job_of(manifest, output, stack, say, full=full)
        # 3. Files, sizes, digests.
        checks = [check_files(manifest, storage, listing, notes, full=full)]
        model = open_output(storage, output, stack)
        # 4. The weights, computed again; beside them, as they need no interpreter, the model by itself (configuration,
        #    tokenizer, conversations, tokens, stop ids), the side files and the manifest's own account.
        with ThreadPoolExecutor(1, "side-files") as beside:
            alone = beside.submit(check_model, model, notes)
            if isinstance(job, str):
                checks += [Check(name, None, job) for name in ("weights", "side files", "manifest")]
            else:
                again = beside.submit(check_made_again, job, manifest, storage, listing, say)
                checks.append(check_weights(job, model, started, full=full, threads=threads))
                checks += again.result()
            checks.append(alone.result())
        # 5. A reply.
        checks.append(check_reply(storage, checks, generate, say))
    return Verification(output, tuple(checks), tuple(notes))


def _notes(manifest: Mapping[str, Any]) -> Iterator[str]:
    if manifest.get("chatvector") != __version__:
        yield f"written by chatvector {manifest.get('chatvector')}, verified by {__version__}"


def job_of(manifest: Mapping[str, Any], output: str, stack: ExitStack, say: Say, *, full: bool = False) -> Job | str:
    """The plan of the parents that the manifest of the model `output` names, or why there is none.

    Unless `full`, models on the hub are read by range. Raises InputError for parents that are gone or have changed,
    UsageError, HubError.
    """
    where = f"{output}/{MANIFEST}"
    published = not manifest.get("run")
    try:
        # What lineage thinks of the parents was said when the model was made.
        recipe = recipe_of(manifest, where).model_copy(update={"force_lineage": True})
    except UsageError as problem:
        if not published:
            raise
        return f"nothing is computed again: {problem}"
    try:
        job = prepare(recipe, stack, say, stream=None if full else True)
    except HubError as problem:
        if not published:
            raise
        return f"nothing is computed again: the parents on the hub cannot be read ({problem})"
    except InputError as problem:
        raise type(problem)(f"{output}: its parents cannot be read any more: {problem}") from problem
    changed = changed_parents(manifest, job)
    if changed:
        raise InputError(
            f"{output}: {len(changed)} of {len(manifest['parents'])} parents are no longer what they were:"
            f" {first_five(changed)}; verify against the parents it was made from"
        )
    return job
