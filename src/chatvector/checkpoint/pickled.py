# SPDX-License-Identifier: Apache-2.0
"""State dicts that `torch.save` wrote (`.bin`, `.pt`), as tensors at byte offsets; their pickle is never executed.

Two layouts hold the raw elements apart from the pickle, so that tensors can be read by range like those of safetensors:

- since torch 1.6 a zip archive, members stored without compression: `NAME/data.pkl`, `NAME/data/KEY` for each storage;
- before, one file: four pickles (a magic number, a version, the machine's sizes, the state dict), a fifth with the keys
  of the storages, then each storage as a 64-bit count of its elements and the elements.

Sources: the zip specification (APPNOTE 4.3, local and central headers); torch's serialization notes.
Not checked: the CRC of members, which would read each file once more.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.dtypes import DTYPES
from chatvector.checkpoint.pickled_program import ITEM_BYTES, Storage, Tensor, read_program
from chatvector.checkpoint.remote_file import read_ranges
from chatvector.checkpoint.storage import ByteSource
from chatvector.errors import DamagedFile, UnsupportedFormat, first_five

if TYPE_CHECKING:
    from chatvector.checkpoint.header import Header

MAX_PICKLE_BYTES = 64 << 20
"""Longest pickle that is read. Names and shapes of a hundred thousand tensors take less than half of it."""
FIRST_BYTES = 4 << 20
"""Bytes read first in the older layout: nearly all pickles end within them."""
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_ENCRYPTED = 1
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # signature … lengths of name and extra field


def read_pickled_header(source: ByteSource) -> Header:
    """Places of the tensors of a state dict in `source`, in the form of a safetensors header.

    Raises DamagedFile for archives that contradict themselves, UnsupportedFormat for everything that is no state dict
    of plain, contiguous tensors: other objects, negated views, compressed or encrypted members, big-endian machines.
    """
    first = source_bytes(source, 0, min(4, source.size))
    if first == b"PK\x03\x04":
        return _read_archive(source)
    if first[:1] == b"\x80":
        return _read_sequence(source)
    raise DamagedFile(f"{source.name}: neither torch's archive nor a pickle; download it again")


def source_bytes(source: ByteSource, offset: int, length: int) -> bytes:
    """`length` bytes of a source."""
    data = bytearray(length)
    source.read_into(offset, memoryview(data))
    return bytes(data)


class SourceStream(io.RawIOBase):
    """A `ByteSource` as a readable and seekable file object."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as the file reaches; return the number of bytes."""
        view = memoryview(buffer)[: max(0, self._source.size - self._at)]
        self._source.read_into(self._at, view)
        self._at += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        if start + offset < 0:
            raise OSError("a place before the file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """The current position."""
        return self._at


def _read_archive(source: ByteSource) -> Header:
    members = _members(source)
    pickles = [name for name in members if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(pickles) != 1:
        raise UnsupportedFormat(f"{source.name}: {len(pickles)} members are called data.pkl; torch.save writes one")
    folder = pickles[0].removesuffix("data.pkl")
    places = _places(source, [members[name] for name in members if _is_needed(name, folder)])
    order = folder + "byteorder"
    if order in places and source_bytes(source, *places[order]) != b"little":
        raise UnsupportedFormat(f"{source.name}: written on a big-endian machine; save it again on a little-endian one")
    start, size = places[pickles[0]]
    if size > MAX_PICKLE_BYTES:
        raise UnsupportedFormat(f"{source.name}: a pickle of {size} bytes describes no model")
    raw = source_bytes(source, start, size)
    document = read_program(raw, source.name)

    def place(storage: Storage) -> int:
        name = f"{folder}data/{storage.key}"
        if name not in places:
            raise DamagedFile(f"{source.name}: the storage {storage.key!r} is not in the archive; download it again")
        offset, nbytes = places[name]
        if nbytes != storage.elements * ITEM_BYTES[storage.dtype]:
            raise DamagedFile(
                f"{source.name}: the storage {storage.key!r} has {nbytes} bytes,"
                f" {storage.elements} elements of {storage.dtype} need another number"
            )
        return offset

    tensors = _state_dict(document, source.name)
    return _header(tensors, {one.storage: place(one.storage) for one in tensors.values()}, raw, source)


def _members(source: ByteSource) -> dict[str, zipfile.ZipInfo]:
    """The central directory. Raises DamagedFile for repeated names, UnsupportedFormat for packed or encrypted ones."""
    try:
        with zipfile.ZipFile(io.BufferedReader(SourceStream(source), 1 << 16)) as archive:
            listed = archive.infolist()
    # zipfile raises NotImplementedError for kinds of archive that it does not support.
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, DamagedFile):
            raise
        raise DamagedFile(f"{source.name}: no whole zip archive ({error}); truncated, download it again") from error
    members = {member.filename: member for member in listed}
    if len(members) != len(listed):
        raise DamagedFile(f"{source.name}: {len(listed) - len(members)} names are in the archive twice")
    packed = [member.filename for member in listed if member.compress_type != zipfile.ZIP_STORED]
    hidden = [member.filename for member in listed if member.flag_bits & _ENCRYPTED]
    if packed or hidden:
        raise UnsupportedFormat(
            f"{source.name}: {len(packed)} members are compressed, {len(hidden)} encrypted"
            f" ({first_five(packed + hidden)}); torch.save stores them plain"
        )
    return members


def _is_needed(name: str, folder: str) -> bool:
    return name.startswith(folder + "data/") or name in (folder + "data.pkl", folder + "byteorder")


def _places(source: ByteSource, members: list[zipfile.ZipInfo]) -> dict[str, tuple[int, int]]:
    """Offset and bytes of each member. Raises DamagedFile where local headers disagree, or members overlap."""
    places: dict[str, tuple[int, int]] = {}
    wanted = [(member.header_offset, _LOCAL_HEADER.size + len(_encoded(member))) for member in members]
    if any(offset < 0 or offset + size > source.size for offset, size in wanted):
        raise DamagedFile(f"{source.name}: a member begins outside of the file; download it again")
    for member, data in zip(members, read_ranges(source, wanted), strict=True):
        signature, *_, name_length, extra_length = _LOCAL_HEADER.unpack(data[: _LOCAL_HEADER.size])
        name = data[_LOCAL_HEADER.size :]
        if signature != b"PK\x03\x04" or name_length != len(name) or name != _encoded(member):
            raise DamagedFile(f"{source.name}: two headers disagree about {member.filename!r}; download it again")
        start = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if member.compress_size != member.file_size or start + member.file_size > source.size:
            raise DamagedFile(f"{source.name}: {member.filename!r} does not fit into the file; download it again")
        places[member.filename] = start, member.file_size
    end = 0
    for name, (start, size) in sorted(places.items(), key=lambda item: item[1]):
        if start < end:
            raise DamagedFile(f"{source.name}: {name!r} overlaps the member before it")
        end = start + size
    return places


def _encoded(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")


def _read_sequence(source: ByteSource) -> Header:
    """Read the layout before torch 1.6."""
    # From memory, where a hostile length cannot make a read larger than the data.
    stream = io.BytesIO(source_bytes(source, 0, min(FIRST_BYTES, source.size)))
    try:
        tensors, keys = _read_pickles(stream, source.name)
    except DamagedFile:
        if source.size <= FIRST_BYTES:
            raise
        stream = io.BytesIO(source_bytes(source, 0, min(MAX_PICKLE_BYTES, source.size)))
        tensors, keys = _read_pickles(stream, source.name)
    raw = stream.getvalue()[: stream.tell()]
    storages = {one.storage.key: one.storage for one in tensors.values()}
    if set(keys) != set(storages) or len(keys) != len(storages):
        raise DamagedFile(f"{source.name}: {len(keys)} storages are listed, the tensors use {len(storages)} others")
    places: dict[Storage, int] = {}
    at = len(raw)
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(source_bytes(source, at, 8), "little") if at + 8 <= source.size else -1
        places[storage] = at + 8
        at += 8 + storage.elements * ITEM_BYTES[storage.dtype]
        if count != storage.elements or at > source.size:
            raise DamagedFile(f"{source.name}: the storage {key!r} is not where it should be; truncated?")
    return _header(tensors, places, raw, source)


def _read_pickles(stream: io.BytesIO, where: str) -> tuple[dict[str, Tensor], list[Any]]:
    """The five pickles at the start: the tensors, and the keys of the storages in file order."""
    if read_program(stream, where) != MAGIC_NUMBER:
        raise UnsupportedFormat(f"{where}: a pickle that torch.save did not write; save it again as safetensors")
    read_program(stream, where)  # the version of the layout: there was only one
    machine = read_program(stream, where)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise UnsupportedFormat(f"{where}: written on a big-endian machine; save it again on a little-endian one")
    tensors = _state_dict(read_program(stream, where), where)
    keys = read_program(stream, where)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise DamagedFile(f"{where}: the list of storages is none; download it again")
    return tensors, keys


def _state_dict(document: object, where: str) -> dict[str, Tensor]:
    """Name → tensor. Raises UnsupportedFormat naming any other content."""
    if not isinstance(document, dict) or not document:
        raise UnsupportedFormat(f"{where}: holds no state dict; save model.state_dict(), best as safetensors")
    other = [str(name) for name, one in document.items() if not isinstance(name, str) or not isinstance(one, Tensor)]
    if other:
        raise UnsupportedFormat(
            f"{where}: {len(other)} of {len(document)} entries are no tensors ({first_five(other)});"
            " save model.state_dict() alone, best as safetensors"
        )
    return document


def _header(tensors: Mapping[str, Tensor], places: Mapping[Storage, int], raw: bytes, source: ByteSource) -> Header:
    from chatvector.checkpoint.header import Header, HeaderEntry

    spread = [name for name, one in tensors.items() if not _is_contiguous(one)]
    if spread:
        raise UnsupportedFormat(
            f"{source.name}: {len(spread)} tensors are not contiguous ({first_five(spread)});"
            " call .contiguous() on them and save again, best as safetensors"
        )
    lazy = [f"{name}: {', '.join(one.bits)}" for name, one in tensors.items() if one.bits]
    if lazy:
        raise UnsupportedFormat(
            f"{source.name}: {len(lazy)} tensors are views that torch changes when it reads them ({first_five(lazy)});"
            " call .resolve_neg().resolve_conj() on them and save again, best as safetensors"
        )
    entries: list[HeaderEntry] = []
    for name, one in tensors.items():
        dtype = DTYPES[one.storage.dtype]
        item = ITEM_BYTES[one.storage.dtype]
        elements = _elements(one.shape)
        if one.start + elements > one.storage.elements:
            raise DamagedFile(f"{source.name}: tensor {name!r} reaches beyond its storage; download it again")
        offset = places[one.storage] + one.start * item
        entries.append(HeaderEntry(name, dtype, one.shape, offset, elements * item))
    entries.sort(key=lambda entry: (entry.offset, entry.nbytes))
    return Header(tuple(entries), {}, 0, raw)


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _is_contiguous(one: Tensor) -> bool:
    """Whether elements follow each other, last axis fastest; steps along axes of extent 1 do not matter."""
    step = 1
    for extent, stride in zip(reversed(one.shape), reversed(one.stride), strict=True):
        if extent == 0:
            return True
        if extent != 1:
            if stride != step:
                return False
            step *= extent
    return True
