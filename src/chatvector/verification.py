# SPDX-License-Identifier: Apache-2.0
"""`verify`: is a merged model what its manifest says, and is it a chat model?

Everything is read anew: the parents from the places that the manifest names, the output from its files. With the
parents, weights and side files are made again and compared; without them (a published manifest names no places) what
the output alone can show is checked, and the report says what was left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatvector import __version__
from chatvector.account import check_account
from chatvector.checkpoint.files import ADAPTER, INDEX, is_side_file
from chatvector.checkpoint.locate import open_storage
from chatvector.checkpoint.remote import RemoteStorage
from chatvector.checkpoint.storage import LocalDirectory, Storage
from chatvector.checks.doctor.examine import Diagnosis, examine_opened
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.recompute import Advance, Comparison, compare
from chatvector.errors import HubError, InputError, NotEnoughSpace, UsageError, first_five
from chatvector.origins import parents_of
from chatvector.output_files import index_bytes, side_files
from chatvector.preparation import Job, prepare
from chatvector.provenance.licences import judge
from chatvector.provenance.manifest import MANIFEST, parse_manifest
from chatvector.rerun import changed_parents, manifest_bytes, recipe_of
from chatvector.sizes import disk_size

Say = Callable[[str], None]
Started = Callable[[Job, int], Advance]

# Files that are hashed without --full, where a digest is recorded: everything but weights.
SMALL_FILE_BYTES = 64 << 20
# Without --generate or --no-generate a reply is written when the weights take at most so many bytes: float32 copies of
# them then fit a laptop, and the reply takes seconds.
GENERATE_BYTES = 1 << 30
# The same for a model that would have to be downloaded first.
DOWNLOAD_BYTES = 256 << 20
PROMPTS = ("Hello!", "안녕하세요?", "你好", "こんにちは")
REPLY_TOKENS = 256


@dataclass(frozen=True)
class Check:
    """One subject.

    Attributes:
        name: `files`, `weights`, `side files`, `manifest`, `model` or `reply`.
        ok: None when it could not be checked.
        summary: what was compared, or why not.
        problems: one line each.
        figures: numbers and names, for machines.
    """

    name: str
    ok: bool | None
    summary: str
    problems: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """The report. `notes` are things worth knowing that are no difference."""

    output: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing differs; what could not be checked does not count."""
        return all(check.ok is not False for check in self.checks)

    @property
    def problems(self) -> tuple[str, ...]:
        """All problems, each with its subject before it."""
        return tuple(f"{check.name}: {problem}" for check in self.checks for problem in check.problems)

    @property
    def summary(self) -> str:
        """One line."""
        kinds = {ok: ", ".join(check.name for check in self.checks if check.ok is ok) for ok in (True, False, None)}
        text = (
            f"differences ({len(self.problems)}) in {kinds[False]}; as it should be:" if kinds[False] else "verified:"
        )
        return f"{text} {kinds[True] or 'nothing'}" + (f"; not checked: {kinds[None]}" if kinds[None] else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain data: schema in docs/verify.md."""
        checks = [
            {
                "name": check.name,
                "ok": check.ok,
                "summary": check.summary,
                "problems": list(check.problems),
                "figures": dict(check.figures),
            }
            for check in self.checks
        ]
        return {
            "output": self.output,
            "ok": self.ok,
            "summary": self.summary,
            "checks": checks,
            "notes": list(self.notes),
        }


def verify(
    output: str,
    *,
    full: bool = False,
    generate: bool | None = None,
    threads: int | None = None,
    started: Started = lambda _job, _total: lambda _nbytes: None,
    say: Say = lambda _line: None,
) -> Verification:
    """Verify the model `output` by its manifest.

    Args:
        output: a model made by `apply` or `run`, as `Checkpoint.open` takes names.
        full: compute every element and hash every file again, instead of a sample.
        generate: let it write a reply through transformers, downloading a model from afar for it; None when that is
            installed and the model is small (`GENERATE_BYTES`, `DOWNLOAD_BYTES`).
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
        checks = [_files(manifest, storage, listing, notes, full=full)]
        model = _open(storage, output, stack)
        # 4. The weights, computed again; beside them, as they need no interpreter, the model by itself (configuration,
        #    tokenizer, conversations, tokens, stop ids), the side files and the manifest's own account.
        with ThreadPoolExecutor(1, "side-files") as beside:
            alone = beside.submit(_model, model, notes)
            if isinstance(job, str):
                checks += [Check(name, None, job) for name in ("weights", "side files", "manifest")]
            else:
                again = beside.submit(_made_again, job, manifest, storage, listing, say)
                checks.append(_weights(job, model, started, full=full, threads=threads))
                checks += again.result()
            checks.append(alone.result())
        # 5. A reply.
        checks.append(_reply(storage, checks, generate, say))
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


def _files(
    manifest: Mapping[str, Any], storage: Storage, listing: Mapping[str, int], notes: list[str], *, full: bool
) -> Check:
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


def _open(storage: Storage, output: str, stack: ExitStack) -> Patient | str:
    """The output, opened leniently; why not, when no weights can be read at all."""
    try:
        model = Patient(storage, output)
    except InputError as problem:
        return str(problem)
    stack.callback(model.weights.close)
    return model


def _weights(job: Job, model: Patient | str, started: Started, *, full: bool, threads: int | None) -> Check:
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


def _made_again(
    job: Job, manifest: Mapping[str, Any], storage: Storage, listing: Mapping[str, int], say: Say
) -> list[Check]:
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


def _model(model: Patient | str, notes: list[str]) -> Check:
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


def _reply(storage: Storage, checks: list[Check], generate: bool | None, say: Say) -> Check:
    """Load through transformers with an empty load report, and let it answer; from afar it is downloaded for that."""
    if generate is False:
        return Check("reply", None, "not asked for")
    if any(check.ok is False for check in checks):
        return Check("reply", None, "left out: what is loaded is not what was meant")
    if not checks[-1].figures["conversations"]:
        return Check("reply", None, "the model has no chat template")
    nbytes = sum(size for name, size in storage.listing().items() if name.endswith(".safetensors"))
    here = isinstance(storage, LocalDirectory)
    if generate is None:
        from importlib.util import find_spec

        if find_spec("torch") is None or find_spec("transformers") is None:
            return Check("reply", None, "needs an optional part: pip install 'chatvector[local]'")
        if nbytes > (GENERATE_BYTES if here else DOWNLOAD_BYTES):
            verb = "loads" if here else "downloads and loads"
            return Check("reply", None, f"{disk_size(nbytes)} of weights; --generate {verb} them")
    if isinstance(storage, LocalDirectory):
        return _speak(storage.path)
    assert isinstance(storage, RemoteStorage)
    with ExitStack() as stack:
        try:
            path = storage.download(stack, say)
        except (HubError, NotEnoughSpace) as problem:
            if generate:
                raise
            return Check("reply", None, f"the model could not be downloaded ({problem})")
        return _speak(path)


def _speak(path: Path) -> Check:
    from chatvector.runtime.backend import Prompt, Sampling
    from chatvector.runtime.transformers_backend import TransformersBackend

    try:
        model = TransformersBackend.load(path)
    except InputError as problem:
        return Check("reply", False, "transformers does not load it", (str(problem),))
    prompts = [Prompt(messages=(("user", text),)) for text in PROMPTS]
    limit = REPLY_TOKENS if model.context is None else min(REPLY_TOKENS, model.context // 2)
    replies = model.generate(prompts, Sampling(max_new_tokens=limit))
    stopped = sum(reply.stopped for reply in replies)
    figures = {"prompts": list(PROMPTS), "stopped": stopped, "replies": [reply.text for reply in replies]}
    summary = f"loaded by transformers without a missing or unexpected tensor; {stopped} of {len(replies)} replies stop"
    problems = () if stopped else (f"no reply to {len(replies)} greetings ended within {limit} tokens",)
    return Check("reply", not problems, summary, problems, figures)
