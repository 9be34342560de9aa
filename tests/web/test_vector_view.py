# SPDX-License-Identifier: Apache-2.0
"""The pictures and the verdict of the tab Vector."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from chatvector.errors import ChatVectorError
from chatvector.extraction import extract
from chatvector.recipe import Recipe, VectorSpec
from chatvector.web.tab_vector import Look
from chatvector.web.vector_view import as_html, view
from chatvector.web.words import EN, KO


def recipe(base: str, chat: str, target: str = "demo:target") -> Recipe:
    return Recipe(target=target, vectors=(VectorSpec(base=base, chat=chat),))


def silent(_line: str) -> None:
    """Nobody listens."""


def test_the_trio_is_in_order() -> None:
    found = view(recipe("demo:base", "demo:chat"), silent)
    assert list(found.pictures) == ["sizes", "cosines", "lineage"]
    for picture in found.pictures.values():
        assert ET.fromstring(picture).tag.endswith("svg")
    assert found.check is not None
    assert found.check.lineage is not None
    assert found.check.lineage.verdict == "ok"
    shown = as_html(found, KO)
    assert f"<strong>{KO.verdict_fine}: ok</strong>" in shown
    assert shown.count("<figure>") == shown.count('role="img"') == 3
    geometry = found.check.lineage.geometry
    assert f"all that count: {geometry.total.cosine:+.3f}" in found.pictures["lineage"]


def test_the_same_models_make_the_same_pictures() -> None:
    one, other = (view(recipe("demo:base", "demo:chat"), silent) for _ in range(2))
    assert one.pictures == other.pictures


def test_a_target_that_holds_the_vector_is_said_to() -> None:
    shown = as_html(view(recipe("demo:base", "demo:chat", "demo:chat"), silent), EN)
    assert EN.verdict_refused in shown
    assert "<li>" in shown


def test_a_vector_on_disk_has_no_lineage(tmp_path: Path) -> None:
    extract("demo:base", "demo:chat", str(tmp_path / "vector"))
    stored = Recipe(target="demo:target", vectors=(VectorSpec(vector=str(tmp_path / "vector")),))
    found = view(stored, silent)
    assert list(found.pictures) == ["sizes", "cosines"]
    assert found.check is None
    assert EN.no_parents in as_html(found, EN)


def test_it_is_taken_once_and_again_after_an_error(tmp_path: Path) -> None:
    vector = tmp_path / "vector"
    look = Look(Recipe(target="demo:target", vectors=(VectorSpec(vector=str(vector)),)))
    with pytest.raises(ChatVectorError):
        look.take()
    extract("demo:base", "demo:chat", str(vector))
    assert look.take() is look.take()
