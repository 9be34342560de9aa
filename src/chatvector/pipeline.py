# SPDX-License-Identifier: Apache-2.0
"""`apply`: recipe → plan → execute → side files → checks → manifest, card → the output appears."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.arithmetic.execute import Progress, choose_threads, execute
from chatvector.checkpoint.hub import require_cache_space
from chatvector.checkpoint.names import is_store
from chatvector.checkpoint.staging import (
    Staging,
    allocated_bytes,
    check_output_place,
    free_bytes,
    open_staging,
    output_path,
    stagings_of,
)
from chatvector.checks.selfcheck import check_chat_files, check_output
from chatvector.errors import InputError, NotEnoughSpace, OutputRefused, ReadFailed, UsageError, VerificationFailed
from chatvector.messages import Say, silent
from chatvector.origins import parents_of
from chatvector.output_files import index_bytes, side_files
from chatvector.preparation import Job, prepare, transfers
from chatvector.provenance.card import model_card, with_card
from chatvector.provenance.licences import judge
from chatvector.provenance.manifest import MANIFEST, read_manifest, to_bytes
from chatvector.provenance.parent_cards import CARD
from chatvector.recipe import Recipe
from chatvector.record import merge_manifest
from chatvector.sizes import disk_size

if TYPE_CHECKING:
    from chatvector.checkpoint.object_store_output import ObjectOutput

# Side files, header rounding and the file system's own bookkeeping.
DISK_MARGIN_BYTES = 64 << 20


@dataclass(frozen=True)
class Result:
    """What a run made: its directory (the staging place, if it was uploaded to an object store), and its manifest."""

    output: Path
    manifest: Mapping[str, Any]


def apply(
    recipe: Recipe,
    *,
    restart: bool = False,
    progress: Callable[[Job], Progress | None] = lambda _job: None,
    say: Say = silent,
) -> Result:
    """Make the model of `recipe` and write it to `recipe.output`.

    Args:
        recipe: what to do; `output` must be set.
        restart: discard what an interrupted run left instead of continuing it.
        progress: called with the job once it is planned; the object it returns is told of every finished unit.
        say: receives lines for people (continued runs, downloads).

    Raises UsageError, InputError (and kinds: MissingInput, DamagedFile, UnsupportedFormat, IncompatibleParents,
    LineageError, NonFiniteValues), NotEnoughSpace, HubError, VerificationFailed. Whatever is raised, inputs are
    unchanged and no output appears. After a full disk, an interruption or an unreadable input, the same call continues
    the run.
    """
    started = time.time()
    output = output_place(recipe)
    with ExitStack() as stack:
        # 1. Recipe → three checkpoints → compatibility and lineage → row maps and chat format → plan.
        check_output_place(output, [])
        remote = _store_of(recipe, say, restart=restart)
        job = prepare_whole(recipe, stack, say)
        check_places(job, say)
        choose_threads(job.plan, recipe.memory_bytes, recipe.threads)
        meter = progress(job)
        verdict = judge(parents_of(job, say))
        for line in verdict.conflicts:
            say(f"warning: licences: {line}")
        for line in verdict.undetermined:
            say(f"licences: {line}")
        files = side_files(job, verdict) | index_bytes(job.plan, job.target)
        chat = check_chat_files(files, job.choice, job.target)
        require_space(output, job.plan.bytes_written, job.plan.hash)
        # 2. Execute, in a staging directory beside the output.
        staging = stack.enter_context(open_staging(output, job.plan.hash, restart=restart, on_resume=say))
        if remote is not None and remote.continue_from(staging.path):
            say(f"{remote.url}: the interrupted run had sent it all")
            manifest = read_manifest(staging.path / MANIFEST)
            staging.discard()
            return Result(output, manifest)
        with discarded_on_failure(staging):
            outcome = execute(
                job.plan,
                staging,
                memory=recipe.memory_bytes,
                threads=recipe.threads,
                full=recipe.stats == "full",
                progress=meter,
            )
            # 3. Side files.
            for name, data in files.items():
                staging.write_file(name, data)
            # 4. Checks on what was written, not on what was meant.
            checks = check_output(job.plan, staging.path, job.vocabulary, files) | chat
            # 5. Manifest and model card, then the rename, or the upload with the manifest last.
            place = output if remote is None else remote.url
            manifest = with_card(merge_manifest(job, verdict, outcome, checks, started, place, staging.path))
            staging.write_file(CARD, model_card(manifest).encode())
            staging.write_file(MANIFEST, to_bytes(manifest))
            if remote is None:
                staging.publish()
            else:
                remote.upload(staging.path, say)
                staging.discard()
    return Result(output, manifest)


def prepare_whole(recipe: Recipe, stack: ExitStack, say: Say) -> Job:
    """`prepare`, but hub models are downloaded only after a plan made from byte ranges has shown that they fit.

    Raises what `prepare` raises, if possible before the first gigabyte, and NotEnoughSpace when the disk does not hold
    all models together.
    """
    if recipe.stream:
        return prepare(recipe, stack, say)
    with ExitStack() as early:
        job = prepare(recipe, early, say, stream=True)
        check_places(job, say)
        missing = [one for one in transfers(job) if not one.by_range_only]
        if not missing:
            stack.push(early.pop_all())
            return job
        require_cache_space(sum(one.nbytes_missing for one in missing))
    return prepare(recipe, stack, say)


def output_place(recipe: Recipe) -> Path:
    """The output directory of a recipe, or the staging directory of an output that goes to an object store.

    Raises UsageError when the recipe names none, OutputRefused where no output can be made.
    """
    if not recipe.output:
        raise UsageError("no output given; name a directory with -o")
    if is_store(recipe.output):
        from chatvector.checkpoint.object_store_output import staging_place

        return _writable_staging(staging_place(recipe.output), recipe.output)
    return output_path(recipe.output)


def _writable_staging(place: Path, url: str) -> Path:
    """Return `place`. Raises OutputRefused where an output for `url` cannot be staged there."""
    existing = next(folder for folder in place.parents if os.path.exists(folder))
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        reason = "may not be written" if existing.is_dir() else "is a file"
        raise OutputRefused(
            f"{url}: is made in {place.parent} before it is sent, and {existing} {reason}; set CHATVECTOR_STAGING to"
            " a directory of yours"
        )
    return place


def _store_of(recipe: Recipe, say: Say, *, restart: bool = False) -> ObjectOutput | None:
    """The output's place in an object store; None when it goes to a directory.

    Raises OutputRefused when the output is there already, or may be whole and `restart` would make it anew.
    """
    if not recipe.output or not is_store(recipe.output):
        return None
    from chatvector.checkpoint.object_store_output import ObjectOutput

    output = ObjectOutput(recipe.output, MANIFEST, say)
    staged = output_place(recipe)
    output.refuse_existing(stagings_of(staged) if staged.parent.is_dir() else (), restart=restart)
    return output


def check_places(job: Job, say: Say = silent) -> None:
    """Refuse an output that exists or overlaps an input, when one is named. Raises OutputRefused."""
    if not job.recipe.output:
        return
    check_output_place(output_place(job.recipe), local_inputs(job))
    if (remote := _store_of(job.recipe, say)) is not None:
        remote.refuse_overlap([model.name for model in job.models])


def local_inputs(job: Job) -> list[Path]:
    """The directories that are read; nothing may be written into them."""
    places = [Path(model.local_path) for model in job.models if model.local_path is not None]
    return places + [Path(spec.vector).expanduser() for spec in job.recipe.vectors if spec.vector is not None]


def require_space(output: Path, nbytes: int, plan_hash: str) -> None:
    """Raise NotEnoughSpace when the disk cannot take `nbytes` more. What an earlier run reserved is deducted."""
    needed = nbytes + DISK_MARGIN_BYTES - allocated_bytes(output, plan_hash)
    free = free_bytes(output)
    if free < needed:
        raise NotEnoughSpace(
            f"{output.parent}: {disk_size(free)} free, {disk_size(needed)} needed; free space or choose another disk"
        )


@contextmanager
def discarded_on_failure(staging: Staging) -> Iterator[None]:
    """Remove the staging directory when continuing it makes no sense: the inputs or the result are wrong.

    A parent that could not be read is not wrong: what was done stays, and the same command continues.
    """
    try:
        yield
    except ReadFailed:
        raise
    except (InputError, VerificationFailed):
        staging.discard()
        raise
