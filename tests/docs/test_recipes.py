# SPDX-License-Identifier: Apache-2.0
"""The recipes of examples/ and of the pages are recipes; those of the trio run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import chatvector as cv
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.recipe import Recipe
from chatvector.training.recipe import TrainingRecipe
from docs.pages import PAGES, ROOT, Block, blocks, name_of

# Those of trainings and ladders are read by tests/training and tests/lab.
OTHERS = ("train-", "ladder-")
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if not path.name.startswith(OTHERS))
YAML = [block for path in PAGES for block in blocks(name_of(path), "yaml")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_recipes(path: Path) -> None:
    recipe = Recipe.from_file(path)
    assert recipe.output
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_of_the_trio_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.from_file(path)
    if not recipe.target.startswith("demo:"):
        return
    monkeypatch.chdir(tmp_path)
    if any(vector.vector for vector in recipe.vectors):
        cv.extract("demo:base", "demo:chat", "demo-vector")
    cv.apply(recipe)
    assert (tmp_path / str(recipe.output) / "chat_vector.json").is_file()


@pytest.mark.parametrize("block", YAML, ids=str)
def test_recipes_of_the_pages(block: Block) -> None:
    if "merge_method" in block.text:
        assert yaml.safe_load(block.text)["base_model"] == "./target"
    elif "ask:" in block.text:
        LadderRecipe.from_yaml(block.text, str(block))
    elif "stage:" in block.text:
        TrainingRecipe.from_yaml(block.text, str(block))
    elif "target:" in block.text:
        Recipe.from_yaml(block.text, str(block))
    else:
        pytest.fail(f"{block}: neither a recipe nor a configuration of mergekit")
