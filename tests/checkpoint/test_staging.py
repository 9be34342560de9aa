# SPDX-License-Identifier: Apache-2.0
"""The staging directory: the journal, the lock, other plans, and the one moment at which an output appears."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint import staging as module
from chatvector.checkpoint.staging import Staging, allocated_bytes, check_output_place, checksum, open_staging
from chatvector.errors import NotEnoughSpace, OutputRefused

PLAN, OTHER = "aaaaaaaaaaaa", "bbbbbbbbbbbb"


def ignore(_: str) -> None:
    """Take a line for people and do nothing."""


def stage(output: Path, plan: str = PLAN, *, restart: bool = False) -> AbstractContextManager[Staging]:
    return open_staging(output, plan, restart=restart, on_resume=ignore)


def leave_unfinished(output: Path, plan: str = PLAN) -> Path:
    """What a killed run leaves: a file, a journal of two units, a lock file that nobody holds."""
    with stage(output, plan) as staging:
        staging.create("w", 100, b"head")
        staging.record(0, 11, {"tau²/0": 0.1})
        staging.record(1, 12, {})
    return staging.path


def test_nothing_is_at_the_output_until_it_is_published(tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    with stage(output) as staging:
        assert staging.path == tmp_path / "new" / f".out.{PLAN}.partial"
        staging.create("w", 10, b"abcd")
        staging.write("w", 4, memoryview(b"efghij"))
        staging.write_file("deep/er/config.json", b"{}")
        staging.record(0, 1, {})
        assert not output.exists()
        staging.close_files()
        staging.publish()
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()) == [
        "deep/er/config.json",
        "w",
    ]
    assert (output / "w").read_bytes() == b"abcdefghij"
    assert list(output.parent.iterdir()) == [output]


def test_a_file_has_its_size_and_space_at_once(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with stage(output) as staging:
        staging.create("w", 1 << 20, b"head")
        status = (staging.path / "w").stat()
    assert status.st_size == 1 << 20
    assert allocated_bytes(output, PLAN) >= 1 << 20
    assert allocated_bytes(output, OTHER) == 0


def test_the_journal_survives_the_run(tmp_path: Path) -> None:
    leave_unfinished(tmp_path / "out")
    said: list[str] = []
    with open_staging(tmp_path / "out", PLAN, restart=False, on_resume=said.append) as staging:
        assert staging.finished_units() == {0: (11, {"tau²/0": 0.1}), 1: (12, {})}
        staging.record(2, 13, {"inexact": 3.0})
        assert staging.finished_units().keys() == {0, 1, 2}
    assert said == [f"continuing .out.{PLAN}.partial"]


@pytest.mark.parametrize("cut", [2, 5, 9])
def test_a_torn_last_line_is_ignored_and_what_follows_counts(tmp_path: Path, cut: int) -> None:
    journal = leave_unfinished(tmp_path / "out") / ".journal"
    journal.write_bytes(journal.read_bytes()[:-cut])
    with stage(tmp_path / "out") as staging:
        assert staging.finished_units().keys() == {0}
        staging.record(7, 99, {})
        assert staging.finished_units().keys() == {0, 7}


@given(
    st.lists(
        st.binary(max_size=20) | st.sampled_from([b"3", b"[1,2]", b"[1,2,3]", b'["a",1,{}]', b"[[],1,{}]", b"null"])
    )
)
def test_a_damaged_journal_never_stops_a_run(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """Lines are trusted only when they have the form that `record` writes; the rest is made again."""
    output = tmp_path_factory.mktemp("journal") / "out"
    journal = leave_unfinished(output) / ".journal"
    journal.write_bytes(journal.read_bytes() + b"\n".join(lines) + b"\n")
    with stage(output) as staging:
        for number, (digest, sums) in staging.finished_units().items():
            assert isinstance(number, int)
            assert isinstance(digest, int)
            assert isinstance(sums, dict)


def test_restart_discards_the_own_staging(tmp_path: Path) -> None:
    path = leave_unfinished(tmp_path / "out")
    (path / "sub").mkdir()
    (path / "sub" / "x").write_bytes(b"x")
    with stage(tmp_path / "out", restart=True) as staging:
        assert staging.finished_units() == {}
        assert {entry.name for entry in path.iterdir()} == {".lock"}


def test_another_plan_is_refused_by_name_and_kept(tmp_path: Path) -> None:
    path = leave_unfinished(tmp_path / "out", OTHER)
    with pytest.raises(OutputRefused, match=rf"unfinished run of another plan .*\.out\.{OTHER}\.partial.*--restart"):
        stage(tmp_path / "out").__enter__()
    assert (path / ".journal").exists()
    assert not (tmp_path / f".out.{PLAN}.partial").exists()
    with stage(tmp_path / "out", restart=True):
        assert not path.exists()


def test_other_outputs_beside_it_are_none_of_its_business(tmp_path: Path) -> None:
    """`.out.v2.HASH.partial` is the staging of `out.v2`, not of `out`."""
    kept = [leave_unfinished(tmp_path / name, OTHER) for name in ("out.v2", "out2", "ou", "out.partial")]
    with stage(tmp_path / "out", restart=True):
        assert all(path.exists() for path in kept)


def test_two_runs_on_one_output(tmp_path: Path) -> None:
    with stage(tmp_path / "out"):
        for plan, restart in ((PLAN, False), (PLAN, True), (OTHER, False), (OTHER, True)):
            with pytest.raises(OutputRefused, match=r"out: another run is writing it"):
                stage(tmp_path / "out", plan, restart=restart).__enter__()
    with stage(tmp_path / "out"):
        pass  # the lock was let go


def test_the_lock_is_held_until_the_output_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run that starts between the last byte and the rename finds the lock; one after it, the output."""
    output = tmp_path / "out"
    real, refused = os.rename, []

    def rename(source: Path, place: Path) -> None:
        for restart in (False, True):
            with pytest.raises(OutputRefused, match="another run is writing it") as raised:
                stage(output, restart=restart).__enter__()
            refused.append(raised.value)
        real(source, place)

    monkeypatch.setattr(os, "rename", rename)
    with stage(output) as staging:
        staging.write_file("config.json", b"ours")
        staging.record(0, 1, {})
        staging.publish()
    assert len(refused) == 2
    with pytest.raises(OutputRefused, match="exists already"):
        stage(output).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in output.iterdir()] == ["config.json"]


@pytest.mark.parametrize("worked", [False, True])
def test_beside_an_output_that_is_there_only_work_stays(tmp_path: Path, worked: bool) -> None:
    """A run that lost the race may find an empty directory that another loser made; work of a killed run is kept."""
    output = tmp_path / "out"
    with stage(output) as staging:
        if worked:
            staging.write_file("config.json", b"{}")
    left = staging.path
    output.mkdir()
    (output / "config.json").write_bytes(b"theirs")
    with pytest.raises(OutputRefused, match="exists already"):
        stage(output).__enter__()
    assert left.exists() == worked


def test_of_many_runs_one_makes_the_output(tmp_path: Path) -> None:
    """Threads stand for processes: each opens the lock file by itself. No run may find its directory gone."""

    def run(number: int, output: Path) -> bool:
        try:
            with stage(output) as staging:
                staging.create("w", 9, b"head")
                staging.write("w", 4, memoryview(b"%05d" % number))
                staging.write_file("sub/config.json", b"%05d" % number)
                staging.close_files()
                staging.publish()
        except OutputRefused:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        for round_number in range(60):
            output = tmp_path / f"out{round_number}"
            made = list(pool.map(partial(run, output=output), range(6)))
            assert sum(made) == 1
            winner = b"%05d" % made.index(True)
            assert (output / "w").read_bytes() == b"head" + winner
            assert (output / "sub" / "config.json").read_bytes() == winner
            assert sorted(path.name for path in output.iterdir()) == ["sub", "w"]
    assert len(list(tmp_path.iterdir())) == 60


def test_the_directory_of_the_next_run_stays(tmp_path: Path) -> None:
    """It may be there before the run that has just published gives up the lock, which moved with its output."""
    with stage(tmp_path / "out") as staging:
        staging.create("w", 4, b"head")
        staging.close_files()
        staging.publish()
        staging.path.mkdir()
        (staging.path / ".lock").touch()
    assert [entry.name for entry in staging.path.iterdir()] == [".lock"]


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    with stage(tmp_path / "out") as staging:
        staging.create("w", 100, b"x")
        staging.record(0, 1, {})
        staging.discard()
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with stage(output) as staging:
        staging.write_file("config.json", b"ours")
        output.mkdir()
        (output / "config.json").write_bytes(b"theirs")
        with pytest.raises(OutputRefused, match=r"appeared while this run was writing; the result is in .*partial"):
            staging.publish()
    assert (output / "config.json").read_bytes() == b"theirs"
    assert (staging.path / "config.json").read_bytes() == b"ours"


@pytest.mark.parametrize("step", [1, 3, 64])
def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: int) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:step], offset))
    data = bytes(range(200))
    with stage(tmp_path / "out") as staging:
        staging.create("w", 210, b"0123456789")
        staging.write("w", 10, memoryview(data))
        found = bytearray(210)
        assert staging.read_into("w", 0, memoryview(found))
        assert bytes(found) == b"0123456789" + data
        assert not staging.read_into("w", 200, memoryview(bytearray(11)))


def test_a_short_journal_write_does_not_tear_the_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:5]))
    with stage(tmp_path / "out") as staging:
        staging.record(3, 1 << 60, {"tau²/0": 0.25})
        assert staging.finished_units() == {3: (1 << 60, {"tau²/0": 0.25})}


STEPS: dict[str, Callable[[Staging], None]] = {
    "posix_fallocate": lambda staging: staging.create("v", 100, b"head"),
    "pwrite": lambda staging: staging.write("w", 0, memoryview(b"x")),
    "write": lambda staging: staging.record(1, 1, {}),
    "fdatasync": lambda staging: staging.flush(),
    "fsync": lambda staging: staging.close_files(),
}


@pytest.mark.parametrize("call", STEPS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_such_and_keeps_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str, code: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with stage(tmp_path / "out") as staging:
        staging.create("w", 100, b"head")
        staging.record(0, 1, {})
        monkeypatch.setattr(os, call, full)
        with pytest.raises(NotEnoughSpace, match=r"the disk is full; free space and run the same command again"):
            STEPS[call](staging)
        monkeypatch.undo()
    assert (staging.path / "w").exists()
    assert (staging.path / ".journal").exists()


def test_a_file_system_without_reservation_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    with stage(tmp_path / "out") as staging:
        staging.create("w", 100, b"head")
        assert (staging.path / "w").stat().st_size == 100


PLACES = {
    "a file": lambda top: top / "file",
    "a directory with something in it": lambda top: top / "full",
    "a link to nowhere": lambda top: top / "dangling",
    "a link to an empty directory": lambda top: top / "link-to-empty",
    "the input": lambda top: top / "in",
    "inside the input": lambda top: top / "in" / "deep" / "out",
    "the input through a link": lambda top: top / "link-to-in",
    "inside the input through a link": lambda top: top / "link-to-in" / "out",
    "the input by way of ..": lambda top: top / "full" / ".." / "in",
    "a directory that holds the input": lambda top: top,
}


@pytest.mark.parametrize("linked", [False, True], ids=["input", "input through a link"])
@pytest.mark.parametrize("case", PLACES)
def test_outputs_that_are_refused(tmp_path: Path, case: str, linked: bool) -> None:
    top = tmp_path / "top"
    for folder in ("in", "full", "empty"):
        (top / folder).mkdir(parents=True)
    (top / "file").write_bytes(b"x")
    (top / "full" / "x").write_bytes(b"x")
    (top / "dangling").symlink_to(top / "nowhere")
    (top / "link-to-empty").symlink_to(top / "empty")
    (top / "link-to-in").symlink_to(top / "in")
    source = top / "link-to-in" if linked else top / "in"
    with pytest.raises(OutputRefused, match=r"exists already|overlaps the input"):
        check_output_place(PLACES[case](top), [source])


def test_a_mount_point_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty volume of a container: nothing can be renamed onto it, which would show only after the last byte."""
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path / "volume")
    (tmp_path / "volume").mkdir()
    with pytest.raises(OutputRefused, match=r"volume: is a mount point.*name a directory in it"):
        check_output_place(tmp_path / "volume", [])
    check_output_place(tmp_path / "volume" / "out", [])


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.EFBIG, NotEnoughSpace, "takes no file of this size; choose another disk"),
        (errno.EROFS, OutputRefused, r"writing failed \(Read-only file system\); .*continues from \.out\."),
    ],
)
def test_what_a_disk_does_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], message: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with stage(tmp_path / "out") as staging:
        staging.create("w", 100, b"head")
        monkeypatch.setattr(os, "pwrite", refuse)
        with pytest.raises(error, match=message):
            staging.write("w", 4, memoryview(b"data"))


def test_outputs_that_are_taken(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "empty").mkdir()
    for output in (tmp_path / "new", tmp_path / "empty", tmp_path / "in2", tmp_path / "a" / "b", tmp_path / "in.out"):
        check_output_place(output, [tmp_path / "in"])


@given(st.binary(max_size=300), st.data())
def test_a_checksum_tells_lost_pages_and_flipped_bits(block: bytes, data: st.DataObject) -> None:
    array = np.frombuffer(block, np.uint8)
    assert 0 <= checksum(array) < 1 << 64
    assert checksum(array) == checksum(array.copy())
    if not block:
        return
    position = data.draw(st.integers(0, len(block) - 1))
    flipped = array.copy()
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    assert checksum(flipped) != checksum(array)
    zeroed = array.copy()
    zeroed[position:] = 0
    assert (checksum(zeroed) == checksum(array)) == (not array[position:].any())


def test_journal_lines_are_json_that_others_can_read(tmp_path: Path) -> None:
    path = leave_unfinished(tmp_path / "out")
    lines = [line for line in (path / module.JOURNAL).read_bytes().split(b"\n") if line]
    assert [json.loads(line) for line in lines] == [[0, 11, {"tau²/0": 0.1}], [1, 12, {}]]
