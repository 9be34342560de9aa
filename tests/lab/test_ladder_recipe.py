# SPDX-License-Identifier: Apache-2.0
"""Recipes of the ladder are strict; they know which rungs they build, from which models, and why not the others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checkpoint.names import classify
from chatvector.cli.tasks import known
from chatvector.errors import RecipeError, UsageError
from chatvector.lab.ladder import family, world
from chatvector.lab.ladder.asking import asking_of, refuse_own_judge
from chatvector.lab.ladder.making import stages_of
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import MODELS, RUNGS

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("ladder-*.yaml"))
LEAST = "base: demo:base\nchat: demo:chat\ntarget: demo:target\n"
CP = {"stage": "cp", "data": ["a.jsonl"]}
SFT = {"stage": "sft", "data": ["b.jsonl"], "chat_template": "chat"}


def recipe_of(**changes: Any) -> LadderRecipe:
    return LadderRecipe.from_mapping(yaml.safe_load(LEAST) | changes)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_recipes(path: Path) -> None:
    recipe = LadderRecipe.from_file(path)
    assert recipe.output
    assert LadderRecipe.from_yaml(recipe.to_yaml()) == recipe
    assert asking_of(recipe, known()).jobs
    for key in recipe.needed:
        kind = "demo" if str(recipe.start("base")).startswith("demo:") else "hub"
        if not recipe.stages(key):
            assert classify(str(recipe.start(key))).kind == kind


def test_there_are_the_examples_that_people_ask_for() -> None:
    targets = {str(LadderRecipe.from_file(path).target.model) for path in EXAMPLES}
    assert {"beomi/llama-2-ko-7b", "lianghsun/Llama-3.2-Taiwan-3B"} <= targets


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("scalse: [1]", "unknown key 'scalse' (did you mean 'scales'?)"),
        ("ask: {limt: 3}", "unknown key 'ask.limt' (did you mean 'limit'?)"),
        ("ft: {train: [{stage: rlhf, data: [a.jsonl]}]}", "ft.train.0.stage: Input should be 'cp', 'sft' or 'dpo'"),
        ("ft: {train: [{stage: sft, data: [a.jsonl], stpes: 3}]}", "unknown key 'ft.train.0.stpes' (did you mean"),
        ("ft: {train: [{stage: sft, data: []}]}", "ft.train.0.data"),
        ("ft: {train: [{stage: sft, model: x, data: [a]}]}", "stage 1: model is the ladder's to say"),
        ("ft: {}", "ft: names no model and no stages that train one"),
        ("ft: {same: true}", "ft: same is for chat_cp_ft only"),
        ("chat_cp_ft: {same: true}", "chat_cp_ft: same needs the stages of target and ft"),
        ("chat_cp_ft: {same: true, model: x/y}", "same: stands alone"),
        ("scales: []", "scales: name at least one scale"),
        ("scales: [0]", "scales.0: Input should be greater than 0"),
        ("scales: [.inf]", "scales.0"),
        ("rungs: [target, taget]", "rungs.1: Input should be 'target', 'target+tau', 'ft'"),
        ("rungs: [target, target]", "rungs: name each once"),
        ("rungs: [ft+tau]", "rungs: ft+tau needs ft: name that model, or train it"),
        ("weights: {safety: -1}", "weights: safety must be 0 or more"),
        ("base: demo:base", "the key 'base' comes twice"),
    ],
)
def test_slips_are_named(more: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(complaint)):
        LadderRecipe.from_yaml(f"{LEAST}{more}\n")


def test_a_base_that_is_trained_says_what_from() -> None:
    with pytest.raises(RecipeError, match="base: say what its training starts from"):
        recipe_of(base={"train": [CP]})
    assert recipe_of(base={"model": "demo:base", "train": [CP]}).start("base") == "demo:base"


def test_rungs_without_a_model_are_left_out_and_said() -> None:
    recipe = recipe_of()
    assert [rung.key for rung in recipe.wanted] == ["target", "target+tau", "chat", "base+tau"]
    assert recipe.left_out == {
        "FT": "no ft: in the recipe",
        "FT + τ": "no ft: in the recipe",
        "chat → CP → FT": "no chat_cp_ft: in the recipe",
    }
    assert recipe_of(rungs=["target"]).left_out["chat"] == "not among rungs:"


def test_models_come_after_what_they_are_trained_from() -> None:
    recipe = recipe_of(target={"train": [CP]}, ft={"train": [SFT]}, chat_cp_ft={"same": True})
    assert recipe.needed == MODELS
    assert [stage.name for key in MODELS for stage in stages_of(recipe, key)] == [
        "target.1-cp",
        "ft.1-sft",
        "chat-cp-ft.1-cp",
        "chat-cp-ft.2-sft",
    ]
    assert (recipe.start("target"), recipe.start("ft"), recipe.start("chat_cp_ft")) == ("base", "target", "chat")
    # FT alone needs its target, and chat for its template; nothing else is made
    only = recipe_of(target={"train": [CP]}, ft={"train": [SFT]}, rungs=["ft"])
    assert only.needed == ("base", "chat", "target", "ft")


def test_settings_reach_inside() -> None:
    recipe = recipe_of(ft={"train": [SFT]}).with_settings(["ask.limit=3", "scales=[1.0, 0.5, 1.0]", "output=o"])
    assert (recipe.ask.limit, recipe.scales, recipe.output) == (3, (0.5, 1.0), "o")
    assert recipe.stages("ft")[0].chat_template == "chat"
    with pytest.raises(UsageError, match=re.escape("unknown key 'skales'")):
        recipe.with_settings(["skales=[1]"])


def test_no_output() -> None:
    with pytest.raises(RecipeError, match="output: where to"):
        recipe_of().place()


@given(
    scales=st.lists(st.floats(0.01, 3), min_size=1, max_size=5),
    limit=st.none() | st.integers(1, 500),
    trained=st.booleans(),
    wanted=st.none() | st.sets(st.sampled_from([rung.key for rung in RUNGS]), min_size=1),
)
def test_yaml_there_and_back(scales: list[float], limit: int | None, trained: bool, wanted: set[str] | None) -> None:
    document: dict[str, Any] = {"scales": scales, "ask": {"suite": "demo", "limit": limit}, "ft": "demo:chat"}
    document["chat_cp_ft"] = {"train": [CP, SFT]} if trained else "demo:chat"
    document["rungs"] = None if wanted is None else [rung.key for rung in RUNGS if rung.key in wanted]
    recipe = recipe_of(**document)
    assert LadderRecipe.from_yaml(recipe.to_yaml()) == recipe
    assert {rung.title for rung in recipe.wanted} | recipe.left_out.keys() == {rung.title for rung in RUNGS}


def test_the_family_says_what_it_cannot_train() -> None:
    recipe, notes = family.family_recipe("out", can_train=False)
    assert notes["chat → CP → FT"] == family.UNTRAINED
    assert not any(recipe.stages(key) for key in MODELS)
    whole, none = family.family_recipe("out", can_train=True)
    assert none == {}
    assert {rung.key for rung in whole.wanted} == {rung.key for rung in RUNGS}


def test_tasks_that_cannot_choose_a_scale() -> None:
    judged: dict[str, Any] = {"task": ["open"], "language": ["ko"], "judge": "demo:chat"}
    with pytest.raises(UsageError, match="the scale is chosen without; add a task that rules mark"):
        asking_of(recipe_of(ask=judged), known())
    assert asking_of(recipe_of(ask=judged, scales=[1.0]), known()).cheap == ()


def test_a_rung_is_not_its_own_judge() -> None:
    """Told before anything is trained or asked; what τ is added to is not judged."""
    judged: dict[str, Any] = {"task": ["open", "memory"], "language": ["ko"], "judge": "demo:chat"}
    with pytest.raises(UsageError, match="demo:chat would judge itself"):
        refuse_own_judge(recipe_of(ask=judged))
    refuse_own_judge(recipe_of(ask=judged, rungs=["target", "target+tau"]))
    trained = {"chat": {"train": [SFT | {"chat_template": "demo:chat"}]}}
    refuse_own_judge(recipe_of(ask=judged, **trained))


def test_questions_in_no_language() -> None:
    with pytest.raises(UsageError, match="ask: language: which"):
        asking_of(recipe_of(), known())


def test_data_of_the_world(tmp_path: Path) -> None:
    path = world.text_file("demo:text-ko:3", tmp_path)
    rows = [yaml.safe_load(line) for line in Path(path).read_text("utf-8").splitlines()]
    assert [list(row) for row in rows] == [["text"]] * 3
    assert world.text_file("demo:text-ko:3", tmp_path) == path
    (said,) = Path(world.text_file("demo:text-zh-Hant:1", tmp_path)).read_text("utf-8").splitlines()
    assert "\u4e00" <= yaml.safe_load(said)["text"].strip("「>- ")[0] <= "\u9fff"
    (told,) = Path(world.text_file("demo:instructions-ko:1", tmp_path)).read_text("utf-8").splitlines()
    assert yaml.safe_load(told)["messages"][-1]["role"] == "assistant"


@pytest.mark.parametrize("name", ["demo:text-fr:3", "demo:text-ko", "demo:text-ko:0", "demo:text-ko:x"])
def test_data_that_the_world_has_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the micro-world's are demo:text-en:ROWS, demo:text-ko:ROWS"):
        world.text_file(name, tmp_path)
