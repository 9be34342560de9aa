# SPDX-License-Identifier: Apache-2.0
"""Headers that lie: every one is a DamagedFile in one line that names the file, never another exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import save

from chatvector.checkpoint.header import MAX_HEADER_BYTES, Header, parse_header, read_header
from chatvector.checkpoint.storage import LocalFile
from chatvector.errors import DamagedFile, MissingInput

GOOD = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4, dtype=np.int16)}, {"format": "pt"})


def packed(document: object, data: bytes = b"", *, raw: bytes | None = None) -> bytes:
    """A file with this header document (or these raw header bytes) and this data."""
    text = json.dumps(document).encode() if raw is None else raw
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def read(tmp_path: Path, data: bytes) -> Header:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with LocalFile(path, "org/model/model.safetensors") as source:
        return read_header(source)


EIGHT = bytes(8)
PAIR = {"a": entry(), "b": entry(offsets=(8, 16))}

HOSTILE: dict[str, tuple[bytes, str]] = {
    # the file around the header
    "empty file": (b"", "0 bytes is too short"),
    "seven bytes": (GOOD[:7], "7 bytes is too short"),
    "length only": (GOOD[:8], "claims .* but the file has 8"),
    "length beyond the file": ((1 << 20).to_bytes(8, "little") + b"{}", "claims 1048576 bytes"),
    "length of 2^63": ((1 << 63).to_bytes(8, "little") + GOOD[8:], "claims 9223372036854775808 bytes"),
    "length over the limit": ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}", f"claims {MAX_HEADER_BYTES + 1}"),
    "length zero": (packed(None, raw=b""), "does not begin with"),
    "a pickle": (b"\x80\x04" + bytes(30), "claims"),
    "trailing bytes": (GOOD + b"\0", "bytes that no tensor owns"),
    "no header, only data": (packed({}, b"1234"), "bytes that no tensor owns"),
    # the JSON
    "a list": (packed([1, 2]), "does not begin with"),
    "leading space": (packed(None, raw=b" {}"), "does not begin with"),
    "cut JSON": (packed(None, raw=b'{"a": {"dtype"'), "no valid JSON"),
    "text after the JSON": (packed(None, raw=b"{} x"), "no valid JSON"),
    "no UTF-8": (packed(None, raw=b'{"\xff": 1}'), "no valid JSON"),
    "UTF-16": (packed(None, raw="{}".encode("utf-16-le")), "no valid JSON"),
    "UTF-8 with half a character": (packed(None, raw=b'{"\xed\xa0\x80": 1}'), "no valid JSON"),
    "nested 100,000 deep": (packed(None, raw=b'{"a":' * 100_000), "no valid JSON"),
    "a number of 10,000 digits": (packed(None, raw=b'{"a":' + b"9" * 10_000 + b"}"), "no valid JSON"),
    "duplicate names": (
        packed(
            None,
            b"",
            raw=b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
        ),
        "duplicate key: a",
    ),
    "duplicate key in an entry": (
        packed(None, EIGHT, raw=b'{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}'),
        "duplicate key: dtype",
    ),
    "a name that is half a character": (
        packed(None, EIGHT, raw=b'{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        "no text",
    ),
    # metadata
    "metadata is a list": (packed({"__metadata__": []}), "__metadata__ must map strings to strings"),
    "metadata holds a number": (packed({"__metadata__": {"a": 1}}), "__metadata__ must map strings to strings"),
    "metadata is null": (packed({"__metadata__": None}), "__metadata__ must map strings to strings"),
    "metadata nests": (packed({"__metadata__": {"a": {}}}), "__metadata__ must map strings to strings"),
    # an entry
    "entry is a list": (packed({"a": [0, 8]}), "'a' needs exactly dtype, shape and data_offsets"),
    "entry without shape": (packed({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, EIGHT), "'a' needs exactly"),
    "entry with a fourth key": (packed({"a": entry() | {"x": 1}}, EIGHT), "'a' needs exactly"),
    "unknown dtype": (packed({"a": entry("F31")}, EIGHT), "unknown dtype 'F31'"),
    "dtype in small letters": (packed({"a": entry("f32")}, EIGHT), "unknown dtype 'f32'"),
    "dtype is a number": (packed({"a": entry(32)}, EIGHT), "unknown dtype 32"),
    "shape is a number": (packed({"a": entry(shape=2)}, EIGHT), "shape 2; extents must be whole numbers"),
    "negative extents": (packed({"a": entry(shape=(-1, -2))}, EIGHT), r"shape \[-1, -2\]; extents"),
    "float extent": (packed({"a": entry(shape=(2.0,))}, EIGHT), r"shape \[2.0\]; extents"),
    "extent is true": (packed({"a": entry("F64", (True,))}, EIGHT), r"shape \[True\]; extents"),
    "extent is text": (packed({"a": entry(shape=("2",))}, EIGHT), r"shape \['2'\]; extents"),
    "extent is NaN": (packed({"a": entry(shape=(float("nan"),))}, EIGHT), r"shape \[nan\]; extents"),
    "extents of 4,000 digits": (
        packed({"a": entry(shape=(10**3999, 10**3999))}, EIGHT),
        "extents must be whole numbers",
    ),
    "extents whose product overflows": (packed({"a": entry(shape=(1 << 62,) * 9)}, EIGHT), "more bytes than any file"),
    "offsets of three": (packed({"a": entry(offsets=(0, 8, 8))}, EIGHT), "must be .begin, end."),
    "offsets backwards": (packed({"a": entry(offsets=(8, 0))}, EIGHT), "must be .begin, end."),
    "offset negative": (packed({"a": entry(offsets=(-8, 0))}, EIGHT), "must be .begin, end."),
    "offset is a float": (packed({"a": entry(offsets=(0.0, 8))}, EIGHT), "must be .begin, end."),
    "offset is a bool": (packed({"a": entry("U8", (1,), (False, True))}, b"x"), "must be .begin, end."),
    # what entries say together
    "size smaller than the shape": (packed({"a": entry(shape=(3,))}, EIGHT), "occupies 8 bytes but F32 .3. needs 12"),
    "size larger than the shape": (packed({"a": entry(shape=(1,))}, EIGHT), "occupies 8 bytes but F32 .1. needs 4"),
    "packed half bytes": (packed({"a": entry("F4", (3,), (0, 2))}, b"xx"), "occupies 2 bytes but F4"),
    "overlap": (packed({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "'b' overlaps the tensor before it"),
    "same place twice": (packed({"a": entry(), "b": entry()}, EIGHT), "'b' overlaps the tensor before it"),
    "gap": (packed({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), "'b' leaves a gap before it"),
    "gap at the start": (packed({"a": entry(offsets=(8, 16))}, bytes(16)), "'a' leaves a gap before it"),
    "empty tensor beyond the end": (
        packed({"a": entry(), "b": entry(shape=(0,), offsets=(9, 9))}, EIGHT),
        "'b' leaves a gap",
    ),
    "data cut": (packed(PAIR, bytes(15)), "truncated: the header describes"),
    "data absent": (packed(PAIR), "truncated"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_header_that_lies_is_damaged(tmp_path: Path, case: str) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(DamagedFile, match=message) as raised:
        read(tmp_path, data)
    text = str(raised.value)
    assert text.startswith("org/model/model.safetensors")
    assert "\n" not in text
    assert len(text) < 600


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_every_cut_of_a_good_file_is_damaged(tmp_path: Path, length: int) -> None:
    with pytest.raises(DamagedFile, match=r"^org/model/model\.safetensors: .*(too short|truncated)"):
        read(tmp_path, GOOD[:length])


def test_the_good_file_is_read(tmp_path: Path) -> None:
    assert [entry.name for entry in read(tmp_path, GOOD).entries] == ["a", "b"]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"org/model/x\.safetensors: no such file"):
        LocalFile(tmp_path / "x.safetensors", "org/model/x.safetensors")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["F32", "BF16", "F4"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "a"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3) | st.just("__metadata__"), json_values, max_size=3), st.binary(max_size=12))
@example({"a": entry(shape=[2, 1], offsets=[0, 8])}, EIGHT)
def test_any_json_is_a_header_or_damaged(document: dict[str, Any], data: bytes) -> None:
    """What is accepted must also be true: the entries tile the data exactly, each shape × dtype long."""
    raw = json.dumps(document).encode()
    try:
        header = parse_header(raw, 8 + len(raw) + len(data), "f")
    except DamagedFile as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert sum(entry.nbytes for entry in header.entries) == len(data)
    assert all(entry.nbytes == entry.dtype.nbytes(entry.shape) for entry in header.entries)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_flipped_byte_is_a_header_or_damaged(position: int, mask: int) -> None:
    flipped = bytearray(GOOD)
    flipped[position] ^= mask
    length = int.from_bytes(flipped[:8], "little")
    if 8 + length > len(flipped):
        return  # `read_header` refuses these before parsing: see HOSTILE
    try:
        parse_header(bytes(flipped[8 : 8 + length]), len(flipped), "f")
    except DamagedFile:
        return
    json.loads(bytes(flipped[8 : 8 + length]))  # accepted: so it is JSON still
