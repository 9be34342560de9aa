# SPDX-License-Identifier: Apache-2.0
"""The page of questions quotes what the program says when it refuses."""

from __future__ import annotations

import re

from docs.pages import ROOT, read


def test_quoted_refusals_are_what_the_program_says() -> None:
    section = read("docs/questions.md").partition("## It was refused")[2].partition("\n## ")[0]
    said = [row.split(" | ")[0].removeprefix("| ") for row in section.splitlines() if row.startswith("| ")][1:]
    # `A, *or* B` quotes two; what stands for a kind of message names its exit code.
    quotes = [quote for cell in said if "exit code" not in cell for quote in re.split(r", \*or\* ", cell)]
    assert len(quotes) > 8
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert [quote for quote in quotes if quote not in source] == []
