# SPDX-License-Identifier: Apache-2.0
"""Blocks fetched ahead: any reads give the file's bytes, in bounded memory, each block once for a reader in order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint import remote
from chatvector.checkpoint.remote import ReadAhead, RemoteFile, gather
from chatvector.errors import DamagedFile, HubError

CONTENT = bytes(range(251)) * 80


class Memory:
    """A fetcher over bytes, with a log; the next `failures` fetches fail."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.log: list[tuple[int, int]] = []
        self.failures = 0
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self, start: int, buffer: memoryview) -> None:
        self.gate.wait(10)
        self.log.append((start, len(buffer)))
        if self.failures:
            self.failures -= 1
            raise HubError("x: broke off")
        buffer[:] = self.content[start : start + len(buffer)]


def a_file(memory: Memory, **arguments: int) -> tuple[RemoteFile, ReadAhead]:
    ahead = ReadAhead(**{"block_bytes": 1000, "blocks": 6, "ahead": 3} | arguments)
    return RemoteFile("x", len(memory.content), memory, ahead), ahead


def read(file: RemoteFile, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    file.read_into(offset, memoryview(buffer))
    return bytes(buffer)


@given(st.lists(st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 5000)), max_size=20), st.booleans())
def test_any_reads(reads: list[tuple[int, int]], fronts: bool) -> None:
    file, ahead = a_file(Memory())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "FRONT_BYTES", 300 if fronts else 1 << 30)
        for offset, length in reads:
            length = min(length, len(CONTENT) - offset)
            assert read(file, offset, length) == CONTENT[offset : offset + length]
            assert ahead.nbytes <= 6 * 1000
    ahead.close()


def test_readers_side_by_side_share_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FRONT_BYTES", 200)
    memory = Memory()
    file, ahead = a_file(memory)
    units = [(start, 250) for start in range(0, len(CONTENT) - 250, 250)]
    with ThreadPoolExecutor(4) as pool:
        found: list[bytes] = []
        for first in range(0, len(units), 8):  # as threads that take units in turn: never far apart
            found += pool.map(lambda unit: read(file, *unit), units[first : first + 8])
    assert found == [CONTENT[start : start + length] for start, length in units]
    assert sum(length for _, length in memory.log) <= 1.2 * len(CONTENT)
    blocks = [start for start, length in memory.log if length != 250]
    assert sorted(blocks) == list(range(0, len(CONTENT), 1000))  # each once; who came late read for himself
    assert ahead.nbytes <= 6 * 1000
    ahead.close()


@pytest.mark.parametrize(("length", "lag"), [(300, 0), (250, 1), (300, 1), (300, 3)])
def test_a_block_that_nobody_has_come_to_makes_no_room(monkeypatch: pytest.MonkeyPatch, length: int, lag: int) -> None:
    """Reads that cross blocks, or come a little late, touch old blocks after new ones were asked for."""
    monkeypatch.setattr(remote, "FRONT_BYTES", 200)
    memory = Memory()
    file, ahead = a_file(memory, blocks=8, ahead=4)
    starts = list(range(0, len(CONTENT) - length, length))
    for place in range(0, len(starts), lag + 1):  # the last of a few first
        for start in reversed(starts[place : place + lag + 1]):
            assert read(file, start, length) == CONTENT[start : start + length]
            assert ahead.nbytes <= 8 * 1000
    ahead.close()
    # Each once, and no part of one by itself; the 80 bytes behind the last are not always read.
    assert sorted(start for start, _ in memory.log if start < 20_000) == list(range(0, 20_000, 1000))


def test_the_next_blocks_are_asked_for_before_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FRONT_BYTES", 200)
    memory = Memory()
    file, ahead = a_file(memory)
    read(file, 0, 250)
    for _ in range(1000):
        if len(memory.log) >= 4:
            break
        threading.Event().wait(0.005)
    ahead.close()
    assert sorted(memory.log) == [(0, 1000), (1000, 1000), (2000, 1000), (3000, 1000)]


def test_a_small_read_by_itself_is_fetched_exactly() -> None:
    memory = Memory()
    file, ahead = a_file(memory)
    assert read(file, 7000, 40) == CONTENT[7000:7040]
    assert memory.log == [(7000, 40)]
    assert ahead.nbytes == 0
    ahead.close()


def test_a_failed_block_fails_its_readers_and_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FRONT_BYTES", 200)
    memory = Memory()
    file, ahead = a_file(memory, ahead=0)
    memory.failures = 1
    with pytest.raises(HubError, match="broke off"):
        read(file, 0, 300)
    assert read(file, 0, 300) == CONTENT[:300]
    ahead.close()


def test_a_read_beyond_the_end() -> None:
    file, ahead = a_file(Memory())
    with pytest.raises(DamagedFile, match=r"^x: truncated, it has 20080 bytes where 20081 are needed"):
        read(file, 20_000, 81)
    with pytest.raises(DamagedFile, match="truncated"):
        file.read_ranges([(0, 1), (20_080, 1)])
    ahead.close()


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 80)), max_size=60), st.integers(0, 500))
def test_ranges_are_fetched_together(ranges: list[tuple[int, int]], gap: int) -> None:
    asked: list[tuple[int, int]] = []

    def fetch(spans: list[tuple[int, int]]) -> list[bytes]:
        asked.extend(spans)
        return [CONTENT[start : start + length] for start, length in spans]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "GAP_BYTES", gap)
        found = gather(ranges, fetch)
    assert found == [CONTENT[start : start + length] for start, length in ranges]
    assert len(asked) <= len(ranges)
    for before, after in pairwise(asked):
        assert after[0] - (before[0] + before[1]) > gap


def test_a_long_span_is_cut() -> None:
    asked: list[tuple[int, int]] = []

    def fetch(spans: list[tuple[int, int]]) -> list[bytes]:
        asked.extend(spans)
        return [bytes(length) for _, length in spans]

    gather([(start, 1000) for start in range(0, 3 * remote.BLOCK_BYTES, 1000)], fetch)
    assert max(length for _, length in asked) <= remote.BLOCK_BYTES
    assert len(asked) == 4
