# SPDX-License-Identifier: Apache-2.0
"""What can be inspected: a checkpoint, a vector on disk, or the difference of a pair; each a list of tensors."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.plan import Slice
from chatvector.arithmetic.reading import Buffer, read_slice
from chatvector.arithmetic.roles import Role, assign_roles, find_vocabulary, is_derived, layer_of
from chatvector.arithmetic.stored import StoredVector
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import blocks_of, grid_for
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.errors import IncompatibleParents, InputError, first_five
from chatvector.vocabulary.tokens import read_tokens

Kind = Literal["checkpoint", "vector", "pair"]
Piece = tuple[int, int]
"""First and past-last element of a part of a tensor."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One tensor: W of a checkpoint, or τ of a vector or pair.

    Attributes:
        name, role, layer: as everywhere.
        dtype, nbytes: as stored (of chat, for a pair).
        shape: of what is read; fewer rows than stored where only tokens that both models have count.
        plus: W, chat's tensor, or the stored difference; None for buffers, which have no norm.
        minus: base's tensor, for a pair.
    """

    name: str
    role: Role
    layer: int | None
    dtype: str
    nbytes: int
    shape: tuple[int, ...]
    plus: Slice | None
    minus: Slice | None = None

    @cached_property
    def elements(self) -> int:
        """How many numbers are read."""
        return math.prod(self.shape)

    @property
    def slot(self) -> str:
        """The name with the layer's number left out: what it has in common with other layers' tensors."""
        return self.name if self.layer is None else re.sub(rf"\.{self.layer}\.", ".*.", self.name, count=1)

    def pieces(self, elements: int, *, sample: bool, tensors: int) -> Iterator[Piece]:
        """Cut the tensor into parts of about `elements`, or into the fixed sample of a model of so many tensors.

        Where rows are mapped, parts are whole rows.
        """
        row = self._row if self._mapped else 1
        if sample:
            grid = grid_for(tensors)
            spans = blocks_of(self.elements // row, grid) if row == 1 else _rows(self.elements // row, grid.blocks)
            yield from ((start * row, (start + count) * row) for start, count in spans)
            return
        step = max(elements // row, 1) * row
        for start in range(0, self.elements, step):
            yield start, min(start + step, self.elements)

    def read(self, piece: Piece, out: NDArray[np.float64], buffer: Buffer) -> NDArray[np.float64] | None:
        """Put W or τ of a part into `out` and return the base's values, where there is a base."""
        assert self.plus is not None
        np.copyto(out, read_slice(self.plus, *piece, buffer), casting="unsafe")
        if self.minus is None:
            return None
        base = read_slice(self.minus, *piece, buffer).astype(np.float64)
        with np.errstate(invalid="ignore"):  # counted as non-finite
            np.subtract(out, base, out=out)
        return base

    @property
    def _mapped(self) -> bool:
        return any(part is not None and part.rows is not None for part in (self.plus, self.minus))

    @property
    def _row(self) -> int:
        return self.elements // max(self.shape[0], 1)


@dataclass(frozen=True, eq=False)
class Subject:
    """What is inspected.

    Attributes:
        kind: `checkpoint`, `vector` or `pair`.
        names: what the user called it: one name, or base and chat.
        entries: every tensor, in the order of the file.
        notes: what was left out or matched otherwise, one line each.
    """

    kind: Kind
    names: tuple[str, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    def groups(self) -> list[list[Entry]]:
        """Measurable tensors by slot and shape, each sorted by layer: what can be compared across layers."""
        found: dict[tuple[str, tuple[int, ...]], list[Entry]] = {}
        for entry in self.entries:
            if entry.plus is not None:
                found.setdefault((entry.slot, entry.shape), []).append(entry)
        return [sorted(group, key=lambda entry: entry.layer or 0) for group in found.values()]


def of_checkpoint(model: Checkpoint) -> Subject:
    """All tensors of a model."""
    roles = assign_roles(model.tensors, model.config)
    return Subject("checkpoint", (model.name,), tuple(_plain(model, ref, roles) for ref in model.tensors.values()))


def of_vector(vector: StoredVector) -> Subject:
    """The differences that `extract` wrote, embedding rows as the chat model has them."""
    roles = assign_roles(vector.tensors, vector.chat.config)
    entries = []
    for name, ref in vector.tensors.items():
        plus = vector.difference(name, None)[0] if ref.dtype.kind == "float" else None
        entries.append(_entry(ref, roles[name], ref.shape, plus))
    return Subject("vector", (vector.name,), tuple(entries))


def of_pair(base: Checkpoint, chat: Checkpoint) -> Subject:
    """chat − base over the tensors that both have; embedding and head over the tokens that both have.

    Raises IncompatibleParents when shapes differ. Configurations are not compared.
    """
    roles = assign_roles(chat.tensors, chat.config)
    vocabulary = {*find_vocabulary(chat.tensors, chat.config).names, *find_vocabulary(base.tensors, base.config).names}
    notes: list[str] = []
    for one, other in ((chat, base), (base, chat)):
        alone = sorted(one.tensors.keys() - other.tensors.keys())
        if alone:
            notes.append(f"{len(alone)} tensors are only in {one.name}: {first_five(alone)}")
    reshaped = [
        name
        for name, ref in chat.tensors.items()
        if name in base.tensors and name not in vocabulary and base.tensors[name].shape != ref.shape
    ]
    if reshaped:
        raise IncompatibleParents(
            f"{chat.name} and {base.name}: {len(reshaped)} tensors differ in shape: {first_five(reshaped)}"
        )
    rows = _shared_rows(base, chat, notes) if any(name in base.tensors for name in vocabulary) else None
    entries = []
    for name, ref in chat.tensors.items():
        if name not in base.tensors:
            continue
        mapped = rows if name in vocabulary else None
        both_float = ref.dtype.kind == "float" and base.tensors[name].dtype.kind == "float"
        if (
            not both_float
            or is_derived(name, ref)
            or (name in vocabulary and _unmatched(rows, ref, base.tensors[name]))
        ):
            entries.append(_entry(ref, roles[name], ref.shape, None))
            continue
        shape = ref.shape if mapped is None else (len(mapped[1]), *ref.shape[1:])
        plus = Slice(chat, ref, None if mapped is None else mapped[1])
        minus = Slice(base, base.tensors[name], None if mapped is None else mapped[0])
        entries.append(_entry(ref, roles[name], shape, plus, minus))
    return Subject("pair", (base.name, chat.name), tuple(entries), tuple(notes))


def _plain(model: Checkpoint, ref: TensorRef, roles: Mapping[str, Role]) -> Entry:
    measured = ref.dtype.kind == "float" and not is_derived(ref.name, ref)
    return _entry(ref, roles[ref.name], ref.shape, Slice(model, ref) if measured else None)


def _entry(ref: TensorRef, role: Role, shape: Sequence[int], plus: Slice | None, minus: Slice | None = None) -> Entry:
    return Entry(ref.name, role, layer_of(ref.name), ref.dtype.code, ref.nbytes, tuple(shape), plus, minus)


def _shared_rows(
    base: Checkpoint, chat: Checkpoint, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Rows of the tokens that both have, in base and in chat; None where these are all rows of both, in one order."""
    try:
        before, after = read_tokens(base), read_tokens(chat)
    except InputError as error:
        notes.append(f"embedding and head are compared by id, as tokens cannot be read: {error}")
        return None
    limits = _embedding_rows(base), _embedding_rows(chat)
    if before.ids == after.ids and limits == (len(set(before.ids.values())),) * 2:
        return None
    shared = sorted(
        (row, after.ids[token])
        for token, row in before.ids.items()
        if token in after.ids and row < limits[0] and after.ids[token] < limits[1]
    )
    notes.append(
        f"embedding and head are compared over the {len(shared)} tokens that both have;"
        f" base has {len(before.ids)} in {limits[0]} rows, chat {len(after.ids)} in {limits[1]}"
    )
    pairs = np.array(shared, np.int64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _embedding_rows(model: Checkpoint) -> int:
    embedding = find_vocabulary(model.tensors, model.config).embedding
    return 0 if embedding is None else model.tensors[embedding].shape[0]


def _unmatched(rows: Any, chat: TensorRef, base: TensorRef) -> bool:
    """Whether two vocabulary tensors cannot be compared: by id only equal shapes, by token only equal widths."""
    return chat.shape != base.shape if rows is None else chat.shape[1:] != base.shape[1:] or not len(rows[0])


def _rows(rows: int, blocks: int) -> list[tuple[int, int]]:
    """At most four rows a block, evenly spread."""
    count = min(rows, 4 * blocks)
    edges = [rows * number // max(count, 1) for number in range(count)]
    return [(start, 1) for start, _ in itertools.groupby(edges)]
