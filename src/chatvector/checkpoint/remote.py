# SPDX-License-Identifier: Apache-2.0
"""Files that are far away, read by byte range: blocks fetched ahead of the reader, in bounded memory.

The executor reads units of 256 KiB in order, from several threads. Over a network each read would wait for a round
trip, so larger aligned blocks are fetched by threads of their own, the next ones before they are asked for. A read
that belongs to no such front (rows of an embedding, a sample) is fetched exactly, without a block.

Memory: `BLOCK_BYTES · BLOCKS` for each model that is read this way, 32 MiB, beside the budget of `--memory`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from chatvector.checkpoint.storage import ByteSource
from chatvector.errors import DamagedFile

T = TypeVar("T")
R = TypeVar("R")

BLOCK_BYTES = 4 << 20
"""Large enough that a round trip of 50 ms costs little at 100 MB/s, small enough that eight of them are no memory."""
BLOCKS = 8
AHEAD = 4
"""Blocks asked for before the reader gets there."""
THREADS = 8
"""Connections of one model at a time."""
FRONT_BYTES = 128 << 10
"""A read of at least so much is taken for one of many in order."""
GAP_BYTES = 64 << 10
"""Wanted ranges no further apart than this are fetched as one."""
HEAD_BYTES = 128 << 10
"""Fetched with a file's first byte: most headers lie within."""


@dataclass(frozen=True)
class Transfer:
    """What a model that is not on this machine costs to read whole.

    Attributes:
        name: as the user wrote it.
        nbytes: of the files needed.
        nbytes_cached: of those that lie in a cache on this machine.
        by_range_only: it cannot be downloaded into a cache first (object stores).
    """

    name: str
    nbytes: int
    nbytes_cached: int
    by_range_only: bool = False

    @property
    def nbytes_missing(self) -> int:
        """Bytes that still have to move."""
        return self.nbytes - self.nbytes_cached


class RangeFetcher(Protocol):
    """One remote file. Safe to use from several threads."""

    def fetch(self, start: int, buffer: memoryview) -> None:
        """Fill all of `buffer` from byte `start`, trying again where that helps. Raises HubError."""
        ...


@dataclass(frozen=True)
class Loan:
    """Bytes of a block that stay as they are until `end` is called, once."""

    data: memoryview
    end: Callable[[], None]


@dataclass(eq=False)
class _Block:
    """A fetched piece of a file, or one on its way; its bytes are used again when nobody reads it any more."""

    data: bytearray
    arrived: Future[None] = field(default_factory=Future)
    readers: int = 0


class ReadAhead:
    """The blocks and the threads of one model. Safe to use from several threads."""

    def __init__(self, *, block_bytes: int = BLOCK_BYTES, blocks: int = BLOCKS, ahead: int = AHEAD) -> None:
        self.block_bytes = block_bytes
        self._most = blocks
        self._ahead = ahead
        self._lock = threading.Lock()
        self._blocks: OrderedDict[tuple[RemoteFile, int], _Block] = OrderedDict()
        self._free: list[bytearray] = []
        self._fronts: dict[RemoteFile, int] = {}  # the last block asked for by readers in order
        self._reached: dict[RemoteFile, int] = {}  # the last block that one of them has come to
        self._pool = ThreadPoolExecutor(THREADS, "chatvector-fetch")

    @property
    def nbytes(self) -> int:
        """Bytes that the blocks occupy now."""
        with self._lock:
            return self.block_bytes * (len(self._blocks) + len(self._free))

    def read(self, file: RemoteFile, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `offset` of `file`."""
        done = 0
        while done < len(buffer):
            number, at = divmod(offset + done, self.block_bytes)
            part = buffer[done : done + self.block_bytes - at]
            block = self._enter(file, number, in_order=len(buffer) >= FRONT_BYTES)
            if block is None:
                file.fetch(offset + done, part)
            else:
                try:
                    block.arrived.result()
                    part[:] = memoryview(block.data)[at : at + len(part)]
                finally:
                    self._leave(block)
            done += len(part)

    def borrow(self, file: RemoteFile, offset: int, length: int) -> Loan | None:
        """The bytes where they lie, without a copy, until the loan is ended; None unless they lie in one block."""
        number, at = divmod(offset, self.block_bytes)
        if at + length > self.block_bytes:
            return None
        block = self._enter(file, number, in_order=length >= FRONT_BYTES)
        if block is None:
            return None
        try:
            block.arrived.result()
        except BaseException:
            self._leave(block)
            raise
        return Loan(memoryview(block.data)[at : at + length], lambda: self._leave(block))

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`work` on every item, side by side; results in order. The first error is raised."""
        return list(self._pool.map(work, items))

    def close(self) -> None:
        """Stop the threads and drop the blocks."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._blocks.clear()
            self._free.clear()

    def _enter(self, file: RemoteFile, number: int, *, in_order: bool) -> _Block | None:
        """The block, held for a reader; None where the read stands alone, or comes late behind the others."""
        with self._lock:
            in_order = in_order or (file, number - 1) in self._blocks
            block = self._blocks.get((file, number))
            front = self._fronts.get(file, -1)
            late = front - self._most <= number <= front
            if block is None:
                if late or not in_order or (block := self._request(file, number, unread_too=True)) is None:
                    return None
                front = number
            self._blocks.move_to_end((file, number))
            block.readers += 1
            if in_order:
                self._reached[file] = max(number, self._reached.get(file, -1))
                # What others have passed already is not asked for again.
                for following in range(max(number, front) + 1, min(number + 1 + self._ahead, file.blocks)):
                    if (file, following) not in self._blocks and self._request(file, following) is None:
                        break
                    front = following
                self._fronts[file] = front
            return block

    def _leave(self, block: _Block) -> None:
        with self._lock:
            block.readers -= 1

    def _request(self, file: RemoteFile, number: int, *, unread_too: bool = False) -> _Block | None:
        """Ask for a block; None when all places are taken by blocks that are read, under way, or not come to yet.

        `unread_too`: a reader waits for it, so that a block which nobody has come to yet may make room.
        """
        if len(self._blocks) >= self._most:
            idle = [key for key, one in self._blocks.items() if not one.readers and one.arrived.done()]
            passed = [key for key in idle if key[1] <= self._reached.get(key[0], -1)]
            leaving = next(iter(passed or (idle if unread_too else ())), None)
            if leaving is None:
                return None
            self._free.append(self._blocks.pop(leaving).data)
        block = _Block(self._free.pop() if self._free else bytearray(self.block_bytes))
        self._blocks[file, number] = block
        self._pool.submit(self._fill, file, number, block)
        return block

    def _fill(self, file: RemoteFile, number: int, block: _Block) -> None:
        start = number * self.block_bytes
        try:
            file.fetch(start, memoryview(block.data)[: min(self.block_bytes, file.size - start)])
        except BaseException as error:
            with self._lock:
                self._blocks.pop((file, number), None)  # the next reader asks again
            block.arrived.set_exception(error)
        else:
            block.arrived.set_result(None)


class RemoteFile:
    """A remote file as a `ByteSource`."""

    def __init__(self, name: str, size: int, fetcher: RangeFetcher, ahead: ReadAhead) -> None:
        self.name = name
        self.size = size
        self.blocks = -(-size // ahead.block_bytes)
        self._fetcher = fetcher
        self._ahead = ahead
        self._head = b""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill all of `buffer` from byte `offset`. Raises DamagedFile beyond the end, HubError."""
        self._check(offset, len(buffer))
        if offset + len(buffer) <= len(self._head):
            buffer[:] = self._head[offset : offset + len(buffer)]
        else:
            self._ahead.read(self, offset, buffer)

    def borrow(self, offset: int, length: int) -> Loan | None:
        """The bytes from `offset` on without a copy, where that can be. Raises DamagedFile beyond the end, HubError."""
        self._check(offset, length)
        return self._ahead.borrow(self, offset, length)

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of many (offset, length), close ones fetched together, side by side, past the blocks."""
        for offset, length in ranges:
            self._check(offset, length)
        return gather(ranges, lambda spans: self._ahead.each(self.fetch_bytes, spans))

    def read_head(self) -> None:
        """Fetch and keep the first bytes, where the header is."""
        self._head = self.fetch_bytes((0, min(HEAD_BYTES, self.size)))

    def fetch(self, start: int, buffer: memoryview) -> None:
        """Fill `buffer` over the network, at once."""
        if len(buffer):
            self._fetcher.fetch(start, buffer)

    def fetch_bytes(self, span: tuple[int, int]) -> bytes:
        """The bytes of one (offset, length), at once."""
        data = bytearray(span[1])
        self.fetch(span[0], memoryview(data))
        return bytes(data)

    def close(self) -> None:
        """Drop the kept bytes; the threads belong to the storage."""
        self._head = b""

    def _check(self, offset: int, length: int) -> None:
        if offset + length > self.size:
            raise DamagedFile(f"{self.name}: truncated, it has {self.size} bytes where {offset + length} are needed")


class RemoteStorage(ABC):
    """What storages over a network share: a listing, small files kept once read, one `ReadAhead`."""

    def __init__(self, location: str, listing: dict[str, int]) -> None:
        self.location = location
        self._listing = listing
        self._small: dict[str, bytes] = {}
        self._ahead = ReadAhead()

    def listing(self) -> dict[str, int]:
        """Relative names of all files, with sizes in bytes."""
        return dict(self._listing)

    def read(self, name: str) -> bytes:
        """The whole of a small file, fetched once. Raises MissingInput, HubError."""
        if name not in self._small:
            source = self.open(name)
            data = bytearray(source.size)
            if isinstance(source, RemoteFile):
                source.fetch(0, memoryview(data))
            else:
                source.read_into(0, memoryview(data))
            source.close()
            self._small[name] = bytes(data)
        return self._small[name]

    @abstractmethod
    def open(self, name: str) -> ByteSource:
        """Open a file for reading by range. Raises MissingInput."""

    @abstractmethod
    def transfer(self) -> Transfer:
        """What reading the whole model costs."""

    @abstractmethod
    def download(self, stack: ExitStack, say: Callable[[str], None]) -> Path:
        """A directory on this machine with the files that a loader needs; a temporary one goes with `stack`.

        Raises NotEnoughSpace before the first byte, HubError.
        """

    def prefetch(self, side_files: Iterable[str], shards: Iterable[str]) -> dict[str, ByteSource]:
        """Fetch side files and the first bytes of shards side by side; returns the opened shards."""
        opened = {shard: self.open(shard) for shard in shards}
        heads = [source.read_head for source in opened.values() if isinstance(source, RemoteFile)]
        small = [lambda name=name: self.read(name) for name in side_files]
        self._ahead.each(lambda work: work(), [*heads, *small])
        return opened

    def close(self) -> None:
        """Stop the threads, drop what was kept."""
        self._ahead.close()
        self._small.clear()


def read_ranges(source: ByteSource, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of many (offset, length) of a file: one by one from a disk, together and side by side from afar."""
    if isinstance(source, RemoteFile):
        return source.read_ranges(ranges)
    found: list[bytes] = []
    for offset, length in ranges:
        data = bytearray(length)
        source.read_into(offset, memoryview(data))
        found.append(bytes(data))
    return found


def gather(ranges: Sequence[tuple[int, int]], fetch: Callable[[list[tuple[int, int]]], list[bytes]]) -> list[bytes]:
    """Read (offset, length) ranges through fewer, larger spans; `fetch` gets the spans, in order and apart."""
    spans: list[tuple[int, int]] = []
    for offset, length in sorted(ranges):
        if spans and offset <= spans[-1][0] + spans[-1][1] + GAP_BYTES and offset + length - spans[-1][0] < BLOCK_BYTES:
            first, before = spans[-1]
            spans[-1] = first, max(before, offset + length - first)
        else:
            spans.append((offset, length))
    pieces = dict(zip(spans, fetch(spans), strict=True))
    found: list[bytes] = []
    starts = [first for first, _ in spans]
    for offset, length in ranges:
        span = spans[_at_or_before(starts, offset)]
        found.append(pieces[span][offset - span[0] : offset - span[0] + length])
    return found


def _at_or_before(starts: list[int], offset: int) -> int:
    return bisect_right(starts, offset) - 1
