# SPDX-License-Identifier: Apache-2.0
"""A read or write may move less than asked for, at any time: a whole merge on such a file system, same bytes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from builders import load_weights, write_trio
from chatvector.checkpoint import staging, storage
from chatvector.errors import DamagedFile
from chatvector.pipeline import apply
from chatvector.recipe import Recipe


def merge(folder: Path, output: Path, **settings: object) -> None:
    vector = {"base": str(folder / "base"), "chat": str(folder / "chat"), "scale": 0.8}
    apply(
        Recipe.from_mapping({"target": str(folder / "target"), "vectors": [vector], "output": str(output), **settings})
    )


def shortened(seed: int) -> tuple[Callable[..., int], Callable[..., int]]:
    """`preadv` and `pwrite` that move 1 to 50 bytes at a time, or what is there if that is less."""
    read, write = os.preadv, os.pwrite
    rng = np.random.default_rng(seed)

    def short_read(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        return read(descriptor, [buffers[0][: int(rng.integers(1, 51))]], offset)

    def short_write(descriptor: int, data: memoryview, offset: int) -> int:
        return write(descriptor, data[: int(rng.integers(1, 51))], offset)

    return short_read, short_write


@pytest.mark.parametrize("threads", [1, 3])
def test_a_merge_by_short_transfers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    write_trio(tmp_path / "in")
    merge(tmp_path / "in", tmp_path / "plain")
    short_read, short_write = shortened(threads)
    monkeypatch.setattr(os, "preadv", short_read)
    monkeypatch.setattr(os, "pwrite", short_write)
    merge(tmp_path / "in", tmp_path / "short", threads=threads)
    monkeypatch.undo()
    plain, short = load_weights(tmp_path / "plain"), load_weights(tmp_path / "short")
    assert {name: value.tobytes() for name, value in plain.items()} == {
        name: value.tobytes() for name, value in short.items()
    }


def test_a_merge_by_pieces_of_the_kernels_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux moves less than 2 GiB a call; the limit, made small, must show nowhere."""
    write_trio(tmp_path / "in")
    merge(tmp_path / "in", tmp_path / "plain")
    for module in (storage, staging):
        monkeypatch.setattr(module, "MAX_TRANSFER", 17)
    merge(tmp_path / "in", tmp_path / "pieces")
    plain, pieces = load_weights(tmp_path / "plain"), load_weights(tmp_path / "pieces")
    assert {name: value.tobytes() for name, value in plain.items()} == {
        name: value.tobytes() for name, value in pieces.items()
    }


def test_a_parent_that_fails_to_be_read_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk is an input error: named, and nothing is left."""
    write_trio(tmp_path / "in")
    read, calls = os.preadv, 0

    def failing(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls > 150:  # headers, side files and samples take fewer
            raise OSError(errno.EIO, "Input/output error")
        return read(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(DamagedFile, match=r"model\.safetensors: reading at byte \d+ failed \(Input/output error\)"):
        merge(tmp_path / "in", tmp_path / "out")
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]
    merge(tmp_path / "in", tmp_path / "out")
