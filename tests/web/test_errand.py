# SPDX-License-Identifier: Apache-2.0
"""Work that is watched and called off."""

from __future__ import annotations

import threading

import pytest

from chatvector.errors import UsageError
from chatvector.web.errand import CalledOff, Errand


def test_it_is_watched_to_its_result() -> None:
    seen_half, go_on = threading.Event(), threading.Event()

    def work(errand: Errand[str]) -> str:
        errand.say("begun")
        errand.start(4)
        errand.advance(2)
        seen_half.set()
        assert go_on.wait(60)
        errand.advance(2)
        return "made"

    states = []
    errand = Errand(work)
    for _ in errand.watch():
        assert seen_half.wait(60)
        states.append((errand.done, errand.total, errand.line))
        go_on.set()
    assert (errand.result, errand.problem) == ("made", None)
    assert states[-1] == (4, 4, "begun")


def test_called_off_it_ends_at_the_next_step() -> None:
    ended = threading.Event()

    def work(errand: Errand[str]) -> str:
        errand.start(10**9)
        try:
            while True:
                errand.advance(1)
        except CalledOff:
            ended.set()
            raise

    errand = Errand(work)
    for _ in errand.watch():
        errand.call_off()
    assert ended.is_set()
    assert (errand.result, errand.problem) == (None, None)


def test_it_ends_when_nobody_watches_any_more() -> None:
    ended = threading.Event()

    def work(errand: Errand[str]) -> str:
        errand.start(10**9)
        try:
            while True:
                errand.advance(1)
        finally:
            ended.set()

    watching = Errand(work).watch()
    next(watching)
    watching.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert ended.wait(60)


@pytest.mark.parametrize("error", [UsageError("no such suite"), KeyError("x")], ids=["the user's", "ours"])
def test_what_goes_wrong_is_kept_and_ours_is_printed(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_errand: Errand[str]) -> str:
        raise error

    (*_, last) = Errand(work).watch()
    assert last.problem is error
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, KeyError)
