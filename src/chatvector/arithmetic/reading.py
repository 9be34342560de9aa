# SPDX-License-Identifier: Apache-2.0
"""Read the part of a source that one unit of work needs; mapped rows are gathered run by run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.plan import Slice

ABSENT = -1


class Buffer:
    """Memory reused for every unit; it grows to the size of the largest unit."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """The first `nbytes` bytes of the buffer, contents undefined."""
        if len(self._bytes) < nbytes:
            self._bytes = np.empty(nbytes, np.uint8)
        return self._bytes[:nbytes]


class Buffers:
    """Numbered buffers, made on first use and kept for the next unit."""

    def __init__(self) -> None:
        self._list: list[Buffer] = []

    def at(self, place: int) -> Buffer:
        """The buffer with number `place`."""
        while len(self._list) <= place:
            self._list.append(Buffer())
        return self._list[place]


def read_slice(part: Slice, start: int, stop: int, buffer: Buffer) -> NDArray[Any]:
    """Elements `start` to `stop` of the output, as `part` has them: flat, in the stored dtype.

    Rows that `part` does not have are zero. `start` and `stop` fall on rows where rows are mapped.
    """
    dtype = part.ref.dtype.numpy
    raw = buffer.take((stop - start) * dtype.itemsize)
    for place, first, nbytes in pieces_of(part, start, stop):
        piece = raw[place : place + nbytes]
        if first == ABSENT:
            piece[:] = 0
        else:
            part.reader.read_into(part.ref, first, piece.data)
    return raw.view(dtype)


def pieces_of(part: Slice, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The runs of bytes that make up elements `start` to `stop`, each as (first byte in the result, first byte in the
    tensor, number of bytes). The second is ABSENT where `part` lacks the rows."""
    item = part.ref.dtype.bits // 8
    if part.rows is None:
        yield 0, start * item, (stop - start) * item
        return
    width = part.ref.row_elements
    rows = part.rows[start // width : stop // width]
    for first, last in runs(rows):
        place = ABSENT if rows[first] < 0 else int(rows[first]) * width * item
        yield first * width * item, place, (last - first) * width * item


def runs(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut `rows` into runs that are consecutive in the source or all absent; as pairs (start, stop) of indices."""
    if not len(rows):
        return []
    step = np.diff(rows)
    before, after = rows[:-1] < 0, rows[1:] < 0
    breaks = np.flatnonzero(np.where(before | after, before != after, step != 1)) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    return list(pairwise(edges))
