# SPDX-License-Identifier: Apache-2.0
"""Any value of any JSON of any parent, header, vector or manifest may be nonsense: a result, or one of our errors.

What a long run of such mutations found is in the tables of faults; this short run looks for the next one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import trio_specs, write_trio
from chatvector.errors import ChatVectorError
from chatvector.extraction import extract
from chatvector.messages import silent
from chatvector.pipeline import apply
from chatvector.preparation import prepare
from chatvector.recipe import Recipe
from chatvector.rerun import load_recipe

NONSENSE: list[Any] = [
    None, True, -1, 0, 1, 63, 65, 2**63, 10**40, 1.5, float("nan"), "", "x", "\ud800", "a\nb", "</s>", "y" * 5000, [],
    {}, ["x"], [[]], {"a": 1}, {"content": "<|end|>"}, {"content": 5}, "BF16", "F8_E4M3", "../x", "a/b.safetensors",
    "{% continue %}", [{"name": "a", "template": "x"}],
]  # fmt: skip
REMOVED = object()
PARENTS = [
    f"{role}/{name}"
    for role, shards in (("base", True), ("chat", False), ("target", True))
    for name in (
        "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
        *(["model.safetensors.index.json", "model-00001-of-00002.safetensors"] if shards else ["model.safetensors"]),
    )
]  # fmt: skip
VECTOR = ["chat_vector.json", "chat/config.json", "base/tokenizer.json", "chat_rows.safetensors", "vector.safetensors"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A trio, its vector and its merge, of which every example spoils a copy. Nothing waits for the disk here."""
    top = tmp_path_factory.mktemp("mutations")
    specs = trio_specs()
    specs["base"].shards = specs["target"].shards = 2
    trio = write_trio(top / "clean", specs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda _descriptor: None, raising=False)
        extract(str(trio.base), str(trio.chat), str(top / "vector"), threads=1)
        apply(recipe(top / "clean", top / "model"))
        yield top


def recipe(parents: Path, output: Path, vector: Path | None = None) -> Recipe:
    pair = {"base": str(parents / "base"), "chat": str(parents / "chat")}
    vectors = [pair if vector is None else {"vector": str(vector)}]
    return Recipe.from_mapping(
        {"target": str(parents / "target"), "vectors": vectors, "output": str(output), "threads": 1}
    )


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a parsed JSON, of long lists the first ones."""
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list):
        for number, value in enumerate(document[:5]):
            yield from places(value, (*path, number))


def spoil(file: Path, data: st.DataObject) -> None:
    """Put nonsense into one place of a JSON file, or of the header of a safetensors file."""
    raw = file.read_bytes()
    size = 8 + int.from_bytes(raw[:8], "little") if file.suffix == ".safetensors" else 0
    document = json.loads(raw[8:size] if size else raw)
    *way, last = data.draw(st.sampled_from([path for path in places(document) if path]))
    value = data.draw(st.sampled_from([REMOVED, *NONSENSE]))
    inner = document
    for step in way:
        inner = inner[step]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    text = json.dumps(document).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + raw[size:] if size else text)


def answers(recipe: Recipe) -> None:
    """Run it: an output, or one short line and nothing left behind."""
    assert recipe.output is not None
    output = Path(recipe.output)
    try:
        apply(recipe)
    except ChatVectorError as error:
        line = str(error)
        line.encode()
        assert "\n" not in line
        assert len(line) < 4000
        assert error.exit_code in (2, 3)  # noqa: PT017
        assert list(output.parent.glob("*out*")) == []
    else:
        shutil.rmtree(output)


@given(st.sampled_from(PARENTS), st.sampled_from(["auto", "target"]), st.data())
@settings(max_examples=100)
def test_a_parent(place: Path, name: str, chat_format: str, data: st.DataObject) -> None:
    spoilt = place / "spoilt"
    shutil.rmtree(spoilt, ignore_errors=True)
    shutil.copytree(place / "clean", spoilt)
    spoil(spoilt / name, data)
    answers(recipe(spoilt, place / "out").model_copy(update={"chat_format": chat_format}))


@given(st.sampled_from(VECTOR), st.data())
@settings(max_examples=40)
def test_a_vector(place: Path, name: str, data: st.DataObject) -> None:
    spoilt = place / "spoilt"
    shutil.rmtree(spoilt, ignore_errors=True)
    shutil.copytree(place / "vector", spoilt)
    spoil(spoilt / name, data)
    answers(recipe(place / "clean", place / "out", spoilt))


@given(st.data())
@settings(max_examples=40)
def test_a_manifest(place: Path, data: st.DataObject) -> None:
    """As far as the plan and the comparison of parents: what comes after reads the manifest no more."""
    file = place / "spoilt.json"
    shutil.copy(place / "model" / "chat_vector.json", file)
    spoil(file, data)
    try:
        loaded = load_recipe(file, [], str(place / "out"))
        with ExitStack() as stack:
            loaded.check(prepare(loaded.recipe, stack, silent))
    except ChatVectorError as error:
        # Some nonsense reads as the name of a hub model, which is not to be had offline.
        assert error.exit_code in (2, 3) or "HF_HUB_OFFLINE is set" in str(error)  # noqa: PT017
