# SPDX-License-Identifier: Apache-2.0
"""Remote files, read by byte range: what will be read next is requested before it is needed.

Bytes go from the connection straight into the reader's own buffer. A reader of many pieces in order announces them
(`expect`; the executor does so a stretch of units ahead), so that one request brings them all without waiting for round
trips. A large read that starts where the last one ended is taken as the start of many. Any other read fetches exactly
its bytes. Bytes that wait are in the system's buffers of a connection, not in this process.
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
"""Connections of one model for reading many places at the same time."""
STREAM_BYTES = 16 << 20
"""Bytes requested at once for sequential reading that was not announced."""
FRONT_BYTES = 128 << 10
"""A read of at least this many bytes that starts where the last one ended counts as sequential."""
GAP_BYTES = 64 << 10
"""Wanted ranges no further apart than this are fetched as one."""
HEAD_BYTES = 128 << 10
"""Fetched with a file's first byte: most headers lie within."""


class Range(Protocol):
    """Requested bytes of a remote file; read in order, by one thread at a time."""

    def read_into(self, buffer: memoryview) -> None:
        """Fill all of `buffer` with the next bytes, with retries where they may help. Raises HubError."""
        ...

    def lend(self, nbytes: int) -> int | None:
        """A socket whose next `nbytes` belong to this range; None where the bytes do not come from a plain socket.

        The caller has to read exactly these bytes, or to call `break_off`.
        """
        ...

    def break_off(self) -> None:
        """Give up a range whose socket was lent and not read as agreed, so that its position is unknown."""
        ...

    def close(self) -> None:
        """Give up what was not read."""
        ...


class RangeOpener(Protocol):
    """One remote file. Safe to use from several threads."""

    def open(self, start: int, length: int) -> Range:
        """Request `length` bytes from byte `start`, without waiting for them."""
        ...


@dataclass(frozen=True)
class Loan:
    """A connection's socket, lent to code that reads it directly.

    Attributes:
        descriptor: the socket; the next bytes from it are the requested ones.
        settle: to be called in the same thread with True if exactly those bytes were read, else False. All loans that
            are open at the same time get the same value.
    """

    descriptor: int
    settle: Callable[[bool], None]


class _Stream:
    """A range that one thread reads in order, with its position in the file."""

    def __init__(self, source: Range, start: int, length: int) -> None:
        self._source = source
        self.at, self.stop = start, start + length

    def holds(self, offset: int, length: int) -> bool:
        """Whether these bytes come next, or after a gap of at most `GAP_BYTES`."""
        return self.at <= offset <= self.at + GAP_BYTES and offset + length <= self.stop

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `offset` of the file; bytes before it are read and dropped."""
        if self.at < offset:
            self._take(memoryview(bytearray(offset - self.at)))
        self._take(buffer)

    def lend(self, offset: int, length: int) -> int | None:
        """A socket whose next bytes are these; None where there is none."""
        descriptor = self._source.lend(length) if offset == self.at and offset + length <= self.stop else None
        if descriptor is not None:
            self.at += length
        return descriptor

    def break_off(self) -> None:
        """Give up the whole range after a failed loan."""
        self._source.break_off()

    def close(self) -> None:
        """Give up what was not read."""
        self._source.close()

    def _take(self, buffer: memoryview) -> None:
        self._source.read_into(buffer)
        self.at += len(buffer)


class _OfThread(threading.local):
    """One thread's state for one file: its streams, the one of them that was not announced (`following`), and the end
    of its last large read."""

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
        """Fill all of `buffer` from byte `offset`: from this thread's requests, else from kept bytes, else by a new
        request. Raises DamagedFile beyond the end, HubError."""
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
        """Request each (offset, length) now; this thread will read them next by `read_into`, each in order.

        Returns a function that gives up those that were not read; it must be called in the same thread.
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
        """Lend a socket of this thread whose next `length` bytes are those from byte `offset`.

        None where there is none: use `read_into`.
        """
        lent = ((stream, stream.lend(offset, length)) for stream in self._mine.streams)
        stream, descriptor = next((one for one in lent if one[1] is not None), (None, None))
        if stream is None or descriptor is None:
            return None
        return Loan(descriptor, lambda taken: self._settle(stream, taken=taken))

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of many (offset, length), fetched in parallel; close ones share a request."""
        return gather(ranges, self._fetch_spans)

    def keep(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch many (offset, length) as `read_ranges` does and keep them for `read_into`, in place of earlier ones."""
        spans = spans_of(ranges)
        self._kept = [(start, data) for (start, _), data in zip(spans, self._fetch_spans(spans), strict=True)]

    def keep_head(self) -> None:
        """Keep the first bytes, where the header is."""
        self._kept = [(0, self._fetch_bytes((0, min(HEAD_BYTES, self.size))))]

    def fetch(self, start: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `start` by a request of its own."""
        if len(buffer):
            with closing(self._opener.open(start, len(buffer))) as source:
                source.read_into(buffer)

    def close(self) -> None:
        """Drop the kept bytes and all open requests."""
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
            self._end(stream)  # its position is unknown
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
    """The threads that fetch many places of one model in parallel."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "chatvector-fetch")

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Call `work` on every item in parallel; results in order. The first error is raised."""
        return list(self._pool.map(work, items))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def read_ranges(source: ByteSource, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of many (offset, length) of a file: one by one from a disk, in parallel from a remote file."""
    if isinstance(source, RemoteFile):
        return source.read_ranges(ranges)
    found: list[bytes] = []
    for offset, length in ranges:
        data = bytearray(length)
        source.read_into(offset, memoryview(data))
        found.append(bytes(data))
    return found


def gather(ranges: Sequence[tuple[int, int]], fetch: Callable[[list[tuple[int, int]]], list[bytes]]) -> list[bytes]:
    """Read (offset, length) ranges through fewer, larger spans; `fetch` gets the spans, sorted and disjoint."""
    spans = spans_of(ranges)
    pieces = fetch(spans)
    found: list[bytes] = []
    for offset, length in ranges:
        place = bisect_right(spans, offset, key=_start) - 1
        at = offset - spans[place][0]
        found.append(pieces[place][at : at + length])
    return found


def spans_of(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Fewer, larger (offset, length) that cover all of `ranges`, sorted and disjoint."""
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
