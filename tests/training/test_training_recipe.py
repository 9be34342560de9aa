# SPDX-License-Identifier: Apache-2.0
"""Recipes of training are strict, and those of examples/ are recipes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatvector.errors import MissingInput, RecipeError, UsageError
from chatvector.training.recipe import TrainingRecipe

ROOT = Path(__file__).parents[2]
LEAST = "stage: sft\nmodel: demo:chat\ndata: [a.jsonl]\n"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("train-*.yaml")), ids=lambda path: path.stem)
def test_examples_are_recipes(path: Path) -> None:
    recipe = TrainingRecipe.from_file(path)
    assert recipe.output
    assert path.stem.removeprefix("train-") == recipe.stage
    assert TrainingRecipe.from_yaml(recipe.to_yaml()) == recipe


def test_there_is_an_example_of_every_stage() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("train-*")} == {"train-cp", "train-sft", "train-dpo"}


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("stpes: 3", "unknown key 'stpes' (did you mean 'steps'?)"),
        ("lora: {rnk: 3}", "unknown key 'lora.rnk' (did you mean 'rank'?)"),
        ("stage: sft", "the key 'stage' comes twice"),
        ("steps: 0", "steps: Input should be greater than or equal to 1"),
        ("learning_rate: .nan", "learning_rate"),
        ("steps: 3\nepochs: 2", "epochs and steps: both say when to stop"),
        ("beta: 0.2", "beta: has a meaning for stage dpo only, not for sft"),
        ("packing: false", "packing: has a meaning for stage cp only"),
        ("columns: {text: body}", "columns: sft reads completion, messages, prompt, not text"),
        ("device: gpu", "device: Input should be 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_slips_are_named(more: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(complaint)):
        TrainingRecipe.from_yaml(f"{LEAST}{more}\n")


def test_unknown_stage() -> None:
    with pytest.raises(RecipeError, match="stage: Input should be 'cp', 'sft' or 'dpo'"):
        TrainingRecipe.from_yaml(LEAST.replace("sft", "rlhf"))


def test_plain_text_has_no_template() -> None:
    with pytest.raises(RecipeError, match="chat_template: plain text has no template"):
        TrainingRecipe.from_yaml(LEAST.replace("sft", "cp") + "chat_template: demo:chat\n")


def test_no_data_is_an_error() -> None:
    with pytest.raises(RecipeError, match="data"):
        TrainingRecipe.from_yaml(LEAST.replace("[a.jsonl]", "[]"))


def test_no_such_recipe(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no such recipe"):
        TrainingRecipe.from_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("stage", "lora", "rate"),
    [("sft", "", 2e-5), ("sft", "lora: {}", 2e-4), ("dpo", "", 1e-6), ("cp", "learning_rate: 0.5", 0.5)],
)
def test_learning_rates(stage: str, lora: str, rate: float) -> None:
    recipe = TrainingRecipe.from_yaml(LEAST.replace("sft", stage) + lora)
    assert recipe.rate == pytest.approx(rate)


def test_settings_reach_inside() -> None:
    recipe = TrainingRecipe.from_yaml(LEAST + "lora: {rank: 8}\n").with_settings(["lora.alpha=4", "steps=5"])
    assert recipe.lora is not None
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.steps) == (8, 4, 5)
    with pytest.raises(RecipeError, match="unknown key 'stpes'"):
        recipe.with_settings(["stpes=5"])
    with pytest.raises(UsageError, match="write key=value"):
        recipe.with_settings(["steps"])
    with pytest.raises(UsageError, match=r"the recipe has no optimizer\.eps"):
        recipe.with_settings(["optimizer.eps=5"])


def test_names_do_not_decide_the_weights() -> None:
    one = TrainingRecipe.from_yaml(LEAST)
    other = TrainingRecipe.from_yaml(LEAST.replace("a.jsonl", "b.jsonl") + "output: elsewhere\nsave_every: 3\n")
    assert one.identity() == other.identity()
    assert one.identity() != one.model_copy(update={"seed": 1}).identity()
