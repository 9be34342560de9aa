# SPDX-License-Identifier: Apache-2.0
"""Byte ranges of local files: short reads, ends, links, and what is no file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint import storage
from chatvector.checkpoint.storage import LocalDirectory, LocalFile
from chatvector.errors import DamagedFile, MissingInput, ReadFailed

DATA = bytes(range(256)) * 5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.write_bytes(DATA)
    return path


@given(st.integers(0, len(DATA)), st.data())
def test_any_range_is_read_whole(tmp_path_factory: pytest.TempPathFactory, offset: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(DATA) - offset))
    path = tmp_path_factory.mktemp("range") / "f"
    path.write_bytes(DATA)
    buffer = bytearray(b"\xaa" * length)
    with LocalFile(path, "f") as source:
        assert source.size == len(DATA)
        source.read_into(offset, memoryview(buffer))
    assert bytes(buffer) == DATA[offset : offset + length]


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_short_reads_are_continued(monkeypatch: pytest.MonkeyPatch, file: Path, step: int) -> None:
    """The kernel may move less than asked for at any time."""
    real = os.preadv
    calls: list[int] = []

    def short(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        calls.append(offset)
        return real(descriptor, [buffers[0][:step]], offset)

    monkeypatch.setattr(os, "preadv", short)
    buffer = bytearray(len(DATA) - 3)
    with LocalFile(file, "f") as source:
        source.read_into(3, memoryview(buffer))
    assert bytes(buffer) == DATA[3:]
    assert calls == list(range(3, len(DATA), step))


def test_no_call_asks_for_more_than_the_kernel_moves(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Linux moves at most 2 GiB − 4 KiB a call; a small limit here stands for it."""
    assert storage.MAX_TRANSFER < (2 << 30) - 4096
    monkeypatch.setattr(storage, "MAX_TRANSFER", 100)
    real = os.preadv
    asked: list[int] = []

    def counted(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        asked.append(len(buffers[0]))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    buffer = bytearray(len(DATA))
    with LocalFile(file, "f") as source:
        source.read_into(0, memoryview(buffer))
    assert bytes(buffer) == DATA
    assert max(asked) == 100


def test_a_file_that_ends_before_is_truncated(file: Path) -> None:
    with LocalFile(file, "org/m/f") as source:
        file.write_bytes(DATA[:1000])  # cut after it was opened
        with pytest.raises(DamagedFile, match=r"^org/m/f: truncated, it ends at byte 1000 where 1100 are needed"):
            source.read_into(900, memoryview(bytearray(200)))


def test_a_failing_disk_names_file_and_place(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    with (
        LocalFile(file, "org/m/f") as source,
        pytest.raises(ReadFailed, match=r"^org/m/f: reading at byte 12 failed \(Input/output error\); check the disk"),
    ):
        source.read_into(12, memoryview(bytearray(4)))


def test_closing_twice_is_harmless(file: Path) -> None:
    source = LocalFile(file, "f")
    source.close()
    source.close()


def test_a_directory_lists_the_top_and_the_folders_there(tmp_path: Path) -> None:
    """Hidden folders (`.git`, `.cache`, a staging directory) and what lies deeper belong to no model."""
    (tmp_path / "a.json").write_bytes(b"{}")
    for name in ("additional_chat_templates/tool.jinja", "licences/mit/LICENSE", "run/5/optimizer.pt", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"xyz")
    blob = tmp_path / ".git" / "blob"
    blob.write_bytes(b"1")
    (tmp_path / "weights").symlink_to(tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").write_bytes(b"12")
    (tmp_path / "model.safetensors").symlink_to(blob)
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    directory = LocalDirectory(tmp_path, "m")
    assert directory.listing() == {
        "a.json": 2,
        "model.safetensors": 1,
        "additional_chat_templates/tool.jinja": 3,
        "licences/mit/LICENSE": 3,
        "run/model.safetensors": 2,
        "weights/model.safetensors": 2,
    }
    assert directory.read("additional_chat_templates/tool.jinja") == b"xyz"
    with pytest.raises(MissingInput, match=r"^m/gone.json: no such file$"):
        directory.read("gone.json")


def test_folders_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lost+found` of a mounted disk is no reason to refuse the model beside it; the directory itself is."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"1")
    real, closed = Path.iterdir, {tmp_path / "lost+found"}

    def guarded(path: Path) -> Iterator[Path]:
        if path in closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    assert LocalDirectory(tmp_path, "m").listing() == {"model.safetensors": 1}
    closed.add(tmp_path)
    with pytest.raises(MissingInput, match=r"^m: cannot be read \(Permission denied\)$"):
        LocalDirectory(tmp_path, "m").listing()


def test_what_is_no_directory(tmp_path: Path, file: Path) -> None:
    with pytest.raises(MissingInput, match=r"^m: is a file, not a model directory$"):
        LocalDirectory(file, "m")
    with pytest.raises(MissingInput, match=r"^m: no such directory$"):
        LocalDirectory(tmp_path / "x", "m")


@pytest.mark.parametrize("target", ["nowhere", "a.jinja"])
@pytest.mark.parametrize(
    "name",
    ["generation_config.json", "a.jinja", "model.safetensors.index.json", "additional_chat_templates/tools.jinja"],
)
def test_a_link_of_the_model_that_leads_nowhere(tmp_path: Path, name: str, target: str) -> None:
    """`a.jinja` to itself is a loop. Without a word the model would chat in another way."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "a.jinja").symlink_to("a.jinja")
    if not (tmp_path / name).is_symlink():
        (tmp_path / name).symlink_to(target)
    links = sorted({"a.jinja", name}, key=lambda link: ("/" in link, link))
    message = f"{len(links)} files of the model are links to something that is not there .{links[0]} → "
    with pytest.raises(MissingInput, match=message) as caught:
        LocalDirectory(tmp_path).listing()
    assert all(link in str(caught.value) for link in links)


def test_links_beside_the_model_may_lead_nowhere(tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "optimizer.pt", "README.md", "events.out"):
        (tmp_path / name).symlink_to("nowhere")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert LocalDirectory(tmp_path).listing() == {"model.safetensors": 1}
