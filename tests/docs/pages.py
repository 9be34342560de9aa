# SPDX-License-Identifier: Apache-2.0
"""The documentation as data: pages, their fenced blocks, the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.ko.md", "README.zh-Hant.md")
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*.md", "src/**/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the page and the line it begins on."""

    kind: str
    text: str
    page: str
    line: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(path: Path) -> str:
    """A page as people name it: `docs/cli.md`."""
    return path.relative_to(ROOT).as_posix()


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(page: str, kind: str) -> list[Block]:
    """The fenced blocks of one language, in order."""
    text = read(page)
    return [
        Block(kind, match["text"], page, text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
        if match["kind"] == kind
    ]


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block as words: comments and `> FILE` dropped, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = [shlex.split(line, comments=True) for line in joined.splitlines()]
    return [words[: words.index(">")] if ">" in words else words for words in found if words]
