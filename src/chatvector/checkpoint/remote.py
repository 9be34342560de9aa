# SPDX-License-Identifier: Apache-2.0
"""A remote model: its files by byte range (remote_file.py), and the bytes that reading all of it transfers."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

from chatvector.checkpoint.remote_file import RemoteFile, SideBySide
from chatvector.checkpoint.storage import ByteSource
from chatvector.messages import Say

PACKED_BYTES = 8 << 20
"""Files of this size and more are kept compressed: uncompressed, three tokenizers of 128 k tokens are a tenth of a
merge's memory. For smaller ones it is not worth the time."""


@dataclass(frozen=True)
class Transfer:
    """The bytes that reading a remote model whole transfers.

    Attributes:
        name: as the user wrote it.
        nbytes: bytes of the files needed.
        nbytes_cached: bytes of those that are in a cache on this machine.
        by_range_only: whether it cannot be downloaded into a cache first (object stores).
    """

    name: str
    nbytes: int
    nbytes_cached: int
    by_range_only: bool = False

    @property
    def nbytes_missing(self) -> int:
        """Bytes that still have to be transferred."""
        return self.nbytes - self.nbytes_cached


class RemoteStorage(ABC):
    """Base of storages over a network: a listing, small files kept after the first read, threads."""

    open_ones: ClassVar[WeakSet[RemoteStorage]] = WeakSet()
    """All storages of this process that are not closed."""

    def __init__(self, location: str, listing: dict[str, int]) -> None:
        self.location = location
        self._listing = listing
        self._small: dict[str, bytes] = {}
        self._packed: dict[str, bytes] = {}
        self._side_by_side = SideBySide()
        self.open_ones.add(self)

    def listing(self) -> dict[str, int]:
        """Relative names of all files, with sizes in bytes."""
        return dict(self._listing)

    def read(self, name: str) -> bytes:
        """The whole of a small file, fetched once. Raises MissingInput, HubError."""
        if name in self._packed:
            return zlib.decompress(self._packed[name])
        if name not in self._small:
            source = self.open_once(name)
            data = bytearray(source.size)
            if isinstance(source, RemoteFile):
                source.fetch(0, memoryview(data))
            else:
                source.read_into(0, memoryview(data))
            source.close()
            if len(data) < PACKED_BYTES:
                self._small[name] = bytes(data)
            else:
                self._packed[name] = zlib.compress(data, 1)
                return bytes(data)
        return self._small[name]

    @abstractmethod
    def open(self, name: str) -> ByteSource:
        """Open a file for reading by range. Raises MissingInput."""

    def open_once(self, name: str) -> ByteSource:
        """Open a file that will be read by one request. Raises MissingInput."""
        return self.open(name)

    @abstractmethod
    def transfer(self) -> Transfer:
        """The transfer that reading the whole model needs."""

    @abstractmethod
    def download(self, stack: ExitStack, say: Say) -> Path:
        """A local directory with the files that a loader needs; a temporary one is removed when `stack` closes.

        Raises NotEnoughSpace before the first byte, HubError.
        """

    def prefetch(self, side_files: Iterable[str], shards: Iterable[str]) -> dict[str, ByteSource]:
        """Fetch side files and the first bytes of shards in parallel; returns the opened shards."""
        opened = {shard: self.open(shard) for shard in shards}
        heads = [source.keep_head for source in opened.values() if isinstance(source, RemoteFile)]
        small = [lambda name=name: self.read(name) for name in side_files]
        self._side_by_side.each(lambda work: work(), [*heads, *small])
        return opened

    def close(self) -> None:
        """Stop the threads and drop the kept files."""
        self._side_by_side.close()
        self._small.clear()
        self._packed.clear()
        self.open_ones.discard(self)
