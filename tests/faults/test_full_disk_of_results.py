# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up while results, a report or a conversation are written: exit code 5, and nothing half-written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chatvector.checkpoint.staging import unwritable
from chatvector.errors import NotEnoughSpace, OutputRefused
from chatvector.evaluate.report import writing
from chatvector.evaluate.saving import save
from chatvector.runtime.backend import Reply, Sampling
from chatvector.runtime.commands import Save
from chatvector.runtime.session import Session, Turn

BIG = "x" * (2 << 20)
"""More than the disk holds."""


def test_which_error_it_is() -> None:
    full = unwritable(OSError(errno.ENOSPC, "No space left on device"), Path("place"), "out: refused")
    assert isinstance(full, NotEnoughSpace)
    assert str(full) == "place: the disk is full; free space and run the same command again"
    assert full.exit_code == 5
    other = unwritable(OSError(errno.EACCES, "Permission denied"), Path("place"), "out: refused")
    assert isinstance(other, OutputRefused)
    assert str(other) == "out: refused: Permission denied"


def test_results(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1)
    found: Any = SimpleNamespace(results=SimpleNamespace(text=lambda: BIG), items={})
    with pytest.raises(NotEnoughSpace, match="the disk is full"):
        save(found, disk / "out")
    assert list(disk.iterdir()) == []


def test_a_report(small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    disk = small_disk(1)
    monkeypatch.setattr(writing, "read_results", lambda _place: None)
    monkeypatch.setattr(writing, "read_items", lambda *_: {})
    monkeypatch.setattr(writing, "render", lambda *_, **__: {"report.html": BIG})
    with pytest.raises(NotEnoughSpace, match="the disk is full"):
        writing.write_report(disk, disk / "out")
    assert not (disk / "out" / "report.html").exists()


def test_a_conversation(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(1)
    turn = Turn((("user", "?"),), Reply(BIG, stopped=True), BIG)
    speaker: Any = SimpleNamespace(name="m", turns=[turn], backend=SimpleNamespace(render=lambda *_, **__: ""))
    session = Session([speaker], Sampling())
    for name in ("talk.md", "talk.jsonl"):
        with pytest.raises(NotEnoughSpace, match="the disk is full"):
            session.do(Save(str(disk / name)))
    assert list(disk.iterdir()) == []
    with pytest.raises(OutputRefused, match="cannot be written: No such file"):
        session.do(Save(str(disk / "nowhere" / "talk.md")))
