# SPDX-License-Identifier: Apache-2.0
"""A hub that takes uploads, and outputs to upload."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import trio_specs, write_trio
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec
from hub_server import posing_as_the_hub
from hub_writer import TOKEN, WritableHub

LLAMA31 = "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024\n"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[WritableHub]:
    """In place of the hub that all tests share: one that takes uploads."""
    del waits
    with WritableHub() as server, posing_as_the_hub(server, monkeypatch, tmp_path / "cache", token=TOKEN):
        yield server


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards, Llama 3.1 parents."""
    folder = tmp_path_factory.mktemp("push")
    specs = trio_specs()
    for spec in specs.values():
        spec.extra_files["LICENSE"] = LLAMA31
    specs["target"].shards = 2
    trio = write_trio(folder, specs)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.5)
    recipe = Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "out"), sha256=True)
    return apply(recipe).output


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "out"))
