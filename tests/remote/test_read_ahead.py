# SPDX-License-Identifier: Apache-2.0
"""A merge from afar asks for every byte once, in large pieces, before it is wanted; what is done already not again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hub_trio import ROLES, put_trio
from hypothesis import given
from hypothesis import strategies as st

from builders import Shape, Trio, trio_specs
from chatvector import pipeline
from chatvector.arithmetic import read_ahead
from chatvector.arithmetic.execute import execute
from chatvector.arithmetic.read_ahead import ReadAhead
from chatvector.checkpoint import remote_file
from chatvector.recipe import Recipe
from chatvector.verification import verify
from hub_server import HubServer

SHAPE = Shape(vocabulary=512, hidden=64, mlp=128, layers=3)


def limit(monkeypatch: pytest.MonkeyPatch, most: int, fewest: int = 1) -> None:
    """What is asked for at once."""
    monkeypatch.setattr(read_ahead, "MOST_BYTES", most)
    monkeypatch.setattr(read_ahead, "FEWEST_BYTES", fewest)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 5), st.booleans(), st.integers(1, 60))
def test_threads_take_every_item_once_and_each_in_order(sizes: list[int], threads: int, far: bool, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        limit(patch, most)
        items = ReadAhead(list(enumerate(sizes)), lambda _item: (), lambda item: item[1], threads=threads, far=far)
        with ThreadPoolExecutor(threads) as pool:
            taken = list(pool.map(lambda _thread: [number for number, _ in items], range(threads)))
    assert sorted(number for own in taken for number in own) == list(range(len(sizes)))
    assert all(own == sorted(own) for own in taken)


def stretches(monkeypatch: pytest.MonkeyPatch, sizes: list[int], threads: int = 1) -> list[list[int]]:
    """What one thread that takes all items asks for, each time."""
    asked: list[list[int]] = []

    def expect(blocks: Iterator[Any]) -> Any:
        asked.append(list(blocks))
        return lambda: None

    monkeypatch.setattr(read_ahead, "expect", expect)
    items = ReadAhead(sizes, lambda size: [size], lambda size: size, threads=threads, far=True)  # type: ignore[arg-type]
    assert list(items) == sizes
    assert asked[-1] == []  # after the last one
    return asked[:-1]


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, [[5], [7], [20], [4], [6]]),
        (10, [[5], [7], [20], [4, 6]]),
        (12, [[5, 7], [20], [4, 6]]),
    ],
)
def test_stretches_are_no_larger_than_said(
    monkeypatch: pytest.MonkeyPatch, most: int, expected: list[list[int]]
) -> None:
    limit(monkeypatch, most, fewest=most)
    assert stretches(monkeypatch, [5, 7, 20, 4, 6]) == expected


@pytest.mark.parametrize(
    ("threads", "lengths"),
    # Of 64 items: 10 or 5 for each thread, then its share of half of what is left, at least 2.
    [(1, [10, 10, 10, 10, 10, 7, 3, 2, 2]), (2, [5, 5, 5, 5, 5, 5, 5, 5, 5, 4, 3, 3, 2, 2, 2, 2, 1])],
)
def test_stretches_become_smaller_towards_the_end(
    monkeypatch: pytest.MonkeyPatch, threads: int, lengths: list[int]
) -> None:
    limit(monkeypatch, 10, fewest=2)
    assert list(map(len, stretches(monkeypatch, [1] * 64, threads))) == lengths


@pytest.fixture
def trio(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trio:
    """A trio on disk, and on the hub; little more than the headers is kept of its files."""
    monkeypatch.setattr(remote_file, "HEAD_BYTES", 4096)
    return put_trio(hub, tmp_path / "local", trio_specs(SHAPE))


class Watch:
    """The ranges that are read of each model's weights while `execute` works, and when to break it off."""

    def __init__(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spans: dict[str, list[tuple[int, int]]] = {}

        def watched(*args: Any, **more: Any) -> Any:
            hub.log.clear()
            try:
                return execute(*args, **more)
            finally:
                self.spans = {role: [] for role in ROLES}
                for request in [one for one in hub.log if one.path.endswith(".safetensors")]:
                    headers = {name.lower(): value for name, value in request.headers.items()}
                    first, last = headers["range"].removeprefix("bytes=").split("-")
                    self.spans[request.path.split("/")[2]].append((int(first), int(last) + 1))

        monkeypatch.setattr("chatvector.pipeline.execute", watched)

    def read(self) -> dict[str, int]:
        return {role: sum(stop - start for start, stop in spans) for role, spans in self.spans.items()}


class BreakOff:
    """A progress that breaks the run off after so many bytes."""

    def __init__(self, nbytes: int) -> None:
        self._left = nbytes
        self._lock = threading.Lock()

    def advance(self, nbytes: int, /) -> None:
        with self._lock:
            self._left -= nbytes
            if self._left < 0:
                raise RuntimeError("enough")


def streamed(output: Path, threads: int) -> Recipe:
    vector = {"base": "org/base", "chat": "org/chat", "scale": 0.8}
    return Recipe.from_mapping(
        {"target": "org/target", "vectors": [vector], "output": str(output), "stream": True, "threads": threads}
    )


def weights_bytes(folder: Path) -> int:
    data = (folder / "model.safetensors").read_bytes()
    return len(data) - 8 - int.from_bytes(data[:8], "little")


@pytest.mark.parametrize(
    ("most", "threads", "requests"), [(1 << 24, 2, 1), (100_000, 2, 9), (100_000, 1, 9), (1, 3, 30)]
)
def test_every_byte_once_by_few_requests(
    hub: HubServer,
    trio: Trio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    threads: int,
    requests: int,
) -> None:
    limit(monkeypatch, most, fewest=most)
    watch = Watch(hub, monkeypatch)
    pipeline.apply(streamed(tmp_path / "out", threads))
    local = Recipe.from_mapping(
        {
            "target": str(trio.target),
            "vectors": [{"base": str(trio.base), "chat": str(trio.chat), "scale": 0.8}],
            "output": str(tmp_path / "local-out"),
        }
    )
    read, found = watch.read(), watch.spans
    pipeline.apply(local)
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "local-out/model.safetensors").read_bytes()
    whole = weights_bytes(trio.target)
    spans = sorted(found["target"])
    assert read["target"] == whole
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    # Of the others the rows that the target has as well, with what lies between them.
    assert max(read["base"], read["chat"]) < 1.02 * whole
    assert len(spans) <= requests
    assert max(len(found["base"]), len(found["chat"])) <= requests + 3


def test_what_an_interrupted_run_made_is_not_read_again(
    hub: HubServer, trio: Trio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 60_000, fewest=60_000)
    watch = Watch(hub, monkeypatch)
    with pytest.raises(RuntimeError, match="enough"):
        pipeline.apply(streamed(tmp_path / "out", 1), progress=lambda _job: BreakOff(150_000))
    pipeline.apply(streamed(tmp_path / "out", 1))
    whole = weights_bytes(trio.target)
    assert 0 < watch.read()["target"] < 0.8 * whole
    report = verify(str(tmp_path / "out"), full=True, generate=False)
    assert report.ok


def test_verify_from_afar_asks_for_few_ranges(hub: HubServer, trio: Trio, tmp_path: Path) -> None:
    pipeline.apply(streamed(tmp_path / "out", 1))
    hub.log.clear()
    assert verify(str(tmp_path / "out"), full=True, generate=False).ok
    assert verify(str(tmp_path / "out"), generate=False).ok
    weights = [request for request in hub.log if request.method == "GET" and request.path.endswith(".safetensors")]
    # Of each parent: the head, the sample, and the whole, at once; twice.
    assert 0 < len(weights) < 3 * 2 * 12
    assert sum(trio.target.stat().st_size > 0 for _ in weights)
