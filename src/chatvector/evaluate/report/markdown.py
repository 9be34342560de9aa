# SPDX-License-Identifier: Apache-2.0
"""Writes a report as Markdown: the same content without the charts, whose numbers are in the tables.

Texts of models stand in fences that they cannot close. In all other texts, characters with a meaning in Markdown or
HTML are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatvector.evaluate.report.blocks import Block, Report, Sample, Section, Table
from chatvector.evaluate.report.characters import one_line, visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def markdown(report: Report) -> str:
    """The content of `report.md`."""
    lines = [f"# {plain(report.title)}", plain(report.subtitle)]
    for section in report.sections:
        lines += _section(section)
    return "\n\n".join(lines) + "\n"


def plain(text: str) -> str:
    """The text on one line, with all special characters escaped."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def fenced(text: str, language: str = "text") -> str:
    """The text as a block of code, in a fence longer than any in the text."""
    text = visible(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def table(one: Table) -> str:
    """A table with its caption above it."""
    rows = [one.columns, tuple("---" for _ in one.columns)]
    text = [" | ".join(("---" if at == 1 else plain(cell)) for cell in row) for at, row in enumerate(rows)]
    text += [" | ".join(map(plain, row)) for row in one.rows]
    return f"**{plain(one.caption)}**\n\n" + "\n".join(f"| {line} |" for line in text)


def _section(section: Section) -> Iterator[str]:
    texts = [text for block in section.blocks for text in _block(block)]
    if texts:
        yield f"## {plain(section.title)}"
        yield from texts


def _block(block: Block) -> Iterator[str]:
    match block.kind:
        case "text":
            yield plain(block.text)
        case "lines":
            yield "\n".join(f"- {plain(line)}" for line in block.lines)
        case "table":
            yield table(block)
        case "chart":
            yield f"**{plain(block.caption)}** {plain(block.description)}"
        case "samples":
            yield f"### {plain(block.caption)}"
            for sample in block.samples:
                yield from _sample(sample)
        case "code":
            yield f"**{plain(block.caption)}**"
            yield fenced(block.text, "yaml")


def _sample(sample: Sample) -> Iterator[str]:
    yield f"**{plain(sample.item)}** ({plain(sample.why)})"
    for role, text in sample.asked:
        yield f"{plain(role)}:"
        yield fenced(text)
    for said in sample.said:
        yield f"{plain(said.model)} ({plain(said.mark)}):"
        for text in said.texts:
            yield fenced(text or "(nothing)")
