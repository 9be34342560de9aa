# SPDX-License-Identifier: Apache-2.0
"""A disk that is full before the start, while files are made, and in the middle; on a real small file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_models import command_line, tree

from builders import Trio, trio_specs, write_trio
from chatvector import pipeline
from chatvector.cli import console
from chatvector.errors import NotEnoughSpace, OutputRefused
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe

pytestmark = pytest.mark.full_disk
Mount = Callable[..., Path]
MIB = 1 << 20


class FillAfter:
    """A progress meter that fills the disk after some units, as another program might."""

    def __init__(self, disk: Path, units: int) -> None:
        self.filler = disk / "filler"
        self.left = units

    def advance(self, nbytes: int) -> None:
        assert nbytes > 0
        self.left -= 1
        if self.left == 0:
            fill(self.filler)


def fill(path: Path) -> None:
    """Write until nothing fits any more."""
    with open(path, "wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017


def merge(trio: Trio, output: Path, meter: FillAfter | None = None) -> Result:
    vector = {"base": str(trio.base), "chat": str(trio.chat), "scale": 0.8}
    recipe = {"target": str(trio.target), "vectors": [vector], "output": str(output), "threads": 1}
    return apply(Recipe.from_mapping(recipe), progress=lambda _job: meter)


def weights(path: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(path).items() if name != "chat_vector.json"}


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    specs = trio_specs()
    specs["target"].shards = 2
    return write_trio(tmp_path / "in", specs)


def test_full_before_the_start(
    trio: Trio, small_disk: Mount, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Refused with both figures before a byte is written."""
    before = tree(tmp_path / "in")
    disk = small_disk(8)
    with pytest.raises(
        NotEnoughSpace, match=r"disk-0: \d\.\d MB free, \d\d\.\d MB needed; free space or choose"
    ) as raised:
        merge(trio, disk / "out")
    assert raised.value.exit_code == 5
    code, _, err = command_line(capsys, "apply", *trio.arguments(), "-o", str(disk / "out"), "--quiet")
    assert code == 5
    assert err == f"chatvector: {raised.value}\n"
    assert list(disk.iterdir()) == []
    assert tree(tmp_path / "in") == before


def test_extract_asks_too(trio: Trio, small_disk: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    disk = small_disk(8)
    code, _, err = command_line(capsys, "extract", str(trio.base), str(trio.chat), "-o", str(disk / "vec"), "--quiet")
    assert code == 5
    assert "MB needed; free space" in err
    assert list(disk.iterdir()) == []


def test_full_while_files_are_made(
    monkeypatch: pytest.MonkeyPatch, trio: Trio, small_disk: Mount, tmp_path: Path
) -> None:
    """Somebody else took the space between the question and the reservation."""
    monkeypatch.setattr(pipeline, "DISK_MARGIN_BYTES", 0)
    disk = small_disk(1)
    monkeypatch.setattr(pipeline, "free_bytes", lambda _output: 1 << 40)
    fill(disk / "filler")
    with pytest.raises(NotEnoughSpace, match="the disk is full; free space and run the same command again"):
        merge(trio, disk / "out")
    assert not (disk / "out").exists()
    (disk / "filler").unlink()
    merge(trio, disk / "out")
    merge(trio, tmp_path / "undisturbed")
    assert weights(disk / "out") == weights(tmp_path / "undisturbed")


@pytest.mark.parametrize("reserves", [True, False], ids=["space reserved", "no reservation"])
@pytest.mark.parametrize("units", [1, 9, 21])
def test_full_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, trio: Trio, small_disk: Mount, tmp_path: Path, units: int, reserves: bool
) -> None:
    """With space freed, the same call continues to the same bytes. Not every file system can reserve space."""
    monkeypatch.setattr(pipeline, "DISK_MARGIN_BYTES", 0)
    if not reserves:

        def unsupported(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        monkeypatch.setattr(os, "posix_fallocate", unsupported)
    disk = small_disk(2)
    meter = FillAfter(disk, units)
    with pytest.raises(NotEnoughSpace, match=r"disk is full; .* it continues from \.out\..*\.partial") as raised:
        merge(trio, disk / "out", meter)
    assert raised.value.exit_code == 5
    assert not (disk / "out").exists()
    meter.filler.unlink()
    result = merge(trio, disk / "out")
    assert result.manifest["run"]["bytes_kept_from_earlier_run"] > 0
    merge(trio, tmp_path / "undisturbed")
    assert weights(disk / "out") == weights(tmp_path / "undisturbed")
    assert [entry.name for entry in disk.iterdir()] == ["out"]


def test_the_command_line_says_so_and_continues(
    monkeypatch: pytest.MonkeyPatch,
    trio: Trio,
    small_disk: Mount,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(pipeline, "DISK_MARGIN_BYTES", 0)
    disk = small_disk(2)
    filler = FillAfter(disk, 7)
    monkeypatch.setattr(console.Meter, "advance", lambda _meter, nbytes: filler.advance(nbytes))
    arguments = ["apply", *trio.arguments(), "--scale", "0.8", "-o", str(disk / "out"), "--quiet"]
    code, _, err = command_line(capsys, *arguments)
    assert code == 5
    assert err.startswith(f"chatvector: {disk}: the disk is full; free space and run the same command again")
    assert err.count("\n") == 1
    filler.filler.unlink()
    assert command_line(capsys, *arguments)[0] == 0
    merge(trio, tmp_path / "undisturbed")
    assert weights(disk / "out") == weights(tmp_path / "undisturbed")


def test_a_resumed_run_needs_only_the_rest(monkeypatch: pytest.MonkeyPatch, trio: Trio, small_disk: Mount) -> None:
    """What an earlier run reserved is not asked for again."""
    monkeypatch.setattr(pipeline, "DISK_MARGIN_BYTES", 0)
    disk = small_disk(2)
    with pytest.raises(NotEnoughSpace):
        merge(trio, disk / "out", FillAfter(disk, 5))
    (disk / "filler").unlink()
    reserved = sum(path.stat().st_blocks * 512 for path in disk.glob(".out*/*.safetensors"))
    assert reserved > 0
    (disk / "other").write_bytes(b"")
    # As much is left as the small files need, and less than the weights together.
    with open(disk / "other", "r+b") as file:
        os.posix_fallocate(
            file.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - reserved // 2 - 65536
        )
    merge(trio, disk / "out")
    assert (disk / "out" / "chat_vector.json").exists()


def test_a_read_only_place(trio: Trio, small_disk: Mount, capsys: pytest.CaptureFixture[str]) -> None:
    disk = small_disk(256, read_only=True)
    for output in (disk / "out", disk / "new" / "out"):
        with pytest.raises(OutputRefused, match=r"out: cannot be written \(Read-only file system\)"):
            merge(trio, output)
    code, _, err = command_line(capsys, "apply", *trio.arguments(), "-o", str(disk / "out"), "--quiet")
    assert code == 2
    assert err.count("\n") == 1
    assert "Read-only file system" in err
