# SPDX-License-Identifier: Apache-2.0
"""Check a small sample of the weights, or all: non-finite, zero, flipped bits, quantised codes, dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.roles import assign_roles, find_vocabulary
from chatvector.checkpoint.fingerprint import Grid, blocks_of
from chatvector.checkpoint.quantised import MARK_FILES, find_marks
from chatvector.checkpoint.remote_file import read_ranges
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.expectations import GAINS_FROM_ZERO, LAST_NORM
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.doctor.rows import Rows
from chatvector.errors import first_five
from chatvector.vocabulary.side_files import text_config
from chatvector.vocabulary.untrained import RESERVED_NAME, SEED

LOCAL_GRID = Grid(8, 512)
# Over a network every read is a round trip: fewer tensors, one block each.
REMOTE_GRID, REMOTE_TENSORS = Grid(1, 4096), 96
SAMPLED_ROWS = 512

# Trained matrices have root mean squares of hundredths to tenths. FP8 codes fill their range up to 448, with root
# mean squares of some tens; four is an order of magnitude away from both.
LARGEST_RMS = 4.0
# A flipped exponent bit multiplies a weight by 2¹⁶ and more, or by too little to be noticed. No trained matrix holds a
# number as large as this.
LARGEST_WEIGHT = 1000.0
# Elements read at a time when all elements are read.
READ_ELEMENTS = 1 << 20

LAST_NORM_NAMES = (".model.norm.weight", ".language_model.norm.weight")

# Roles of trained matrices.
MATRICES = ("attention", "mlp", "expert", "embedding", "head")

DTYPE_NAMES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}


@dataclass
class Sampled:
    """Amount of weights read, for the report."""

    tensors: int = 0
    elements: int = 0


@dataclass
class _Tally:
    """Counts over one tensor, added up piece by piece.

    Attributes:
        elements: number of elements read.
        wrong: number of NaN and infinities.
        huge: number of elements beyond LARGEST_WEIGHT; `largest` is the largest of them.
        squares: sum of the squares of all other elements.
    """

    elements: int = 0
    wrong: int = 0
    huge: int = 0
    largest: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[Any]) -> None:
        """Add elements, [n] in their stored dtype."""
        sizes = np.abs(values.astype(np.float64 if values.itemsize == 8 else np.float32))
        self.elements += len(sizes)
        known = np.isfinite(sizes)
        if not known.all():
            sizes = sizes[known]
            self.wrong += len(known) - len(sizes)
        beyond = sizes > LARGEST_WEIGHT
        if beyond.any():
            self.huge += int(np.count_nonzero(beyond))
            self.largest = max(self.largest, float(sizes.max()))
            sizes = sizes[~beyond]
        self.squares += float(np.sum(np.square(sizes, dtype=np.float64)))

    @property
    def size(self) -> float:
        """Root mean square of the elements that are neither wrong nor huge; 0 without any."""
        return math.sqrt(self.squares / max(1, self.elements - self.wrong - self.huge))


def check_numbers(model: Patient, seen: Sampled, *, full: bool = False) -> Iterator[Finding]:
    """Findings from a sample of all tensors, or with `full` from every element. `seen` gets the amount read."""
    yield from _quantised(model)
    yield from _dtype(model)
    yield from _values(model, seen, full=full)
    yield from _zero_rows(model)


def _quantised(model: Patient) -> Iterator[Finding]:
    marks = find_marks(model.weights.tensors)
    declared = any(model.config.get(key) for key in ("quantization_config", "compression_config", "quantization"))
    declared = declared or any(name in model.listing for name in MARK_FILES)
    if marks is not None and not declared:
        yield Finding("quantised-unsaid", f"{marks[0]}: {len(marks[1])} tensors: {first_five(marks[1])}")
    elif marks is not None:
        yield Finding("quantised", f"{marks[0]}: {len(marks[1])} tensors")
    elif (
        declared and model.weights.tensors and all(ref.dtype.kind == "float" for ref in model.weights.tensors.values())
    ):
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


def _values(model: Patient, seen: Sampled, *, full: bool) -> Iterator[Finding]:
    tensors = {name: ref for name, ref in model.weights.tensors.items() if ref.dtype.kind == "float" and ref.elements}
    roles = assign_roles(model.weights.tensors, model.config)
    tallies: dict[str, _Tally] = {}
    for name, values in _all(model, tensors) if full else _sample(model, tensors):
        tallies.setdefault(name, _Tally()).add(values)
    seen.tensors, seen.elements = len(tallies), sum(tally.elements for tally in tallies.values())
    last_norm = _last_norm(model)
    of = "" if full else " sampled"
    found: dict[str, list[str]] = {}
    for name, tally in tallies.items():
        matrix = len(tensors[name].shape) > 1 and roles[name] in MATRICES
        if tally.wrong:
            found.setdefault("non-finite", []).append(f"{name} ({tally.wrong} of {tally.elements}{of})")
        elif matrix and tally.size > LARGEST_RMS and roles[name] not in ("embedding", "head"):
            found.setdefault("scales-ignored", []).append(f"{name} (root mean square {tally.size:.3g})")
        elif matrix and tally.huge:
            largest = f"the largest {tally.largest:.3g}"
            found.setdefault("weight-huge", []).append(f"{name} ({tally.huge} of {tally.elements}{of}, {largest})")
        elif tally.size == 0 and (matrix or name == last_norm):
            found.setdefault("tensor-zero", []).append(name)
    for code, names in found.items():
        yield Finding(code, f"{len(names)} tensors: {first_five(names)}")


def _last_norm(model: Patient) -> str | None:
    """Name of the final norm, which scales the whole output; None where it is not known."""
    kind = text_config(model.config).get("model_type")
    if kind not in LAST_NORM - GAINS_FROM_ZERO:
        return None
    return next((name for name in model.weights.tensors if f".{name}".endswith(LAST_NORM_NAMES)), None)


def _all(model: Patient, tensors: Mapping[str, TensorRef]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and elements of every tensor, piece by piece, in the order of the files."""
    for name, ref in sorted(tensors.items(), key=lambda each: (each[1].file, each[1].offset)):
        for start in range(0, ref.elements, READ_ELEMENTS):
            yield name, model.weights.read_array(name, start, min(start + READ_ELEMENTS, ref.elements))


def _sample(model: Patient, tensors: Mapping[str, TensorRef]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and sampled elements: of every tensor on this machine, of evenly chosen tensors over a network."""
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
    """Byte ranges of a file that hold the sampled elements: (first byte, number of bytes)."""
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
