# SPDX-License-Identifier: Apache-2.0
"""The README in three languages: the same commands, the same links, the same places."""

from __future__ import annotations

import re

import pytest

from docs.pages import LINK, READMES, blocks, read

OTHERS = READMES[1:]


@pytest.mark.parametrize("page", OTHERS)
@pytest.mark.parametrize("kind", ["sh", "python"])
def test_the_same_commands(page: str, kind: str) -> None:
    assert [block.text for block in blocks(page, kind)] == [block.text for block in blocks("README.md", kind)]


@pytest.mark.parametrize("page", OTHERS)
def test_the_same_links_in_the_same_order(page: str) -> None:
    def targets(name: str) -> list[str]:
        text = read(name).partition("\n## ")[2]  # the first lines link the languages to each other
        return [match["target"] for match in LINK.finditer(text)]

    assert targets(page) == targets("README.md")


@pytest.mark.parametrize("page", OTHERS)
def test_the_same_headings_and_points(page: str) -> None:
    def marks(name: str) -> list[str]:
        return re.findall(r"^(#+|-|\|(?=[^-\s]*\s\[|\s\w))(?= )", read(name), re.MULTILINE)

    assert marks(page) == marks("README.md")


@pytest.mark.parametrize("page", READMES)
def test_each_links_the_others(page: str) -> None:
    head = read(page).partition("\n## ")[0]
    assert all(f"({other})" in head for other in READMES if other != page)


def test_the_first_screen_shows_a_command_on_three_hub_names() -> None:
    first_screen = "\n".join(read("README.md").splitlines()[:40])
    assert re.search(r"chatvector apply [\w-]+/\S+ \\\n  --base [\w-]+/\S+ --chat [\w-]+/\S+", first_screen)
