# SPDX-License-Identifier: Apache-2.0
"""What a report is made of, in any output format: sections of text, tables, charts, samples and code.

Nothing here is HTML or Markdown: every string is plain text, and the module that writes it escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Lines:
    """A list."""

    lines: tuple[str, ...]
    kind: Literal["lines"] = "lines"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: what the table shows.
        columns: headings of the columns.
        rows: one text per column.
        labels: number of columns, from the left, that say what the row is about; equal cells below each other are
            joined, except in the last of these columns.
        folded: whether the table, being long and of interest to few, is closed at first if the format can do that.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    folded: bool = False
    kind: Literal["table"] = "table"

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.caption


@dataclass(frozen=True)
class Point:
    """A figure with its 95 % interval, in the chart's unit; `x` is used by curves only."""

    value: float
    low: float | None
    high: float | None
    x: float = 0.0


@dataclass(frozen=True)
class Series:
    """The points of a model. `number` is the model's position, which decides its colour, marker and line style in all
    charts."""

    name: str
    number: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Curves:
    """A chart of figures along a facet whose values are numbers."""

    id: str
    caption: str
    description: str
    x_title: str
    percent: bool
    series: tuple[Series, ...]
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True)
class Forest:
    """A chart of differences to the reference, one group per figure; better is to the right."""

    id: str
    caption: str
    description: str
    x_title: str
    groups: tuple[tuple[str, tuple[Series, ...]], ...]
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True)
class Said:
    """What a model said: one text per reply, and the mark it got."""

    model: str
    texts: tuple[str, ...]
    mark: str


@dataclass(frozen=True)
class Sample:
    """An item with the replies of all models, side by side.

    Attributes:
        why: the rule by which it was chosen.
        asked: (role, text) pairs in order: `("user", "…")`.
    """

    why: str
    item: str
    asked: tuple[tuple[str, str], ...]
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Samples:
    """Samples of one task."""

    caption: str
    samples: tuple[Sample, ...]
    kind: Literal["samples"] = "samples"


@dataclass(frozen=True)
class Code:
    """Text to be copied, such as YAML."""

    caption: str
    text: str
    kind: Literal["code"] = "code"


Block = Text | Lines | Table | Curves | Forest | Samples | Code


@dataclass(frozen=True)
class Section:
    """A part of the report. `id` is its anchor."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """The whole report."""

    title: str
    subtitle: str
    sections: tuple[Section, ...] = field(default=())
