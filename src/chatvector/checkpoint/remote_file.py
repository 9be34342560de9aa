# SPDX-License-Identifier: Apache-2.0
"""Files that are far away, read by byte range: what will be read next is on its way before it is wanted.

Bytes go from the connection straight into the reader's own buffer. Who reads many pieces in order says so before
(`expect`, the executor, a stretch of its units ahead), so that one request brings them all and no round trip is waited
for; whoever reads on where it stopped is taken to go on. Any other read is fetched exactly. What waits lies in the
system's buffers of a connection, none of it here.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from chatvector.checkpoint.storage import ByteSource
from chatvector.errors import DamagedFile

T = TypeVar("T")
R = TypeVar("R")

THREADS = 16
"""Connections of one model for many places at a time."""
STREAM_BYTES = 16 << 20
"""What is asked for at once where nobody said how much will be read."""
FRONT_BYTES = 128 << 10
"""A read of at least so much that goes on where the last one ended is taken for one of many in order."""
GAP_BYTES = 64 << 10
"""Wanted ranges no further apart than this are fetched as one."""
HEAD_BYTES = 128 << 10
"""Fetched with a file's first byte: most headers lie within."""


class Range(Protocol):
    """Some bytes of a remote file, on their way; read in order, by one thread at a time."""

    def read_into(self, buffer: memoryview) -> None:
        """Fill all of `buffer` with the next bytes, trying again where that helps. Raises HubError."""
        ...

    def lend(self, nbytes: int) -> int | None:
        """A socket whose next `nbytes` are this range's, for the caller to take or to `break_off`; None where they come
        another way."""
        ...

    def break_off(self) -> None:
        """Give up a range whose socket was lent and left somewhere."""
        ...

    def close(self) -> None:
        """Give up what was not read."""
        ...


class RangeOpener(Protocol):
    """One remote file. Safe to use from several threads."""

    def open(self, start: int, length: int) -> Range:
        """Ask for `length` bytes from byte `start`, and do not wait for them."""
        ...


@dataclass(frozen=True)
class Loan:
    """A connection's socket, lent to whoever reads it by itself.

    Attributes:
        descriptor: the next bytes from it are those asked for.
        settle: to be called in the same thread, with whether exactly those were taken; the same for all loans that are
            open at a time.
    """

    descriptor: int
    settle: Callable[[bool], None]


class _Stream:
    """A range that one thread reads in order, and where in the file it is."""

    def __init__(self, source: Range, start: int, length: int) -> None:
        self._source = source
        self.at, self.stop = start, start + length

    def holds(self, offset: int, length: int) -> bool:
        """Whether these bytes come next, or soon."""
        return self.at <= offset <= self.at + GAP_BYTES and offset + length <= self.stop

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `offset` of the file; what lies before is passed over."""
        if self.at < offset:
            self._take(memoryview(bytearray(offset - self.at)))
        self._take(buffer)

    def lend(self, offset: int, length: int) -> int | None:
        """A socket that brings these bytes next, if one does."""
        descriptor = self._source.lend(length) if offset == self.at and offset + length <= self.stop else None
        if descriptor is not None:
            self.at += length
        return descriptor

    def break_off(self) -> None:
        """Give up all, after a loan that went wrong."""
        self._source.break_off()

    def close(self) -> None:
        """Give up what was not read."""
        self._source.close()

    def _take(self, buffer: memoryview) -> None:
        self._source.read_into(buffer)
        self.at += len(buffer)


class _OfThread(threading.local):
    """What one thread reads of one file: its streams, the one of them that nobody announced, and where its last large
    read ended."""

    def __init__(self) -> None:
        self.streams: list[_Stream] = []
        self.following: _Stream | None = None
        self.last = -1


class RemoteFile:
    """A remote file as a `ByteSource`."""

    def __init__(self, name: str, size: int, opener: RangeOpener, side_by_side: SideBySide) -> None:
        self.name = name
        self.size = size
        self._opener = opener
        self._side_by_side = side_by_side
        self._kept: list[tuple[int, bytes]] = []
        self._mine = _OfThread()
        self._open: set[_Stream] = set()
        self._lock = threading.Lock()

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill all of `buffer` from byte `offset`: from what is on its way to this thread, from what was kept, else at
        once. Raises DamagedFile beyond the end, HubError."""
        length, mine = len(buffer), self._mine
        self._check(offset, length)
        stream = next((one for one in mine.streams if one.holds(offset, length)), None)
        if stream is None and self._read_kept(offset, buffer):
            return
        if stream is None and length >= FRONT_BYTES and offset == mine.last:
            stream = self._follow(offset, max(length, min(STREAM_BYTES, self.size - offset)))
        if stream is None:
            self.fetch(offset, buffer)
        else:
            self._read_stream(stream, offset, buffer)
        if length >= FRONT_BYTES:
            mine.last = offset + length

    def expect(self, spans: Sequence[tuple[int, int]]) -> Callable[[], None]:
        """Ask for each (offset, length) now, as this thread will read them next by `read_into`, each in order.

        Returns what gives up those that were not read, to be called in the same thread.
        """
        for offset, length in spans:
            self._check(offset, length)
        streams = [self._begin(offset, length) for offset, length in spans if length]

        def give_up() -> None:
            for stream in streams:
                if stream in self._mine.streams:
                    self._end(stream)

        return give_up

    def lend(self, offset: int, length: int) -> Loan | None:
        """The socket that brings `length` bytes from byte `offset` next to this thread, instead of reading them here;
        None where none does, and `read_into` has to."""
        lent = ((stream, stream.lend(offset, length)) for stream in self._mine.streams)
        stream, descriptor = next((one for one in lent if one[1] is not None), (None, None))
        if stream is None or descriptor is None:
            return None
        return Loan(descriptor, lambda taken: self._settle(stream, taken=taken))

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of many (offset, length), close ones fetched together, side by side."""
        return gather(ranges, self._fetch_spans)

    def keep(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch many (offset, length) as `read_ranges` does, for `read_into` to find them; in place of those before."""
        spans = spans_of(ranges)
        self._kept = [(start, data) for (start, _), data in zip(spans, self._fetch_spans(spans), strict=True)]

    def keep_head(self) -> None:
        """Keep the first bytes, where the header is."""
        self._kept = [(0, self._fetch_bytes((0, min(HEAD_BYTES, self.size))))]

    def fetch(self, start: int, buffer: memoryview) -> None:
        """Fill `buffer` over the network, at once."""
        if len(buffer):
            with closing(self._opener.open(start, len(buffer))) as source:
                source.read_into(buffer)

    def close(self) -> None:
        """Drop the kept bytes and all that is on its way."""
        self._kept = []
        with self._lock:
            for stream in self._open:
                stream.close()
            self._open.clear()

    def _begin(self, offset: int, length: int) -> _Stream:
        stream = _Stream(self._opener.open(offset, length), offset, length)
        self._mine.streams.append(stream)
        with self._lock:
            self._open.add(stream)
        return stream

    def _follow(self, offset: int, length: int) -> _Stream:
        if self._mine.following in self._mine.streams:
            self._end(self._mine.following)
        self._mine.following = self._begin(offset, length)
        return self._mine.following

    def _end(self, stream: _Stream) -> None:
        self._mine.streams.remove(stream)
        with self._lock:
            self._open.discard(stream)
        stream.close()

    def _settle(self, stream: _Stream, *, taken: bool) -> None:
        if stream not in self._mine.streams:
            return  # ended with another loan of the same stream
        if not taken:
            stream.break_off()
        if not taken or stream.at == stream.stop:
            self._end(stream)

    def _read_stream(self, stream: _Stream, offset: int, buffer: memoryview) -> None:
        try:
            stream.read_into(offset, buffer)
        except BaseException:
            self._end(stream)  # nobody knows how far it came
            raise
        if stream.at == stream.stop:
            self._end(stream)

    def _read_kept(self, offset: int, buffer: memoryview) -> bool:
        place = bisect_right(self._kept, offset, key=_start) - 1
        if place < 0:
            return False
        start, kept = self._kept[place]
        if offset + len(buffer) > start + len(kept):
            return False
        buffer[:] = kept[offset - start : offset - start + len(buffer)]
        return True

    def _fetch_spans(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        for offset, length in spans:
            self._check(offset, length)
        return self._side_by_side.each(self._fetch_bytes, spans)

    def _fetch_bytes(self, span: tuple[int, int]) -> bytes:
        data = bytearray(span[1])
        self.fetch(span[0], memoryview(data))
        return bytes(data)

    def _check(self, offset: int, length: int) -> None:
        if offset + length > self.size:
            raise DamagedFile(f"{self.name}: truncated, it has {self.size} bytes where {offset + length} are needed")


class SideBySide:
    """The threads that fetch what one model needs of many places, side by side."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "chatvector-fetch")

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`work` on every item, side by side; results in order. The first error is raised."""
        return list(self._pool.map(work, items))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


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
    spans = spans_of(ranges)
    pieces = fetch(spans)
    found: list[bytes] = []
    for offset, length in ranges:
        place = bisect_right(spans, offset, key=_start) - 1
        at = offset - spans[place][0]
        found.append(pieces[place][at : at + length])
    return found


def spans_of(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Fewer, larger (offset, length) that hold all of `ranges`, in order and apart."""
    spans: list[tuple[int, int]] = []
    for offset, length in sorted(ranges):
        first, before = spans[-1] if spans else (0, 0)
        if spans and offset <= first + before + GAP_BYTES and offset + length - first < STREAM_BYTES:
            spans[-1] = first, max(before, offset + length - first)
        else:
            spans.append((offset, length))
    return spans


def _start(span: tuple[int, object]) -> int:
    return span[0]
