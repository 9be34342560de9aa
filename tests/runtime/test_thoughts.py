# SPDX-License-Identifier: Apache-2.0
"""Thinking and answer told apart while a reply is written: however it is cut, it comes to the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.runtime.thought_marks import MARKS, ThoughtMark
from chatvector.runtime.thoughts import Piece, Thoughts

ALL_MARKS = sorted({text for mark in MARKS for text in (mark.open, mark.close, *mark.frame)})
PARTS = st.lists(
    st.one_of(st.sampled_from(ALL_MARKS), st.sampled_from(["a", " ", "<", "<th", "한", "\n", "|>", "`", "``"])),
    max_size=12,
)


def told(pieces: list[str]) -> tuple[Thoughts, list[Piece]]:
    thoughts = Thoughts()
    shown = [piece for text in pieces for piece in thoughts.feed(text)]
    return thoughts, shown + thoughts.close()


@given(PARTS, st.data())
def test_how_it_is_cut_does_not_matter(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, _ = told([text])
    cut, _ = told(pieces)
    letters, _ = told(list(text))
    for other in (cut, letters):
        assert (other.thinking, other.answer, other.unclosed) == (whole.thinking, whole.answer, whole.unclosed)


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.open)
def test_no_mark_is_ever_shown(mark: ThoughtMark) -> None:
    reply = f"{mark.open}why{mark.close}{''.join(mark.frame)}so"
    thoughts, shown = told(list(reply))
    assert "".join(piece.text for piece in shown if piece.thought) == "why"
    assert "".join(piece.text for piece in shown if not piece.thought) == "so"
    assert (thoughts.thinking, thoughts.answer, thoughts.unclosed) == ("why", "so", False)


def test_what_only_began_like_a_mark_is_shown_in_the_end() -> None:
    thoughts = Thoughts()
    assert thoughts.feed("1 <thi") == [Piece("1 ")]
    assert thoughts.feed("s> 2 <") == [Piece("<this> 2 ")]
    assert thoughts.close() == [Piece("<")]
    assert thoughts.answer == "1 <this> 2 <"


def test_a_thought_is_shown_as_one_while_it_is_open() -> None:
    thoughts = Thoughts()
    assert thoughts.feed("<think>a") == [Piece("a", thought=True)]
    assert thoughts.unclosed
    assert thoughts.thinking == "a"
    assert thoughts.feed(" b</think> c") == [Piece(" b", thought=True), Piece(" c")]
    assert (thoughts.thinking, thoughts.answer) == ("a b", "c")
