# SPDX-License-Identifier: Apache-2.0
"""Two texts side by side: no character lost, no row too wide, whatever the script and the window."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.cli.chat_screen import laid_out
from chatvector.cli.columns import GAP, Column, SideBySide, width_of
from chatvector.runtime.plain_text import printable
from chatvector.runtime.thoughts import Piece

PICTURE = "👨\u200d👩\u200d👧"
SIGNS = st.lists(st.sampled_from([*"ab. 한국어日本語中文。、「」ｱé🙂 \n", "e\u0301", PICTURE]), max_size=80).map(
    "".join
)


def rows(column: Column) -> list[str]:
    return ["".join(cell.text for cell in column.line(number)) for number in range(len(column.rows) + 1)]


def filled(text: str, width: int) -> list[str]:
    column = Column(width)
    column.feed(text)
    return rows(column)


class Glass:
    """What a terminal shows that knows `\\r`, `\\n`, clearing to the end of a line, and styles."""

    def __init__(self) -> None:
        self.lines = [""]

    def write(self, text: str) -> None:
        for part in re.split(r"(\r|\n|\x1b\[K|\x1b\[\d*m)", text):
            if part == "\n":
                self.lines.append("")
            elif part == "\r":
                self.back = True
            elif part.startswith("\x1b["):
                continue
            elif part:
                # Every line is drawn whole from its start, and what is left of an older one is cleared.
                self.lines[-1] = part if getattr(self, "back", False) else self.lines[-1] + part
                self.back = False


def shown(left: list[str], right: list[str], width: int = 41) -> list[tuple[str, str]]:
    glass = Glass()
    both = SideBySide(["L", "R"], lambda: width, glass.write)
    for place, pieces in enumerate((left, right)):
        for text in pieces:
            both.feed(place, Piece(text))
        both.end(place)
    both.close()
    share = (width - 1 - len(GAP)) // 2
    found = []
    for line in glass.lines[:-1] or glass.lines:
        first, _, last = line.partition("│")
        assert width_of(first) == share + 1  # the bar stands in one column
        assert width_of(last) <= share + 1
        found.append((first.rstrip(), last.strip()))
    return found


def test_words_stay_whole_and_blanks_hang_over_the_edge() -> None:
    assert filled("one two three", 7) == ["one two", "three"]
    assert filled("one two", 4) == ["one", "two"]
    assert filled("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_wide_characters_take_two_columns_and_part_anywhere() -> None:
    assert filled("한국어입니다", 5) == ["한국", "어입", "니다"]
    assert filled("日本語です。", 10) == ["日本語で", "す。"]  # no line begins with a full stop
    assert filled("中a文", 2) == ["中", "a", "文"]


def test_a_mark_stays_with_its_letter() -> None:
    assert filled("e\u0301e\u0301e\u0301", 2) == ["e\u0301e\u0301", "e\u0301"]
    assert filled(PICTURE + PICTURE, 3) == [PICTURE, PICTURE]


@given(SIGNS, st.integers(2, 30))
def test_no_row_is_too_wide_and_nothing_is_lost(text: str, width: int) -> None:
    found = filled(text, width)
    assert all(width_of(row) <= width for row in found)
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", text)


@given(SIGNS, SIGNS)
def test_the_rows_do_not_depend_on_the_pieces(left: str, right: str) -> None:
    whole = shown([left], [right])
    assert shown(list(left), list(right)) == whole


def test_side_by_side() -> None:
    assert shown(["안녕", "하세요"], ["one two three four five", "\nsix"]) == [
        ("L", "R"),
        ("안녕하세요", "one two three four"),
        ("", "five"),
        ("", "six"),
    ]


@pytest.mark.parametrize("narrower", [31, 61])
def test_a_window_that_changes_in_the_middle_loses_nothing(narrower: int) -> None:
    glass, width = Glass(), [41]
    both = SideBySide(["L", "R"], lambda: width[0], glass.write)
    both.feed(0, Piece("alpha beta gamma "))
    both.feed(1, Piece("가나다라 마바사 "))
    width[0] = narrower
    both.feed(0, Piece("delta epsilon zeta eta"))
    both.feed(1, Piece("아자차카타파하"))
    both.close()
    for place, words in enumerate(
        (["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"], ["가나다라", "마바사"])
    ):
        side = " ".join(line.split("│")[place] for line in glass.lines if "│" in line)
        assert all(word in side for word in words)
    assert "아자차카타파하" in "".join(line.split("│")[1].strip() for line in glass.lines if "│" in line)


def test_thoughts_are_dim_or_folded() -> None:
    pieces = [Piece("\nwhy ", thought=True), Piece("so", thought=True), Piece("\n\nthus"), Piece(" it is")]
    assert list(laid_out(pieces, folded=False)) == [
        Piece("why ", thought=True),
        Piece("so", thought=True),
        Piece("\n\n", thought=True),
        Piece("thus"),
        Piece(" it is"),
    ]
    folded = "".join(piece.text for piece in laid_out(pieces, folded=True))
    assert folded == "thinking … 6 characters\nthus it is"


def test_a_model_does_not_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\x07\x9b1m\r\tc\n") == "a\ufffd[2Jb\ufffd\ufffd1m\tc\n"
