# SPDX-License-Identifier: Apache-2.0
"""Writes a report as one HTML file: style and pictures are inside it; it has no script and requests nothing.

Everything is escaped by the template engine; our own style and pictures are marked as safe in the template.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.evaluate.report.blocks import Report, Table
from chatvector.evaluate.report.characters import anchor, visible
from chatvector.evaluate.report.picture import svg

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).parent


def html(report: Report, version: str) -> str:
    """The HTML page. Raises MissingExtra if there are charts and matplotlib is not installed."""
    style = (HERE / "report.css").read_text("utf-8")
    return _template().render(report=report, version=version, style=style, picture=svg, spans=spans, anchor=anchor)


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def fit(value: Any) -> Any:
        """Make a text visible; the engine calls this for every value before it is escaped."""
        return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

    engine = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=fit,
    )
    return engine.get_template("report.html.j2")


def spans(table: Table) -> list[list[int]]:
    """For each row the row span of each label cell; 0 if the cell is covered by the one above."""
    found = [[1] * table.labels for _ in table.rows]
    for column in range(table.labels - 1):
        start = 0
        for at in range(1, len(table.rows)):
            # A cell is joined with the one above only if all cells to its left are.
            if table.rows[at][: column + 1] == table.rows[start][: column + 1]:
                found[start][column] += 1
                found[at][column] = 0
            else:
                start = at
    return found
