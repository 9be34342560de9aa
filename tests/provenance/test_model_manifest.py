# SPDX-License-Identifier: Apache-2.0
"""A manifest of a model with any part missing or of another kind is refused in one line, by whatever reads it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from builders import trio_specs, write_trio
from chatvector.errors import ChatVectorError, DamagedFile
from chatvector.pipeline import apply
from chatvector.preparation import Job, prepare
from chatvector.provenance.card import model_card
from chatvector.provenance.manifest import MANIFEST, parse_manifest, publishable, to_bytes
from chatvector.provenance.publication import prepare_publication
from chatvector.recipe import Recipe, VectorSpec
from chatvector.rerun import changed_parents, recipe_of
from chatvector.verification import verify

OTHER_KINDS: tuple[Any, ...] = (None, True, -3, 0.5, "x", [], ["x"], [[]], {}, {"x": 1})
GONE = object()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Job]:
    """An output, its manifest, and the plan of its parents."""
    folder = tmp_path_factory.mktemp("manifest")
    trio = write_trio(folder, trio_specs())
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale_role={"mlp": 0.5})
    recipe = Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "out"), sha256=True)
    apply(recipe)
    with ExitStack() as stack:
        job = prepare(recipe, stack, lambda _line: None)
    return folder / "out", json.loads((folder / "out" / MANIFEST).read_text("utf-8")), job


def places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every part of a document; of mappings from names to the like, the first two."""
    if place:
        yield place
    if isinstance(value, dict):
        alike = len(value) > 4 and place[-1:] and place[-1] in ("tensors", "files", "side_files", "layers", "roles")
        for key in list(value)[: 2 if alike else None]:
            yield from places(value[key], (*place, key))
    elif isinstance(value, list):
        for number in range(min(2, len(value))):
            yield from places(value[number], (*place, number))


def changed(document: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    found = copy.deepcopy(document)
    inside: Any = found
    for key in place[:-1]:
        inside = inside[key]
    if value is GONE:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return found


def refused(read: Callable[[], object]) -> bool:
    """Whether it is refused, in one line; anything but our own errors goes on."""
    try:
        read()
    except ChatVectorError as problem:
        return "\n" not in str(problem)
    return False


def test_no_damage_passes_the_check_and_breaks_what_reads_it(made: tuple[Path, dict[str, Any], Job]) -> None:
    output, whole, job = made
    outcomes = {True: 0, False: 0}
    for place in places(whole):
        for value in (GONE, *OTHER_KINDS):
            damaged = changed(whole, place, value)
            (output / MANIFEST).write_bytes(to_bytes(damaged))
            told = refused(lambda: parse_manifest((output / MANIFEST).read_bytes(), MANIFEST))
            outcomes[told] += 1
            if told:
                continue
            refused(lambda damaged=damaged: changed_parents(damaged, job))
            refused(lambda damaged=damaged: recipe_of(damaged, str(output / MANIFEST)))
            refused(lambda damaged=damaged: recipe_of(publishable(damaged), str(output / MANIFEST)))
            refused(lambda damaged=damaged: model_card(damaged, "org/name"))
            refused(lambda: prepare_publication(output, "org/name"))
    (output / MANIFEST).write_bytes(to_bytes(whole))
    assert outcomes[True] > 1000
    assert outcomes[False] > 100


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("files", "config.json"), {}, r"files\.config\.json\.bytes: Field required"),
        (("parents",), [], r"parents: Input should be .* dictionary"),
        (("recipe",), GONE, r"recipe: Field required"),
        (("recipe", "vectors", 0, "scale"), "1", r"recipe\.vectors\.0\.scale: Input should be a valid number"),
        (("origins", "target"), GONE, r"Value error, lacks origins\.target"),
        (("parents", "vectors.0.base"), GONE, r"Value error, lacks parents\.vectors\.0\.base"),
    ],
)
def test_the_line_says_what_is_wrong(
    made: tuple[Path, dict[str, Any], Job], place: tuple[str | int, ...], value: Any, words: str
) -> None:
    output, whole, _ = made
    (output / MANIFEST).write_bytes(to_bytes(changed(whole, place, value)))
    try:
        with pytest.raises(DamagedFile, match=rf"chat_vector\.json: is no whole manifest \({words}"):
            verify(str(output), generate=False)
    finally:
        (output / MANIFEST).write_bytes(to_bytes(whole))


def test_a_licence_that_only_another_version_knows_is_named(made: tuple[Path, dict[str, Any], Job]) -> None:
    _, whole, _ = made
    licences = copy.deepcopy(whole["licences"])
    licences["parents"][0]["licences"] = ["llama9"]
    licences["rules"] = [{"licence": "llama9", "rule": "commercial", "text": "none at all", "clause": ""}]
    card = model_card({**whole, "licences": licences}, "org/name")
    assert "- target: llama9" in card
    assert "above none at all users" in card
