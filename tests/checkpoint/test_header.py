# SPDX-License-Identifier: Apache-2.0
"""Headers against the safetensors library, both ways and to the byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from builders import BF16
from chatvector.checkpoint.dtypes import DTYPES
from chatvector.checkpoint.header import Header, build_header, parse_header, read_header
from chatvector.checkpoint.storage import LocalFile

# Every dtype of the format that numpy (with ml_dtypes) can hold.
ARRAYS = {code: dtype.numpy for code, dtype in DTYPES.items() if dtype.kind != "low-precision"}

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda n: n != "__metadata__")
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
metadata = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.text('ab é\n"한', max_size=6)
)


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, NDArray[Any]]:
    """Named arrays of random shapes and dtypes, empty ones and scalars among them; bytes from a seed."""
    chosen = draw(st.dictionaries(names, st.tuples(st.sampled_from(sorted(ARRAYS)), shapes), max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    made: dict[str, NDArray[Any]] = {}
    for name, (code, shape) in chosen.items():
        size = int(np.prod(shape, dtype=np.int64)) * ARRAYS[code].itemsize
        raw = rng.integers(0, 2 if code == "BOOL" else 256, size, np.uint8)
        made[name] = raw.view(ARRAYS[code]).reshape(shape)
    return made


def our_file(header: Header, arrays: dict[str, NDArray[Any]]) -> bytes:
    """A file by our writer: same order and metadata as `header`."""
    layout = [(entry.name, entry.dtype, entry.shape) for entry in header.entries]
    start, entries = build_header(layout, header.metadata)
    assert sum(entry.nbytes for entry in entries) + len(start) == (
        entries[-1].offset + entries[-1].nbytes if entries else len(start)
    )
    return start + b"".join(arrays[entry.name].tobytes() for entry in entries)


def parse(data: bytes) -> Header:
    return parse_header(data[8 : 8 + int.from_bytes(data[:8], "little")], len(data), "golden")


@given(tensors(), metadata)
def test_the_library_and_we_write_the_same_bytes(arrays: dict[str, NDArray[Any]], notes: dict[str, str]) -> None:
    theirs = save(arrays, notes or None)
    header = parse(theirs)
    assert header.metadata == notes
    assert {entry.name: (entry.dtype.code, entry.shape) for entry in header.entries} == {
        name: (next(code for code in ARRAYS if ARRAYS[code] == array.dtype), array.shape)
        for name, array in arrays.items()
    }
    for entry in header.entries:
        assert theirs[entry.offset : entry.offset + entry.nbytes] == arrays[entry.name].tobytes()
    assert our_file(header, arrays) == theirs


@given(tensors(), metadata, st.randoms(use_true_random=False))
def test_the_library_reads_what_we_write_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, NDArray[Any]], notes: dict[str, str], random: Any
) -> None:
    layout = [
        (name, next(d for d in DTYPES.values() if d.code in ARRAYS and d.numpy == a.dtype), a.shape)
        for name, a in arrays.items()
    ]
    random.shuffle(layout)
    start, entries = build_header(layout, notes)
    assert len(start) % 8 == 0
    path = tmp_path_factory.mktemp("ours") / "model.safetensors"
    path.write_bytes(start + b"".join(arrays[entry.name].tobytes() for entry in entries))
    with safe_open(path, "numpy") as opened:
        assert (opened.metadata() or {}) == notes
        assert sorted(opened.keys()) == sorted(arrays)
        for name, array in arrays.items():
            found = opened.get_tensor(name)
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert found.tobytes() == array.tobytes()
    with LocalFile(path, "model.safetensors") as source:
        assert [(e.name, e.dtype, e.shape) for e in read_header(source).entries if e.nbytes] == [
            part for part in layout if arrays[part[0]].nbytes
        ]


def test_golden_bytes() -> None:
    """The format by hand: length, JSON padded by spaces to a multiple of 8, then the tensors."""
    start, entries = build_header(
        [("b", DTYPES["BF16"], (2, 1)), ("a/한", DTYPES["F32"], ()), ("none", DTYPES["I64"], (0, 3))], {"format": "pt"}
    )
    text = (
        '{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]},'
        '"a/한":{"dtype":"F32","shape":[],"data_offsets":[4,8]},"none":{"dtype":"I64","shape":[0,3],"data_offsets":[8,8]}}'
    ).encode()
    text += b" " * (-len(text) % 8)
    assert start == len(text).to_bytes(8, "little") + text
    assert [(e.name, e.offset - len(start), e.nbytes) for e in entries] == [("b", 0, 4), ("a/한", 4, 4), ("none", 8, 0)]


def test_the_raw_header_is_kept_for_the_fingerprint() -> None:
    data = save({"x": np.zeros(3, BF16)})
    assert parse(data).raw == data[8:-6]
    assert json.loads(parse(data).raw) == {"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}


@pytest.mark.parametrize("code", sorted(DTYPES))
def test_sizes_of_dtypes(code: str) -> None:
    """Bits a element after the specification; packed formats must fill whole bytes."""
    dtype = DTYPES[code]
    assert dtype.nbytes((8, 3)) == dtype.bits * 3
    assert dtype.nbytes(()) == (dtype.bits // 8 if dtype.bits % 8 == 0 else None)
    if dtype.kind == "low-precision":
        with pytest.raises(TypeError, match="no arithmetic"):
            _ = dtype.numpy
    else:
        assert dtype.numpy.itemsize * 8 == dtype.bits
