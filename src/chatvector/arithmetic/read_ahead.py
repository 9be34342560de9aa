# SPDX-License-Identifier: Apache-2.0
"""Announce coming reads to remote sources, so that threads do not wait for a round trip each time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from chatvector.arithmetic.plan import Plan, Slice
from chatvector.arithmetic.reading import ABSENT, pieces_of
from chatvector.checkpoint.remote_file import GAP_BYTES, RemoteFile
from chatvector.checkpoint.tensor_files import TensorFiles

MOST_BYTES, FEWEST_BYTES = 128 << 20, 4 << 20
"""Most bytes that all threads together request of a source at once, and the fewest that one thread requests.

A request costs a round trip and half a millisecond of processor time, but over slow connections many small requests
bring more.
"""
MOST_SPANS = 4
"""Most requests that one thread makes for one file and stretch."""

T = TypeVar("T")
Block = tuple[Slice, int, int]
"""Elements that `read_slice` will read: source, first element, past-last element."""


class ReadAhead(Generic[T]):
    """Items distributed among threads: each thread iterates over this object and gets items of its own.

    For remote sources a thread takes a stretch of items, whose bytes one request brings, and requests its next stretch
    before it begins with the current one.
    """

    def __init__(
        self,
        items: Iterable[T],
        blocks: Callable[[T], Iterable[Block]],
        nbytes: Callable[[T], int],
        *,
        threads: int,
        far: bool,
    ) -> None:
        """`blocks` gives what is read for an item, in order; `nbytes` the approximate bytes read from each source."""
        self._stretches = _stretches(list(items), nbytes, threads) if far else ([item] for item in items)
        self._blocks = blocks
        self._far = far
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[T]:
        coming, give_up = self._take()
        while coming:
            items, end = coming, give_up
            coming, give_up = self._take()
            yield from items
            end()

    def _take(self) -> tuple[list[T], Callable[[], None]]:
        """The next items, their bytes requested, and a function that gives up those bytes that were not read."""
        with self._lock:
            items = next(self._stretches, [])
        if not self._far:
            return items, lambda: None
        return items, expect(block for item in items for block in self._blocks(item))


def _stretches(items: Sequence[T], nbytes: Callable[[T], int], threads: int) -> Iterator[list[T]]:
    """The items in order, cut into stretches: one thread's share of `MOST_BYTES` or, towards the end, of half the rest.

    With shrinking stretches all threads end at about the same time.
    """
    left = sum(map(nbytes, items))
    stretch: list[T] = []
    size = 0
    for item in items:
        own = nbytes(item)
        most = max(FEWEST_BYTES, min(MOST_BYTES, left // 2) // threads)
        if stretch and size + own > most:
            yield stretch
            left -= size
            stretch, size = [], 0
        stretch.append(item)
        size += own
    if stretch:
        yield stretch


def reads_from_afar(plan: Plan) -> bool:
    """Whether a parent is read over a network."""
    readers = {part.reader for tensor in plan.tensors for part in tensor.slices()}
    return any(isinstance(reader, TensorFiles) and reader.is_remote for reader in readers)


def have_at_hand(blocks: Iterable[Block]) -> None:
    """Fetch the remote parts of `blocks` in advance: together for each file, and all files in parallel. Read one
    by one, each would wait for a round trip. Raises HubError."""
    wanted = _by_file(blocks)
    if wanted:
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda file: file.keep(wanted[file]), wanted))


def expect(blocks: Iterable[Block]) -> Callable[[], None]:
    """Request the remote parts of `blocks`, which this thread will read next and in this order; do not wait for them.

    Returns a function that gives up what was not read; it must be called in the same thread.
    """
    ends: list[Callable[[], None]] = []
    for file, pieces in _by_file(blocks).items():
        spans: list[tuple[int, int]] = []
        for first, nbytes in pieces:
            start, length = spans[-1] if spans else (0, 0)
            if spans and start + length <= first <= start + length + GAP_BYTES:
                spans[-1] = start, first + nbytes - start
            else:
                spans.append((first, nbytes))
        # Scattered rows make many small spans. Each would cost a connection: they are fetched only when read.
        large = sorted(spans, key=lambda span: span[1])[-MOST_SPANS:]
        ends.append(file.expect([span for span in spans if span in large]))

    def give_up() -> None:
        for end in ends:
            end()

    return give_up


def _by_file(blocks: Iterable[Block]) -> dict[RemoteFile, list[tuple[int, int]]]:
    """Remote file → runs of bytes (offset, length) in it, in the order of `blocks`."""
    found: dict[RemoteFile, list[tuple[int, int]]] = {}
    for part, start, stop in blocks:
        source = part.reader.source(part.ref.file) if isinstance(part.reader, TensorFiles) else None
        if isinstance(source, RemoteFile):
            pieces = [piece for piece in pieces_of(part, start, stop) if piece[1] != ABSENT]
            found.setdefault(source, []).extend((part.ref.offset + first, nbytes) for _, first, nbytes in pieces)
    return found
