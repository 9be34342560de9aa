# SPDX-License-Identifier: Apache-2.0
"""The weights, as far as a small sample shows: non-finite, zero, quantised codes taken for numbers, dtype."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.roles import assign_roles, find_vocabulary, text_config
from chatvector.checkpoint.fingerprint import Grid, blocks_of
from chatvector.checkpoint.quantised import MARK_FILES, find_marks
from chatvector.checkpoint.remote import read_ranges
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.doctor.rows import Rows
from chatvector.errors import first_five
from chatvector.vocabulary.untrained import RESERVED_NAME, SEED

LOCAL_GRID = Grid(8, 512)
# Over a network every read is a round trip: fewer tensors, one block each.
REMOTE_GRID, REMOTE_TENSORS = Grid(1, 4096), 96
SAMPLED_ROWS = 512

# Trained matrices have root mean squares of hundredths to tenths. FP8 codes fill their range up to 448 and have some
# tens; four lies an order of magnitude from either.
LARGEST_RMS = 4.0

DTYPE_NAMES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}


@dataclass
class Sampled:
    """How much was read, for the report."""

    tensors: int = 0
    elements: int = 0


def check_numbers(model: Patient, seen: Sampled) -> Iterator[Finding]:
    """What a sample of all tensors shows; `seen` takes how much that was."""
    yield from _quantised(model)
    yield from _dtype(model)
    yield from _values(model, seen)
    yield from _zero_rows(model)


def _quantised(model: Patient) -> Iterator[Finding]:
    marks = find_marks(model.weights.tensors)
    declared = any(model.config.get(key) for key in ("quantization_config", "compression_config", "quantization"))
    declared = declared or any(name in model.listing for name in MARK_FILES)
    if marks is not None and not declared:
        yield Finding("quantised-unsaid", f"{marks[0]}: {len(marks[1])} tensors: {first_five(marks[1])}")
    elif marks is not None:
        yield Finding("quantised", f"{marks[0]}: {len(marks[1])} tensors")
    elif declared and all(ref.dtype.kind == "float" for ref in model.weights.tensors.values()):
        yield Finding("quantised-stale", "quantization_config is there, quantised tensors are not")


def _dtype(model: Patient) -> Iterator[Finding]:
    text = text_config(model.config)
    said = DTYPE_NAMES.get(str(text.get("dtype") or text.get("torch_dtype")).removeprefix("torch."))
    nbytes: dict[str, int] = {}
    for ref in model.weights.tensors.values():
        if ref.dtype.kind == "float":
            nbytes[ref.dtype.code] = nbytes.get(ref.dtype.code, 0) + ref.nbytes
    if said is None or not nbytes:
        return
    most = max(nbytes, key=lambda code: nbytes[code])
    if most != said:
        share = nbytes[most] / sum(nbytes.values())
        yield Finding("dtype-differs", f"config.json says {said}, {share:.0%} of the bytes are {most}")


def _values(model: Patient, seen: Sampled) -> Iterator[Finding]:
    tensors = {name: ref for name, ref in model.weights.tensors.items() if ref.dtype.kind == "float" and ref.elements}
    roles = assign_roles(model.weights.tensors, model.config)
    bad: list[str] = []
    zero: list[str] = []
    large: list[str] = []
    for name, values in _sample(model, tensors):
        seen.tensors += 1
        seen.elements += len(values)
        wrong = int(np.count_nonzero(~np.isfinite(values)))
        if wrong:
            bad.append(f"{name} ({wrong} of {len(values)} sampled)")
            continue
        if len(tensors[name].shape) < 2 or roles[name] not in ("attention", "mlp", "expert", "embedding", "head"):
            continue
        size = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
        if size == 0:
            zero.append(name)
        elif size > LARGEST_RMS and roles[name] in ("attention", "mlp", "expert"):
            large.append(f"{name} (root mean square {size:.3g})")
    if bad:
        yield Finding("non-finite", f"{len(bad)} tensors: {first_five(bad)}")
    if zero:
        yield Finding("tensor-zero", f"{len(zero)} tensors: {first_five(zero)}")
    if large:
        yield Finding("scales-ignored", f"{len(large)} tensors: {first_five(large)}")


def _sample(model: Patient, tensors: Mapping[str, TensorRef]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and sampled elements; every tensor on this machine, an even choice of them over a network."""
    grid, chosen = LOCAL_GRID, list(tensors.values())
    if model.weights.is_remote:
        grid, chosen = REMOTE_GRID, chosen[:: max(1, len(chosen) // REMOTE_TENSORS)]
    by_file: dict[str, list[TensorRef]] = {}
    for ref in chosen:
        by_file.setdefault(ref.file, []).append(ref)
    for file, refs in by_file.items():
        blocks = {ref.name: _blocks(ref, grid) for ref in refs}
        ranges = [span for ref in refs for span in blocks[ref.name]]
        pieces = iter(read_ranges(model.weights.source(file), ranges))
        for ref in refs:
            data = b"".join(next(pieces) for _ in blocks[ref.name])
            yield ref.name, np.frombuffer(data, ref.dtype.numpy)


def _blocks(ref: TensorRef, grid: Grid) -> list[tuple[int, int]]:
    """Bytes of a file that hold the sampled elements: (first, how many)."""
    item = ref.dtype.bits // 8
    if grid.blocks == 1 and ref.elements > grid.elements:
        spans = [((ref.elements - grid.elements) // 2, grid.elements)]
    else:
        spans = blocks_of(ref.elements, grid)
    return [(ref.offset + start * item, count * item) for start, count in spans]


def _zero_rows(model: Patient) -> Iterator[Finding]:
    name = find_vocabulary(model.weights.tensors, model.config).embedding
    tokens = model.tokens
    if name is None or tokens is None or model.weights.tensors[name].dtype.kind != "float":
        return
    reader = Rows(model, name)
    ordinary = [
        row
        for token, row in tokens.ids.items()
        if row < reader.rows and token not in tokens.added and not RESERVED_NAME.match(token)
    ]
    if not ordinary:
        return
    rows = np.array(sorted(set(ordinary)), np.int64)
    if len(rows) > SAMPLED_ROWS:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, SAMPLED_ROWS, replace=False))
    empty = rows[~reader.read_rows(rows).any(axis=1)]
    if len(empty):
        names = tokens.names()
        said = first_five(f"{names[int(row)]!r} (row {row})" for row in empty)
        yield Finding("rows-zero", f"{len(empty)} of {len(rows)} sampled token rows of {name}: {said}")
