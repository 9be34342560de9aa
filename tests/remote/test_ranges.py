# SPDX-License-Identifier: Apache-2.0
"""Remote files: any reads give the file's bytes, what is announced comes by one request each, the rest exactly."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint import remote_file
from chatvector.checkpoint.remote_file import RemoteFile, SideBySide, gather, spans_of
from chatvector.errors import DamagedFile, HubError

CONTENT = bytes(range(251)) * 80


class Memory:
    """An opener of ranges of bytes, with a log of them; `open_ones` are those that nobody closed."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int]] = []
        self.open_ones: set[MemoryRange] = set()
        self.fails_at: int | None = None
        self.broken_off = 0

    def open(self, start: int, length: int) -> MemoryRange:
        self.log.append((start, length))
        opened = MemoryRange(self, start, length)
        self.open_ones.add(opened)
        return opened


class MemoryRange:
    """Fails once, when the byte `fails_at` of its owner is asked for."""

    def __init__(self, owner: Memory, start: int, length: int) -> None:
        self.owner, self.at, self.stop = owner, start, start + length

    def read_into(self, buffer: memoryview) -> None:
        stop = self.at + len(buffer)
        assert stop <= self.stop
        fails = self.owner.fails_at
        if fails is not None and self.at <= fails < stop:
            self.owner.fails_at = None
            raise HubError("x: broke off")
        buffer[:] = CONTENT[self.at : stop]
        self.at = stop

    def lend(self, nbytes: int) -> int | None:
        """A descriptor that says where it stands."""
        assert self.at + nbytes <= self.stop
        self.at += nbytes
        return self.at - nbytes

    def break_off(self) -> None:
        self.owner.broken_off += 1

    def close(self) -> None:
        self.owner.open_ones.discard(self)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes in the proportion of the real ones."""
    monkeypatch.setattr(remote_file, "FRONT_BYTES", 200)
    monkeypatch.setattr(remote_file, "STREAM_BYTES", 3000)
    monkeypatch.setattr(remote_file, "GAP_BYTES", 100)


def a_file(memory: Memory) -> RemoteFile:
    return RemoteFile("x", len(CONTENT), memory, SideBySide())


def read(file: RemoteFile, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    file.read_into(offset, memoryview(buffer))
    return bytes(buffer)


SPANS = st.lists(st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 5000)), max_size=12)


def inside(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(start, min(length, len(CONTENT) - start)) for start, length in spans]


@given(SPANS, SPANS, SPANS)
def test_any_reads(announced: list[tuple[int, int]], kept: list[tuple[int, int]], reads: list[tuple[int, int]]) -> None:
    memory = Memory()
    file = a_file(memory)
    file.keep(inside(kept))
    give_up = file.expect(inside(announced))
    for start, length in inside([*reads, *announced, *reads]):
        assert read(file, start, length) == CONTENT[start : start + length]
    give_up()
    file.close()
    assert not memory.open_ones


@given(st.lists(st.integers(1, 700), min_size=1, max_size=40), st.integers(0, 5000))
def test_what_is_announced_comes_by_one_request(lengths: list[int], start: int) -> None:
    memory = Memory()
    file = a_file(memory)
    lengths = lengths[: max(1, (len(CONTENT) - start) // 700)]
    give_up = file.expect([(start, sum(lengths))])
    at = start
    for length in lengths:
        assert read(file, at, length) == CONTENT[at : at + length]
        at += length
    assert memory.log == [(start, sum(lengths))]
    assert not memory.open_ones  # read to its end
    give_up()


def test_a_gap_is_passed_over_and_what_was_not_read_given_up() -> None:
    memory = Memory()
    file = a_file(memory)
    give_up = file.expect([(1000, 1000), (5000, 500)])
    assert read(file, 1000, 10) == CONTENT[1000:1010]
    assert read(file, 1110, 10) == CONTENT[1110:1120]  # 100 bytes further on
    assert memory.log == [(1000, 1000), (5000, 500)]
    assert read(file, 1221, 10) == CONTENT[1221:1231]  # 101: too far, by itself
    assert read(file, 1050, 10) == CONTENT[1050:1060]  # passed already, by itself
    assert memory.log[2:] == [(1221, 10), (1050, 10)]
    assert len(memory.open_ones) == 2
    give_up()
    assert not memory.open_ones
    assert read(file, 1120, 10) == CONTENT[1120:1130]
    assert memory.log[4:] == [(1120, 10)]


def test_each_thread_reads_what_it_announced() -> None:
    memory = Memory()
    file = a_file(memory)
    together = threading.Barrier(2)

    def work(start: int) -> None:
        give_up = file.expect([(start, 4000)])
        together.wait(60)
        for at in range(start, start + 4000, 400):
            assert read(file, at, 400) == CONTENT[at : at + 400]
        together.wait(60)
        give_up()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (0, 4000)))
    assert sorted(memory.log) == [(0, 4000), (4000, 4000)]


def test_who_reads_on_is_taken_to_go_on() -> None:
    memory = Memory()
    file = a_file(memory)
    for at in range(0, 6300, 300):
        assert read(file, at, 300) == CONTENT[at : at + 300]
    # The first by itself, then as much at once as a stream brings.
    assert memory.log == [(0, 300), (300, 3000), (3300, 3000)]
    # Elsewhere, and on: the stream before is given up for the next.
    read(file, 6300, 300)
    read(file, 12_000, 300)
    read(file, 12_300, 300)
    assert memory.log[3:] == [(6300, 3000), (12_000, 300), (12_300, 3000)]
    assert len(memory.open_ones) == 1
    # No further than the file goes; small reads in order are no front.
    read(file, len(CONTENT) - 600, 300)
    read(file, len(CONTENT) - 300, 300)
    assert memory.log[-1] == (len(CONTENT) - 300, 300)
    for at in range(0, 1000, 100):
        read(file, at, 100)
    assert memory.log[-10:] == [(at, 100) for at in range(0, 1000, 100)]
    file.close()
    assert not memory.open_ones


def test_what_is_kept_is_not_asked_for_again() -> None:
    memory = Memory()
    file = a_file(memory)
    file.keep([(5000, 50), (5100, 50), (9000, 10), (0, 20)])
    assert sorted(memory.log) == [(0, 20), (5000, 150), (9000, 10)]
    for start, length in [(0, 20), (5, 3), (5000, 150), (5149, 1), (9000, 10)]:
        assert read(file, start, length) == CONTENT[start : start + length]
    assert len(memory.log) == 3
    assert read(file, 5149, 2) == CONTENT[5149:5151]
    file.keep([(7000, 5)])  # in place of those before
    assert read(file, 0, 20) == CONTENT[:20]
    assert memory.log[3:] == [(5149, 2), (7000, 5), (0, 20)]


def test_a_failed_stream_is_left_and_the_bytes_can_be_read_again() -> None:
    memory = Memory()
    file = a_file(memory)
    memory.fails_at = 500
    give_up = file.expect([(0, 2000)])
    assert read(file, 0, 300) == CONTENT[:300]
    with pytest.raises(HubError, match="broke off"):
        read(file, 300, 300)
    assert not memory.open_ones
    assert read(file, 300, 300) == CONTENT[300:600]
    give_up()


def test_a_connection_is_lent_for_what_comes_next_on_it() -> None:
    memory = Memory()
    file = a_file(memory)
    assert file.lend(1000, 100) is None  # nobody announced it
    give_up = file.expect([(1000, 500), (3000, 200)])
    for start, length in [(1000, 100), (3000, 50), (1100, 200)]:
        loan = file.lend(start, length)
        assert loan is not None
        assert loan.descriptor == start
        loan.settle(True)
    assert file.lend(1310, 10) is None  # not the next
    assert file.lend(1300, 201) is None  # more than was announced
    assert read(file, 1300, 50) == CONTENT[1300:1350]
    assert len(memory.open_ones) == 2
    for start, length in [(1350, 150), (3050, 150)]:
        loan = file.lend(start, length)
        assert loan is not None
        loan.settle(True)
    assert memory.log == [(1000, 500), (3000, 200)]
    assert not memory.open_ones  # taken to its end
    give_up()
    assert memory.broken_off == 0


@pytest.mark.parametrize("taken", [False, True])
def test_a_loan_that_went_wrong_ends_its_stream(taken: bool) -> None:
    memory = Memory()
    file = a_file(memory)
    give_up = file.expect([(1000, 500)])
    for loan in [file.lend(1000, 100), file.lend(1100, 400)]:  # both of one stream
        assert loan is not None
        loan.settle(taken)
    assert memory.broken_off == int(not taken)
    assert not memory.open_ones
    assert read(file, 1100, 10) == CONTENT[1100:1110]
    assert memory.log == [(1000, 500), (1100, 10)]
    give_up()


def test_what_is_not_lent_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    monkeypatch.setattr(MemoryRange, "lend", lambda _self, _nbytes: None)
    file = a_file(memory)
    give_up = file.expect([(1000, 500)])
    assert file.lend(1000, 500) is None
    assert read(file, 1000, 500) == CONTENT[1000:1500]
    assert memory.log == [(1000, 500)]
    give_up()


def test_reads_beyond_the_end() -> None:
    file = a_file(Memory())
    with pytest.raises(DamagedFile, match=r"^x: truncated, it has 20080 bytes where 20081 are needed"):
        read(file, 20_000, 81)
    for ask in (file.read_ranges, file.keep, file.expect):
        with pytest.raises(DamagedFile, match="truncated"):
            ask([(0, 1), (20_080, 1)])


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 80)), max_size=60), st.integers(0, 500))
def test_ranges_are_fetched_together(ranges: list[tuple[int, int]], gap: int) -> None:
    asked: list[tuple[int, int]] = []

    def fetch(spans: list[tuple[int, int]]) -> list[bytes]:
        asked.extend(spans)
        return [CONTENT[start : start + length] for start, length in spans]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_file, "GAP_BYTES", gap)
        patch.setattr(remote_file, "STREAM_BYTES", 1 << 20)
        found = gather(ranges, fetch)
    assert found == [CONTENT[start : start + length] for start, length in ranges]
    assert len(asked) <= len(ranges)
    for before, after in pairwise(asked):
        assert after[0] - (before[0] + before[1]) > gap


def test_a_long_span_is_cut() -> None:
    spans = spans_of([(start, 100) for start in range(0, 9000, 100)])
    assert max(length for _, length in spans) <= remote_file.STREAM_BYTES
    assert sum(length for _, length in spans) == 9000
    assert len(spans) == 4
