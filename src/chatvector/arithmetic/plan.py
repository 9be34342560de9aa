# SPDX-License-Identifier: Apache-2.0
"""The plan: for every tensor of the output its sources, scale, row map, shape, dtype, place and bytes.

A plan is made from headers alone, is validated before a byte is written, and is all that the executor needs. It knows
nothing of chat models: `apply` and `extract` make different plans and share the executor.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.kernels import scratch_bytes
from chatvector.arithmetic.roles import Role
from chatvector.checkpoint.dtypes import DType
from chatvector.checkpoint.header import build_header
from chatvector.checkpoint.tensor_files import Reader, TensorRef

# Elements of one unit of work: 512 KiB of 16-bit weights from each source. Smaller units cost more: with half as many
# elements the same merge took a quarter more processor time, as Python's overhead per unit is constant; twice as many
# gained nothing (benchmarks/README.md). Half as many are used where the working format is float64.
UNIT_ELEMENTS = 262_144


@dataclass(frozen=True, eq=False)
class Slice:
    """A tensor as a source, seen through a row map.

    Attributes:
        reader: where the bytes come from.
        ref: the tensor in `reader`.
        rows: [R] for each output row the source row, −1 where there is none; None when rows are not mapped.
    """

    reader: Reader
    ref: TensorRef
    rows: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Term:
    """One vector's part in one tensor: `scale · (plus − minus)`.

    Attributes:
        vector: index of the vector in the recipe.
        scale: the effective scale as the recipe gives it (the working format rounds it once).
        rule: the rule that gave the scale, as text for people.
        plus: chat's tensor, or the stored difference.
        minus: base's tensor; None where `plus` is already the difference.
    """

    vector: int
    scale: float
    rule: str
    plus: Slice
    minus: Slice | None


@dataclass(frozen=True, eq=False)
class TensorPlan:
    """How one tensor of the output is made.

    Attributes:
        name, role, layer: of the output tensor.
        dtype, shape: as written to the output.
        file: shard of the output that holds it.
        target: the value that terms are added to; None stands for minus zero, which leaves a difference unchanged.
        terms: the vectors that touch it; empty when the target's bytes are copied.
        work: `F32` or `F64`, the working format.
        transplant: rows that replace the result, unchanged from their source; None for no such rows.
        must_equal: buffers that must all hold the same bytes; otherwise the run stops.
    """

    name: str
    role: Role
    layer: int | None
    dtype: DType
    shape: tuple[int, ...]
    file: str
    target: Slice | None
    terms: tuple[Term, ...] = ()
    work: str = "F32"
    transplant: Slice | None = None
    must_equal: tuple[Slice, ...] = ()

    @property
    def is_mapped(self) -> bool:
        """Whether any source is seen through a row map."""
        return any(part.rows is not None for part in self.slices())

    def slices(self) -> Iterator[Slice]:
        """All sources, target first."""
        if self.target is not None:
            yield self.target
        for term in self.terms:
            yield term.plus
            if term.minus is not None:
                yield term.minus
        if self.transplant is not None:
            yield self.transplant

    @property
    def elements(self) -> int:
        """Elements of the output tensor."""
        return math.prod(self.shape)

    @property
    def row_elements(self) -> int:
        """Elements of one output row; 1 for vectors and scalars."""
        return math.prod(self.shape[1:])


@dataclass(frozen=True)
class Unit:
    """A contiguous piece of one output tensor: elements `start` to `stop`; whole rows where rows are mapped."""

    number: int
    tensor: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class ShardPlan:
    """One file of the output: its name, header bytes, and size in bytes."""

    file: str
    header: bytes
    size: int


@dataclass(frozen=True, eq=False)
class Plan:
    """The whole job: tensors, files, units of work, and `identity`, the data that the plan's hash covers."""

    tensors: tuple[TensorPlan, ...]
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    unit_elements: int = UNIT_ELEMENTS

    @cached_property
    def shards(self) -> tuple[ShardPlan, ...]:
        """The files of the output, in the order of their first tensors."""
        return tuple(shard for shard, _ in self._layout.values())

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First byte of each tensor in its file."""
        places = {(file, entry.name): entry.offset for file, (_, entries) in self._layout.items() for entry in entries}
        return tuple(places[tensor.file, tensor.name] for tensor in self.tensors)

    @cached_property
    def _layout(self) -> dict[str, tuple[ShardPlan, tuple[Any, ...]]]:
        files: dict[str, list[TensorPlan]] = {}
        for tensor in self.tensors:
            files.setdefault(tensor.file, []).append(tensor)
        layout: dict[str, tuple[ShardPlan, tuple[Any, ...]]] = {}
        for file, tensors in files.items():
            header, entries = build_header(
                [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors], self.metadata.get(file, {})
            )
            size = entries[-1].offset + entries[-1].nbytes
            layout[file] = ShardPlan(file, header, size), entries
        return layout

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The units of work, in file order."""
        units: list[Unit] = []
        for index, tensor in enumerate(self.tensors):
            step = self.unit_elements if tensor.work == "F32" else max(1, self.unit_elements // 2)
            if tensor.is_mapped:
                step = max(1, step // max(1, tensor.row_elements)) * tensor.row_elements
            for start in range(0, tensor.elements, max(1, step)):
                units.append(Unit(len(units), index, start, min(start + step, tensor.elements)))
        return tuple(units)

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits over `identity`: recipe, parents' fingerprints, layout of the output."""
        text = json.dumps(self.identity, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(f"{self.unit_elements}\0{text}".encode()).hexdigest()[:12]

    @property
    def bytes_written(self) -> int:
        """Bytes of all weight files of the output."""
        return sum(shard.size for shard in self.shards)

    @cached_property
    def bytes_read(self) -> int:
        """Bytes the executor reads: every source once, mapped rows as often as they are used."""
        return sum(_bytes_of(part) for tensor in self.tensors for part in (*tensor.slices(), *tensor.must_equal))

    @cached_property
    def thread_bytes(self) -> int:
        """Buffer bytes that one thread needs: all sources of a unit, the result and the scratch."""
        return max((self._unit_bytes(tensor) for tensor in self.tensors), default=0) + self.scratch_bytes

    @cached_property
    def work_dtype(self) -> np.dtype:
        """The widest working format of the plan."""
        wide = any(tensor.terms and tensor.work == "F64" for tensor in self.tensors)
        return np.dtype(np.float64 if wide else np.float32)

    @cached_property
    def scratch_elements(self) -> int:
        """Elements of the largest unit."""
        return max((unit.stop - unit.start for unit in self.units), default=0)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch of one thread."""
        return scratch_bytes(self.scratch_elements, self.work_dtype)

    def _unit_bytes(self, tensor: TensorPlan) -> int:
        per_element = sum(part.ref.dtype.bits // 8 for part in tensor.slices()) + tensor.dtype.bits // 8
        per_element += 4 if tensor.target is None else 0  # the minus zeros in its place
        return per_element * min(self.scratch_elements, tensor.elements)


def working_format(dtypes: Iterable[DType]) -> str:
    """`F64` if any of the tensors is F32 or F64, else `F32` (promise 2)."""
    return "F64" if any(dtype.code in ("F32", "F64") for dtype in dtypes) else "F32"


def _bytes_of(part: Slice) -> int:
    if part.rows is None:
        return part.ref.nbytes
    return int(np.count_nonzero(part.rows >= 0)) * part.ref.row_elements * (part.ref.dtype.bits // 8)
