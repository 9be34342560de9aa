# SPDX-License-Identifier: Apache-2.0
"""Two texts side by side while both are being written, on any terminal that knows how to go back to a line's start.

A row is final when both texts have gone beyond it. It is then printed and never touched again, so that what scrolled
away is whole and a window may change its width in the middle; the row after it is drawn anew with every piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatvector.runtime.thoughts import Piece

GAP = " │ "
NARROWEST = 60
"""Columns of a terminal below which two texts are easier to read one after the other."""
DIM, PLAIN, CLEAR = "\x1b[2m", "\x1b[0m", "\x1b[K"

# What Chinese, Japanese and Korean lines do not begin with (a part of JIS X 4051's list).
_NOT_FIRST = frozenset("、。，．！？：；）」』】》〉〕］…・ー々,.!?:;)]}%")


@dataclass(frozen=True)
class Cell:
    """What one reader sees as one character, and the columns that it takes."""

    text: str
    width: int
    thought: bool


@dataclass(frozen=True)
class Row:
    """A finished row; `ended` if a line break ended it, and not the width."""

    cells: tuple[Cell, ...]
    ended: bool


def width_of(text: str) -> int:
    """Columns of a text on a terminal: 2 for a Hangul syllable or a Han character, 0 for a combining mark."""
    from rich.cells import cell_len

    return cell_len(text)


class Column:
    """A text of a fixed width that grows at its end."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: list[Row] = []
        self.row: list[Cell] = []

    def feed(self, text: str, *, thought: bool = False) -> None:
        """Add text. Lines are broken at blanks, and at both sides of a wide character, but not before `。` and the
        like; what has no such place is broken anywhere."""
        for sign in text.replace("\t", "    "):
            if sign == "\n":
                self._finish(len(self.row), ended=True)
                continue
            if self.row and not self.row[-1].text.isspace() and not sign.isspace():
                last = self.row[-1]
                joined = width_of(last.text + sign)
                if joined <= last.width:  # a combining mark, or a part of a longer picture
                    self.row[-1] = Cell(last.text + sign, joined, last.thought)
                    continue
            self.row.append(Cell(sign, width_of(sign), thought))
            # Blanks at the end of a row hang over its edge, unseen.
            if not sign.isspace() and _width(self.row) > self.width:
                self._finish(self._break(), ended=False)

    def line(self, number: int) -> tuple[Cell, ...]:
        """A row's cells, without the blanks at its end; none for a row that is not there."""
        there = self.rows[number].cells if number < len(self.rows) else self.row if number == len(self.rows) else ()
        end = len(there)
        while end and there[end - 1].text.isspace():
            end -= 1
        return tuple(there[:end])

    def _break(self) -> int:
        cells = self.row
        for place in range(len(cells) - 1, 0, -1):
            before, after = cells[place - 1], cells[place]
            if _width(cells[:place]) > self.width and not before.text.isspace():
                continue
            parted = before.text.isspace() or before.width == 2 or after.width == 2
            if parted and not after.text.isspace() and after.text[0] not in _NOT_FIRST:
                return place
        return max(1, len(cells) - 1)

    def _finish(self, place: int, *, ended: bool) -> None:
        self.rows.append(Row(tuple(self.row[:place]), ended))
        self.row = self.row[place:]


class SideBySide:
    """Shows texts in columns of equal width.

    shown = SideBySide(["before", "after"], terminal_width, sys.stdout.write)
    shown.feed(0, Piece("…"))
    shown.close()
    """

    def __init__(self, names: Sequence[str], columns: Callable[[], int], write: Callable[[str], object]) -> None:
        """`columns` tells the terminal's width, and is asked again with every piece."""
        self._write, self._columns = write, columns
        self._total, self._count = columns(), len(names)
        self._texts = [Column(self._share()) for _ in names]
        self._done, self._last = 0, ""
        self._ended = [False for _ in names]
        for number, name in enumerate(names):
            self.feed(number, Piece(f"{name}\n", thought=True))

    def feed(self, number: int, piece: Piece) -> None:
        """Add to the text of that number."""
        if self._columns() != self._total:
            self._refit()
        self._texts[number].feed(piece.text, thought=piece.thought)
        self._show()

    def end(self, number: int) -> None:
        """That text is finished: nobody waits for it."""
        self._ended[number] = True
        self._show()

    def close(self) -> None:
        """All are finished."""
        self._ended = [True for _ in self._texts]
        self._show()
        if any(text.line(self._done) for text in self._texts):
            self._write("\n")
        else:
            self._write(f"\r{CLEAR}")

    def _share(self) -> int:
        # The last column stays free: terminals differ in what they do after it.
        return max(8, (self._total - 1 - len(GAP) * (self._count - 1)) // self._count)

    def _show(self) -> None:
        pairs = list(zip(self._texts, self._ended, strict=True))
        while all(len(text.rows) > self._done or ended for text, ended in pairs) and any(
            len(text.rows) > self._done for text in self._texts
        ):
            self._write(f"\r{self._drawn(self._done)}{CLEAR}\n")
            self._done += 1
            self._last = ""
        now = self._drawn(self._done)
        if now != self._last:
            self._write(f"\r{now}{CLEAR}")
            self._last = now

    def _drawn(self, number: int) -> str:
        *firsts, last = (text.line(number) for text in self._texts)
        parts = [_styled(cells) + " " * (self._share() - _width(cells)) + GAP for cells in firsts]
        return "".join(parts) + _styled(last)

    def _refit(self) -> None:
        """The window has another width: what is printed stays, the rest is laid out anew below it."""
        self._total = self._columns()
        self._write("\n")
        for place, old in enumerate(self._texts):
            new = Column(self._share())
            for row in [*old.rows[self._done :], Row(tuple(old.row), ended=False)]:
                for cell in row.cells:
                    new.feed(cell.text, thought=cell.thought)
                if row.ended:
                    new.feed("\n")
            self._texts[place] = new
        self._done, self._last = 0, ""


def _width(cells: Sequence[Cell]) -> int:
    return sum(cell.width for cell in cells)


def _styled(cells: Sequence[Cell]) -> str:
    parts, dim = [], False
    for cell in cells:
        if cell.thought != dim:
            dim = cell.thought
            parts.append(DIM if dim else PLAIN)
        parts.append(cell.text)
    return "".join(parts) + (PLAIN if dim else "")
