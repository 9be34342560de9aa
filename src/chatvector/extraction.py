# SPDX-License-Identifier: Apache-2.0
"""`extract`: chat − base as a directory of its own, with everything that applying it needs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chatvector import __version__
from chatvector.arithmetic.execute import DEFAULT_MEMORY, Outcome, Progress, execute
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan, Term, working_format
from chatvector.arithmetic.roles import assign_roles, find_vocabulary, is_derived, layer_of
from chatvector.arithmetic.sources import PairVector, tensor_or_embedding
from chatvector.arithmetic.statistics import report
from chatvector.arithmetic.stored import ROWS_FILE, StoredVector
from chatvector.checkpoint.dtypes import DTYPES
from chatvector.checkpoint.files import VECTOR_FILE, VECTOR_INDEX
from chatvector.checkpoint.fingerprint import Sample, fingerprint
from chatvector.checkpoint.staging import check_output_place, open_staging, output_path
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.checks.compatibility import compare_configs, compare_tensors
from chatvector.messages import Say, silent
from chatvector.origins import pair_origins
from chatvector.pipeline import Result, discarded_on_failure, require_space
from chatvector.preparation import base_row_health, open_model
from chatvector.provenance.manifest import FORMAT, MANIFEST, to_bytes
from chatvector.record import output_listing, run_section
from chatvector.vocabulary.chat_format import ChatFormat, read_chat_format
from chatvector.vocabulary.rows import RowMap, VectorTables, plan_vocabulary
from chatvector.vocabulary.tokens import TokenTable, read_tokens
from chatvector.vocabulary.untrained import RowHealth

STORED_DTYPES = {"fp32": DTYPES["F32"], "bf16": DTYPES["BF16"]}


@dataclass(frozen=True, eq=False)
class _Job:
    """What is known about base and chat before the first byte is written."""

    vector: PairVector
    plan: Plan
    chat_format: ChatFormat | None
    health: Mapping[str, RowHealth]
    row_ids: tuple[int, ...]
    fingerprints: Mapping[str, Any]
    warnings: tuple[str, ...]


def extract(
    base: str,
    chat: str,
    output: str,
    *,
    dtype: Literal["fp32", "bf16"] = "fp32",
    memory: int = DEFAULT_MEMORY,
    threads: int | None = None,
    stream: bool = False,
    restart: bool = False,
    progress: Callable[[int], Progress | None] = lambda _nbytes: None,
    say: Say = silent,
) -> Result:
    """Write the chat vector `chat − base` to the directory `output`.

    Args:
        base, chat: names of the two models.
        output: directory to write; must be new or empty.
        dtype: `fp32` keeps every difference as a merge of 16-bit parents into a 16-bit target computes it; `bf16` is
            half the size and rounds. Differences that are not those of float64 are counted.
        memory: bytes of all buffers.
        threads: the most threads to use.
        stream: read hub models by byte range instead of downloading them.
        restart: discard what an interrupted run left.
        progress: called with the number of bytes to write; the object it returns is told of every finished unit.
        say: receives lines for people.

    Raises what `apply` raises, with the same guarantees.
    """
    started = time.time()
    place = output_path(output)
    with ExitStack() as stack:
        # 1. Two checkpoints → compatibility → rows by token → plan.
        check_output_place(place, [])
        vector = PairVector(*(open_model(name, stack, say, stream=stream) for name in (base, chat)))
        check_output_place(place, [Path(model.local_path) for model in vector.inputs() if model.local_path])
        job = _prepare(vector, dtype)
        require_space(place, job.plan.bytes_written, job.plan.hash)
        origins = pair_origins(vector.base, vector.chat, say)
        for line in job.warnings:
            say(f"warning: {line}")
        # 2. Execute.
        staging = stack.enter_context(open_staging(place, job.plan.hash, restart=restart, on_resume=say))
        with discarded_on_failure(staging):
            meter = progress(job.plan.bytes_written)
            outcome = execute(job.plan, staging, memory=memory, threads=threads, count_inexact=True, progress=meter)
            # 3. What the vector needs of its parents besides weights.
            for folder, model in (("base", vector.base), ("chat", vector.chat)):
                for name in model.files:
                    staging.write_file(f"{folder}/{name}", model.read_file(name))
            for name, data in _index(job.plan).items():
                staging.write_file(name, data)
            # 4. Manifest; opening the result is the check that it is whole; then the rename.
            manifest = _manifest(job, origins, dtype, outcome, started, place, staging.path)
            staging.write_file(MANIFEST, to_bytes(manifest))
            StoredVector(staging.path, output).close()
            staging.publish()
    return Result(place, manifest)


def _prepare(vector: PairVector, dtype: str) -> _Job:
    base, chat = vector.base, vector.chat
    compatibility = compare_configs(chat.config, {"base": base.config})
    compatibility.raise_if_refused()
    compare_tensors(chat.tensors, base.tensors, chat.tensors, {"base": base.config, "chat": chat.config})
    base_tokens, chat_tokens = read_tokens(base), read_tokens(chat)
    chat_format = read_chat_format(chat, chat_tokens)
    base_rows, chat_rows = vector.rows()
    tables = VectorTables(base_tokens, chat_tokens, base_rows, chat_rows, vector.name)
    rows = plan_vocabulary(chat_tokens, chat_rows, [tables], name=chat.name).row_maps[0]
    row_ids = _raw_row_ids(chat_format, base_tokens, chat_tokens)
    health = {} if chat_format is None else base_row_health(base, base_tokens, chat_format)
    fingerprints = {
        role: fingerprint(model, Sample(model)).as_dict() for role, model in (("base", base), ("chat", chat))
    }
    identity = {"kind": "vector", "dtype": dtype, "parents": fingerprints}
    tensors = _plan_tensors(vector, dtype, rows) + _plan_rows(vector, row_ids)
    plan = Plan(tensors, {tensor.file: {"format": "pt"} for tensor in tensors}, identity)
    return _Job(vector, plan, chat_format, health, row_ids, fingerprints, compatibility.warnings)


def _raw_row_ids(chat_format: ChatFormat | None, base: TokenTable, chat: TokenTable) -> tuple[int, ...]:
    """Chat rows kept raw: template tokens, and tokens that only chat has."""
    wanted = set() if chat_format is None else {chat.ids[token] for token in chat_format.template_tokens}
    wanted |= {row for token, row in chat.ids.items() if token not in base.ids}
    return tuple(sorted(wanted))


def _plan_tensors(vector: PairVector, dtype: str, rows: RowMap) -> tuple[TensorPlan, ...]:
    base, chat = vector.base, vector.chat
    axis = find_vocabulary(chat.tensors, chat.config)
    base_axis = find_vocabulary(base.tensors, base.config)
    mapped = {*axis.names, *base_axis.names}
    refs: dict[str, TensorRef] = dict(chat.tensors)
    if base_axis.head is not None and axis.head is None:
        # Chat ties its head and base does not: the head's difference uses chat's embedding.
        refs[base_axis.head] = replace(tensor_or_embedding(chat, base_axis.head), name=base_axis.head)
    roles = assign_roles(refs, chat.config)
    files = _file_names(vector)
    tensors: list[TensorPlan] = []
    for name, ref in refs.items():
        if is_derived(name, ref):
            continue
        common = {
            "name": name,
            "role": roles[name],
            "layer": layer_of(name),
            "shape": ref.shape,
            "file": files[ref.file],
        }
        if ref.dtype.kind != "float":
            both = tuple(Slice(model, model.tensors[name]) for model in (chat, base))
            tensors.append(TensorPlan(**common, dtype=ref.dtype, target=Slice(chat, ref), must_equal=both))
            continue
        plus, minus = vector.difference(name, rows if name in mapped else None)
        term = Term(0, 1.0, "chat − base", plus, minus)
        work = working_format(vector.parent_dtypes(name))
        tensors.append(TensorPlan(**common, dtype=STORED_DTYPES[dtype], target=None, terms=(term,), work=work))
    return tuple(tensors)


def _plan_rows(vector: PairVector, row_ids: tuple[int, ...]) -> tuple[TensorPlan, ...]:
    if not row_ids:
        return ()
    chat = vector.chat
    axis = find_vocabulary(chat.tensors, chat.config)
    roles = assign_roles(chat.tensors, chat.config)
    ids = np.array(row_ids, np.int64)
    return tuple(
        TensorPlan(
            name,
            roles[name],
            None,
            chat.tensors[name].dtype,
            (len(ids), *chat.tensors[name].shape[1:]),
            ROWS_FILE,
            Slice(chat, chat.tensors[name], ids),
        )
        for name in axis.names
    )


def _file_names(vector: PairVector) -> dict[str, str]:
    """Chat's shards → the vector's: `vector.safetensors`, or `vector-00001-of-00003.safetensors` and so on."""
    shards = list(vector.chat.headers)
    if len(shards) == 1:
        return {shards[0]: VECTOR_FILE}
    return {shard: f"vector-{n:05}-of-{len(shards):05}.safetensors" for n, shard in enumerate(shards, 1)}


def _index(plan: Plan) -> dict[str, bytes]:
    weights = {tensor.name: tensor.file for tensor in plan.tensors if tensor.file != ROWS_FILE}
    if len(set(weights.values())) == 1:
        return {}
    document = {"metadata": {}, "weight_map": dict(sorted(weights.items()))}
    return {VECTOR_INDEX: (json.dumps(document, indent=2) + "\n").encode()}


def _manifest(
    job: _Job,
    origins: Mapping[str, Any],
    dtype: str,
    outcome: Outcome,
    started: float,
    output: Path,
    staged: Path,
) -> dict[str, Any]:
    planned = [tensor for tensor in job.plan.tensors if tensor.terms]
    elements = sum(tensor.elements for tensor in planned)
    inexact = int(sum(sums.get("inexact", 0.0) for sums in outcome.sums.values()))
    dtypes = {tensor.name: [one.code for one in job.vector.parent_dtypes(tensor.name)] for tensor in planned}
    usual = Counter(tuple(codes) for codes in dtypes.values()).most_common(1)[0][0]
    health = [vars(entry) for entry in job.health.values()]
    return {
        "format": FORMAT,
        "kind": "vector",
        "chatvector": __version__,
        "plan": job.plan.hash,
        "origins": dict(origins),
        "parents": dict(job.fingerprints),
        "vector": {
            "dtype": dtype,
            "rows": list(job.vector.rows()),
            "parent_dtypes": {"*": list(usual)} | {n: codes for n, codes in dtypes.items() if tuple(codes) != usual},
            "chat_row_ids": list(job.row_ids),
            "row_health": health,
            "template_tokens": [] if job.chat_format is None else list(job.chat_format.template_tokens),
        },
        "loss": {"elements": elements, "inexact": inexact, "share": inexact / elements if elements else 0.0},
        "statistics": report(job.plan, {name: sums for name, sums in outcome.sums.items() if sums}, 1),
        "files": output_listing(staged, sha256=False),
        "run": {
            "inputs": {"base": job.vector.base.name, "chat": job.vector.chat.name},
            "revisions": {m.name: m.revision for m in job.vector.inputs() if m.revision is not None},
            "output": str(output),
            "warnings": list(job.warnings),
            **run_section(started, outcome, job.plan.bytes_read, job.plan.bytes_written),
        },
    }
