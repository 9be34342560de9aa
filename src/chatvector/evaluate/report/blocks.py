# SPDX-License-Identifier: Apache-2.0
"""What a report is made of, whatever it is written as: sections of text, tables, charts, samples and code.

Nothing here is HTML or Markdown yet: every string is plain text, and whoever writes it escapes it.
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
        caption: what it shows.
        columns: headings.
        rows: one text a column.
        labels: so many columns from the left say what the row is; equal ones below each other are joined.
        folded: long and for those who look for it; closed at first where that can be.
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
    """A figure with its 95 % interval, in the chart's unit; `x` counts for curves only."""

    value: float
    low: float | None
    high: float | None
    x: float = 0.0


@dataclass(frozen=True)
class Series:
    """Points of a model. `number` is the model's place, which decides colour, mark and line: equal in all charts."""

    name: str
    number: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Curves:
    """Figures along a facet whose values are numbers."""

    id: str
    caption: str
    description: str
    x_title: str
    percent: bool
    series: tuple[Series, ...]
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True)
class Forest:
    """Differences to the reference, one group a figure; the right side is the good one."""

    id: str
    caption: str
    description: str
    x_title: str
    groups: tuple[tuple[str, tuple[Series, ...]], ...]
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True)
class Said:
    """What a model said: one text a reply, and its mark."""

    model: str
    texts: tuple[str, ...]
    mark: str


@dataclass(frozen=True)
class Sample:
    """An item with the replies of all models, side by side.

    Attributes:
        why: by which rule it was chosen.
        asked: who says what, in order: `("user", "…")`.
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
    """Something to be copied."""

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
    """The whole."""

    title: str
    subtitle: str
    sections: tuple[Section, ...] = field(default=())
