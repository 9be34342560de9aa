# SPDX-License-Identifier: Apache-2.0
"""Links between pages lead somewhere, and so do the pages that the code names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import LINK, PAGES, ROOT, name_of

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NAMED_PAGE = re.compile(r"\bdocs/[\w./-]+\.md\b")


def anchors(path: Path) -> set[str]:
    """The anchors that headings make, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    broken: list[str] = []
    for match in LINK.finditer(FENCED.sub("", path.read_text("utf-8"))):
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists() or not place.is_relative_to(ROOT) or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("folder", ["src", "benchmarks", "examples", "tests"])
def test_pages_that_the_code_names_are_there(folder: str) -> None:
    files = [path for kind in ("*.py", "*.yaml") for path in (ROOT / folder).rglob(kind)]
    missing = {
        f"{name_of(path)} names {page}"
        for path in files
        for page in NAMED_PAGE.findall(path.read_text("utf-8"))
        if not (ROOT / page).is_file()
    }
    assert not missing


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".md" or not path.is_file():
            continue
        seen.add(path)
        targets = (match["target"].partition("#")[0] for match in LINK.finditer(path.read_text("utf-8")))
        waiting += [(path.parent / target).resolve() for target in targets if target and ":" not in target]
    assert not [name_of(path) for path in PAGES if path not in seen and (ROOT / "docs") in path.parents]
