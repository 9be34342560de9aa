# SPDX-License-Identifier: Apache-2.0
"""Keep the source tensors of a plan in memory, so that it can be computed again without reading a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.plan import Slice, TensorPlan
from chatvector.checkpoint.tensor_files import Reader, TensorRef


class HeldTensors:
    """Tensors of one reader in memory; implements `Reader`. Safe to read from several threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._bytes: dict[str, NDArray[np.uint8]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return sum(data.nbytes for data in self._bytes.values())

    def hold(self, reader: Reader, ref: TensorRef) -> None:
        """Read a tensor whole, once."""
        if ref.name not in self._bytes:
            data = np.empty(ref.nbytes, np.uint8)
            reader.read_into(ref, 0, data.data)
            self._bytes[ref.name] = data

    def read_into(self, ref: TensorRef, start: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes of `ref` from byte `start` of the tensor on."""
        buffer[:] = self._bytes[ref.name].data[start : start + len(buffer)]

    def address(self, ref: TensorRef) -> int:
        """Memory address of the tensor's first byte."""
        return self._bytes[ref.name].ctypes.data


class Holder:
    """Replaces the sources of plans by tensors in memory; serves several plans of the same parents."""

    def __init__(self) -> None:
        # By the id of the reader. The reader is kept alive beside it, so that its id is not given to another object.
        self._held: dict[int, tuple[Reader, HeldTensors]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return sum(held.nbytes for _, held in self._held.values())

    def hold(self, tensors: Iterable[TensorPlan]) -> Iterator[TensorPlan]:
        """The plans with every source in memory; tensors that are not held yet are read."""
        for tensor in tensors:
            terms = tuple(
                replace(
                    term, plus=self._slice(term.plus), minus=None if term.minus is None else self._slice(term.minus)
                )
                for term in tensor.terms
            )
            yield replace(
                tensor,
                target=None if tensor.target is None else self._slice(tensor.target),
                terms=terms,
                transplant=None if tensor.transplant is None else self._slice(tensor.transplant),
            )

    def _slice(self, part: Slice) -> Slice:
        _, held = self._held.setdefault(id(part.reader), (part.reader, HeldTensors(part.reader.name)))
        held.hold(part.reader, part.ref)
        return replace(part, reader=held)


def source_bytes(tensors: Iterable[TensorPlan]) -> int:
    """Bytes needed to hold all sources of the plans, each tensor counted once."""
    found = {(id(part.reader), part.ref.name): part.ref.nbytes for tensor in tensors for part in tensor.slices()}
    return sum(found.values())
