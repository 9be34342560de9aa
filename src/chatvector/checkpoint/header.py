# SPDX-License-Identifier: Apache-2.0
"""The header of a safetensors file: untrusted when read, reproducible to the byte when written.

Format: 8 bytes little-endian length N, N bytes of JSON, then the tensors without gaps. The JSON maps each name to
`{"dtype", "shape", "data_offsets": [begin, end]}` relative to the end of the header, and `__metadata__` to strings.
Source: safetensors format specification (README, "Format" and "Benefits"), version 0.8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatvector.checkpoint.dtypes import DType, dtype_of
from chatvector.checkpoint.storage import ByteSource
from chatvector.errors import DamagedFile, first_five

# The format's own limit; a longer header is an attack on the parser, not a model.
MAX_HEADER_BYTES = 100_000_000
# Extents and offsets are 64-bit in every reader; a file of 2⁶³ bytes does not exist.
MAX_COUNT = (1 << 63) - 1
# The reference writer pads the JSON so that the tensors start at a multiple of 8 bytes.
ALIGNMENT = 8


@dataclass(frozen=True)
class HeaderEntry:
    """One tensor in a file.

    Attributes:
        name: tensor name, as in the file.
        dtype: its stored dtype.
        shape: extents, outermost first.
        offset: first byte, counted from the start of the file.
        nbytes: bytes it occupies; always shape × dtype.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """A parsed header: `entries` in file order, `metadata` (strings to strings), `data_start` in bytes."""

    entries: tuple[HeaderEntry, ...]
    metadata: Mapping[str, str]
    data_start: int
    raw: bytes


def read_header(source: ByteSource) -> Header:
    """Parse and check the header of `source`.

    Raises DamagedFile for anything the specification forbids: a file too short, a length that lies, invalid
    JSON or duplicate names, unknown dtypes, sizes that differ from shape × dtype, overlaps, gaps, and bytes
    that no tensor owns.
    """
    if source.size < 8:
        raise DamagedFile(
            f"{source.name}: {source.size} bytes is too short for a safetensors header; download it again"
        )
    length_bytes = bytearray(8)
    source.read_into(0, memoryview(length_bytes))
    length = int.from_bytes(length_bytes, "little")
    if length > MAX_HEADER_BYTES or 8 + length > source.size:
        raise DamagedFile(
            f"{source.name}: the header claims {length} bytes but the file has {source.size};"
            " not a safetensors file, or truncated"
        )
    raw = bytearray(length)
    source.read_into(8, memoryview(raw))
    return parse_header(bytes(raw), source.size, source.name)


def parse_header(raw: bytes, file_size: int, where: str) -> Header:
    """Check header JSON `raw` against a file of `file_size` bytes. Raises DamagedFile naming `where`."""
    if not raw.startswith(b"{"):
        raise DamagedFile(f"{where}: the safetensors header does not begin with '{{'")
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{where}: the safetensors header is no valid JSON ({error})") from None
    metadata = _checked_metadata(document.pop("__metadata__", {}), where)
    data_start = 8 + len(raw)
    entries = sorted((_entry(name, value, data_start, where) for name, value in document.items()), key=_by_offset)
    _check_layout(entries, data_start, file_size, where)
    return Header(tuple(entries), metadata, data_start, raw)


def build_header(
    tensors: Iterable[tuple[str, DType, tuple[int, ...]]], metadata: Mapping[str, str]
) -> tuple[bytes, tuple[HeaderEntry, ...]]:
    """The first bytes of a file that holds `tensors` in the given order, and where each tensor goes.

    The order of the tensors is the order of their bytes. Each must fill whole bytes.
    """
    document: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    sized: list[tuple[str, DType, tuple[int, ...], int, int]] = []
    position = 0
    for name, dtype, shape in tensors:
        nbytes = dtype.nbytes(shape)
        assert nbytes is not None, f"{name}: packed elements do not fill whole bytes"
        document[name] = {
            "dtype": dtype.code,
            "shape": list(shape),
            "data_offsets": [position, position + nbytes],
        }
        sized.append((name, dtype, shape, position, nbytes))
        position += nbytes
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    start = 8 + len(text)
    entries = tuple(HeaderEntry(name, dtype, shape, start + at, size) for name, dtype, shape, at, size in sized)
    return len(text).to_bytes(8, "little") + text, entries


def _by_offset(entry: HeaderEntry) -> tuple[int, int]:
    # Empty tensors share their offset with the next one: they stay in the header's order, before the one with bytes.
    return entry.offset, entry.nbytes


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = [name for name, _ in pairs if name in seen or seen.add(name)]
        raise ValueError(f"duplicate key: {first_five(twice)}")
    return document


def _checked_metadata(metadata: object, where: str) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) and _is_text(key) and _is_text(value) for key, value in metadata.items()
    ):
        raise DamagedFile(f"{where}: __metadata__ must map strings to strings")
    return metadata


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


def _is_text(value: str) -> bool:
    """Whether `value` can be written as UTF-8; JSON escapes can spell half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: object) -> str:
    """A value of a hostile header, cut to fit a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _nbytes(dtype: DType, shape: Sequence[int], label: str) -> int | None:
    """Bytes of a tensor; None where elements do not fill whole bytes. Raises DamagedFile for hostile extents."""
    elements = 1
    for extent in shape:
        elements *= extent
        if elements > MAX_COUNT:
            raise DamagedFile(f"{label} has shape {_short(list(shape))}: more bytes than any file has")
    return dtype.nbytes(tuple(shape))


def _entry(name: str, value: object, data_start: int, where: str) -> HeaderEntry:
    label = f"{where}: tensor {_short(name)}"
    if not _is_text(name):
        raise DamagedFile(f"{label} has a name that is no text (half of a UTF-16 character)")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise DamagedFile(f"{label} needs exactly dtype, shape and data_offsets in the header")
    dtype = dtype_of(value["dtype"], label)
    shape, offsets = value["shape"], value["data_offsets"]
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise DamagedFile(f"{label} has shape {_short(shape)}; extents must be whole numbers from 0")
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(map(_is_count, offsets))
        or offsets[0] > offsets[1]
    ):
        raise DamagedFile(f"{label} has data_offsets {_short(offsets)}; they must be [begin, end] with begin <= end")
    nbytes = _nbytes(dtype, shape, label)
    if nbytes is None or nbytes != offsets[1] - offsets[0]:
        size = offsets[1] - offsets[0]
        raise DamagedFile(f"{label} occupies {size} bytes but {dtype.code} {_short(shape)} needs {nbytes}")
    return HeaderEntry(name, dtype, tuple(shape), data_start + offsets[0], nbytes)


def _check_layout(entries: Sequence[HeaderEntry], data_start: int, file_size: int, where: str) -> None:
    position = data_start
    for entry in entries:
        if entry.offset != position:
            what = "overlaps the tensor before it" if entry.offset < position else "leaves a gap before it"
            raise DamagedFile(f"{where}: tensor {_short(entry.name)} {what} (byte {entry.offset}, expected {position})")
        position += entry.nbytes
    if position != file_size:
        what, cure = ("truncated", "; download it again") if position > file_size else ("bytes that no tensor owns", "")
        raise DamagedFile(f"{where}: {what}: the header describes {position} bytes, the file has {file_size}{cure}")
