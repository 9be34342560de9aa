# SPDX-License-Identifier: Apache-2.0
"""Tensors in safetensors files (or state dicts of torch): the place of each, and reading it by range."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from chatvector.checkpoint.dtypes import DType
from chatvector.checkpoint.files import is_pickled
from chatvector.checkpoint.header import Header, read_header
from chatvector.checkpoint.remote import RemoteStorage
from chatvector.checkpoint.remote_file import read_ranges
from chatvector.checkpoint.storage import ByteSource, Storage
from chatvector.errors import DamagedFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class TensorRef:
    """The place of a tensor in the files of a model.

    Attributes:
        name: tensor name, as in the file.
        dtype: stored dtype.
        shape: extents, outermost first.
        file: shard that holds it, relative to the model.
        offset: first byte in that shard.
        nbytes: bytes it occupies.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: str
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def row_elements(self) -> int:
        """Elements in one row (the product of all extents but the first); 1 for vectors."""
        return math.prod(self.shape[1:])


class Reader(Protocol):
    """A source from which the bytes of tensors can be read."""

    @property
    def name(self) -> str:
        """The source's name in messages."""
        ...

    def read_into(self, ref: TensorRef, start: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes of `ref` from byte `start` of the tensor on."""
        ...


class TensorFiles:
    """The tensors of a set of safetensors files, or of torch's state dicts. Safe to read from several threads."""

    def __init__(
        self, storage: Storage, shards: tuple[str, ...], name: str, opened: Mapping[str, ByteSource] | None = None
    ) -> None:
        """Read and check the headers of `shards`; `opened`: the shards that are open already.

        Raises MissingInput or DamagedFile, naming the file.
        """
        self.name = name
        self.storage = storage
        self._sources: dict[str, ByteSource] = dict(opened or {})
        self._lock = threading.Lock()
        self.headers: dict[str, Header] = {shard: read_shard_header(shard, self.source(shard)) for shard in shards}
        self.tensors: dict[str, TensorRef] = self._collect()

    @property
    def is_remote(self) -> bool:
        """Whether reading goes over a network."""
        return isinstance(self.storage, RemoteStorage)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(ref.nbytes for ref in self.tensors.values())

    def source(self, shard: str) -> ByteSource:
        """The open file of `shard`; opened once."""
        with self._lock:
            if shard not in self._sources:
                self._sources[shard] = self.storage.open(shard)
            return self._sources[shard]

    def read_into(self, ref: TensorRef, start: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes of `ref` from byte `start` of the tensor on."""
        self.source(ref.file).read_into(ref.offset + start, buffer)

    def read_array(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Elements `start` to `stop` of a tensor, flat, in its stored dtype."""
        import numpy as np

        ref = self.tensors[name]
        stop = ref.elements if stop is None else stop
        array = np.empty(stop - start, ref.dtype.numpy)
        self.read_into(ref, start * array.itemsize, array.view(np.uint8).data)
        return array

    def read_rows(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows of a tensor by index, as float32 of shape [len(rows), row elements]."""
        import numpy as np

        ref = self.tensors[name]
        width = ref.row_elements
        size = width * ref.dtype.bits // 8
        result = np.empty((len(rows), width), np.float32)
        # A few hundred at a time: the bytes of all rows at once would double the memory.
        for first in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[first : first + ROWS_AT_ONCE]
            data = read_ranges(self.source(ref.file), [(ref.offset + int(row) * size, size) for row in some])
            for place, row in enumerate(data, first):
                result[place] = np.frombuffer(row, ref.dtype.numpy)
        return result

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for source in self._sources.values():
                source.close()
            self._sources.clear()
        if isinstance(self.storage, RemoteStorage):
            self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _collect(self) -> dict[str, TensorRef]:
        tensors: dict[str, TensorRef] = {}
        for shard, header in self.headers.items():
            for entry in header.entries:
                if entry.name in tensors:
                    raise DamagedFile(
                        f"{self.name}: tensor {entry.name!r} is in {tensors[entry.name].file} and again in {shard}"
                    )
                tensors[entry.name] = TensorRef(entry.name, entry.dtype, entry.shape, shard, entry.offset, entry.nbytes)
        if not tensors:
            raise DamagedFile(f"{self.name}: the weight files hold no tensor")
        return tensors


def read_shard_header(shard: str, source: ByteSource) -> Header:
    """Places of the tensors of a weight file: safetensors or, by its name, torch's state dict, which is not executed.

    Raises DamagedFile, UnsupportedFormat.
    """
    if not is_pickled(shard):
        return read_header(source)
    from chatvector.checkpoint.pickled import read_pickled_header

    return read_pickled_header(source)
