# SPDX-License-Identifier: Apache-2.0
"""A read or write may move less than asked for, at any time: a whole merge on such a file system, same bytes."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import load_weights, write_trio
from chatvector.arithmetic.native import engine
from chatvector.checkpoint import staging, storage
from chatvector.errors import OutputRefused, ReadFailed
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe


def merge(folder: Path, output: Path, **settings: object) -> Result:
    vector = {"base": str(folder / "base"), "chat": str(folder / "chat"), "scale": 0.8}
    return apply(
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
    monkeypatch.setenv("CHATVECTOR_ENGINE", "numpy")  # the compiled kernel's calls are not Python's
    monkeypatch.setattr(os, "preadv", short_read)
    monkeypatch.setattr(os, "pwrite", short_write)
    merge(tmp_path / "in", tmp_path / "short", threads=threads)
    monkeypatch.undo()
    plain, short = load_weights(tmp_path / "plain"), load_weights(tmp_path / "short")
    assert {name: value.tobytes() for name, value in plain.items()} == {
        name: value.tobytes() for name, value in short.items()
    }


@pytest.mark.skipif(engine() == "numpy" or shutil.which("cc") is None, reason="no compiled kernel, no compiler")
def test_a_merge_by_short_transfers_of_the_compiled_kernel(tmp_path: Path) -> None:
    """Its calls are made short below it, by a library that is loaded before the system's."""
    write_trio(tmp_path / "in")
    result = merge(tmp_path / "in", tmp_path / "plain")
    assert result.manifest["run"]["engine"] == "native"
    shim = tmp_path / "few_bytes.so"
    source = Path(__file__).with_name("few_bytes.c")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(shim), "-ldl"], check=True, timeout=60)
    parents = [str(tmp_path / "in" / "target"), "--base", str(tmp_path / "in" / "base")]
    arguments = [*parents, "--chat", str(tmp_path / "in" / "chat"), "-o", str(tmp_path / "short"), "--scale", "0.8"]
    subprocess.run(
        [sys.executable, "-m", "chatvector", "apply", *arguments],
        env=os.environ | {"LD_PRELOAD": str(shim), "CHATVECTOR_ENGINE": "native"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert filecmp.cmp(
        tmp_path / "plain" / "model.safetensors", tmp_path / "short" / "model.safetensors", shallow=False
    )


def test_a_merge_by_pieces_of_the_kernels_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux moves less than 2 GiB a call; the limit, made small, must show nowhere."""
    write_trio(tmp_path / "in")
    merge(tmp_path / "in", tmp_path / "plain")
    monkeypatch.setenv("CHATVECTOR_ENGINE", "numpy")
    for module in (storage, staging):
        monkeypatch.setattr(module, "MAX_TRANSFER", 17)
    merge(tmp_path / "in", tmp_path / "pieces")
    plain, pieces = load_weights(tmp_path / "plain"), load_weights(tmp_path / "pieces")
    assert {name: value.tobytes() for name, value in plain.items()} == {
        name: value.tobytes() for name, value in pieces.items()
    }


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            "preadv",
            ReadFailed,
            r"model\.safetensors: reading at byte \d+ failed \(Input/output error\); check the disk",
        ),
        ("pwrite", OutputRefused, r"writing failed \(Input/output error\); check the disk .* continues from \.out\."),
    ],
)
def test_a_disk_that_fails_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: type[Exception], message: str
) -> None:
    """A disk or mount that does not answer is named; the parents may be whole, so what was done is kept."""
    write_trio(tmp_path / "in")
    monkeypatch.setenv("CHATVECTOR_ENGINE", "numpy")
    moved, record, recorded = getattr(os, call), staging.Staging.record, 0

    def counted(self: staging.Staging, unit: int, digest: int, sums: Mapping[str, float]) -> None:
        nonlocal recorded
        record(self, unit, digest, sums)
        recorded += 1

    def failing(descriptor: int, data: Any, offset: int) -> int:
        if recorded >= 5:
            raise OSError(errno.EIO, "Input/output error")
        return moved(descriptor, data, offset)

    monkeypatch.setattr(staging.Staging, "record", counted)
    monkeypatch.setattr(os, call, failing)
    with pytest.raises(error, match=message):
        merge(tmp_path / "in", tmp_path / "out")
    monkeypatch.undo()
    assert len(list(tmp_path.glob(".out.*.partial"))) == 1
    result = merge(tmp_path / "in", tmp_path / "out")
    assert result.manifest["run"]["bytes_kept_from_earlier_run"] > 0
    merge(tmp_path / "in", tmp_path / "undisturbed")
    names = [path.name for path in (tmp_path / "undisturbed").iterdir() if path.name != "chat_vector.json"]
    assert filecmp.cmpfiles(tmp_path / "out", tmp_path / "undisturbed", names, shallow=False)[0] == names
    assert list(tmp_path.glob(".out.*")) == []
