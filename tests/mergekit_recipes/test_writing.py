# SPDX-License-Identifier: Apache-2.0
"""Our recipes as mergekit's, and both through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from builders import DTYPES, F32, Trio, load_weights, trio_specs, write_trio, write_weights
from chatvector.cli.main import app
from chatvector.errors import RecipeError, UsageError
from chatvector.mergekit_recipes import DTYPE_WORDS, read_mergekit, write_mergekit
from chatvector.recipe import Recipe, VectorSpec

PAIR = VectorSpec(base="org/base", chat="org/chat", scale=0.8)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["run", *words], prog_name="chatvector")


def written(trio: Trio, folder: Path) -> Path:
    """Our recipe for a trio."""
    place = folder / "ours.yaml"
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.5)
    place.write_text(Recipe(target=str(trio.target), vectors=(vector,)).to_yaml(), "utf-8")
    return place


def test_a_recipe_is_written_in_the_exact_setting() -> None:
    text = write_mergekit(Recipe(target="org/target", vectors=(PAIR,)))
    assert text.startswith("# Written by chatvector for mergekit")
    assert yaml.safe_load(text) == {
        "merge_method": "task_arithmetic",
        "base_model": "org/target",
        "models": [
            {"model": "org/chat", "parameters": {"weight": 0.8}},
            {"model": "org/base", "parameters": {"weight": -0.8}},
        ],
        "parameters": {"normalize": False},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


@pytest.mark.parametrize(("code", "dtype"), [("F16", "float32"), ("F32", "float32"), ("F64", "float64")])
def test_the_output_is_asked_for_in_the_dtype_that_ours_has(tmp_path: Path, code: str, dtype: str) -> None:
    trio = write_trio(tmp_path, trio_specs(dtype=DTYPES[code]))
    out_dtype = DTYPE_WORDS[code]
    result = run(str(written(trio, tmp_path)), "--export", "mergekit")
    assert result.exit_code == 0, result.output
    document = yaml.safe_load(result.stdout)
    assert (document["dtype"], document["out_dtype"]) == (dtype, out_dtype)
    assert f"computed in {dtype}, written in {out_dtype}." in result.stdout.splitlines()[0]
    assert result.stderr == ""


def test_a_target_in_two_dtypes(tmp_path: Path) -> None:
    trio = write_trio(tmp_path)
    weights = load_weights(trio.target)
    weights["model.norm.weight"] = weights["model.norm.weight"].astype(F32)
    write_weights(trio.target, weights)
    result = run(str(written(trio, tmp_path)), "--export", "mergekit")
    assert yaml.safe_load(result.stdout)["out_dtype"] == "bfloat16"
    assert "is stored in bfloat16, float32: here each tensor would keep its own, mergekit writes all in bfloat16" in (
        result.stderr
    )


def test_a_target_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    place = tmp_path / "recipe.yaml"
    place.write_text(Recipe(target="org/target", vectors=(PAIR,)).to_yaml(), "utf-8")
    result = run(str(place), "--export", "mergekit")
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["out_dtype"] == "bfloat16"
    assert "warning: the target's dtype is not known: out_dtype: bfloat16 is a guess, correct it where" in result.stderr


def test_export_does_nothing_else(trio: Trio, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"leave out --output, --dry-run, > FILE keeps the recipe"):
        CliRunner().invoke(
            app,
            ["run", str(written(trio, tmp_path)), "--export", "mergekit", "-o", "x", "--dry-run"],
            catch_exceptions=False,
        )


@pytest.mark.parametrize("name", ["s3://models/recipe.yaml", "https://example.org/recipe.yaml"])
def test_a_recipe_is_no_url(name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: is a URL, a path on this machine is taken here; download it first"):
        CliRunner().invoke(app, ["run", name], catch_exceptions=False)


@given(st.lists(st.floats(0.01, 2), min_size=1, max_size=3))
def test_what_was_written_reads_back(scales: list[float]) -> None:
    specs = tuple(VectorSpec(base="org/base", chat=f"org/chat-{n}", scale=scale) for n, scale in enumerate(scales))
    recipe = Recipe(target="org/target", vectors=specs)
    found = read_mergekit(yaml.safe_load(write_mergekit(recipe)), "r.yaml")
    assert found is not None
    assert found.recipe == recipe


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"vectors": [{"vector": "vec"}]}, "vectors.0.vector .a vector on disk."),
        ({"vectors": [{**PAIR.model_dump(exclude_defaults=True), "scale_role": {"norm": 0}}]}, "vectors.0.scale_role"),
        ({"vectors": [{**PAIR.model_dump(exclude_defaults=True), "scale_layers": {"0": 0}}]}, "vectors.0.scale_layers"),
        ({"vocabulary": "skip"}, "vocabulary: skip"),
        ({"chat_format": "vector:1"}, "chat_format: vector:1"),
        ({"system_prompt": "none", "vocabulary": "strict"}, "vocabulary: strict, system_prompt"),
    ],
)
def test_what_the_other_tool_lacks_is_refused_by_name(recipe: dict[str, Any], message: str) -> None:
    document = {"target": "org/target", "vectors": [PAIR.model_dump(exclude_defaults=True)], **recipe}
    with pytest.raises(
        RecipeError, match=f"^mergekit has nothing for {message}; take it out of the recipe, or merge h"
    ):
        write_mergekit(Recipe.from_mapping(document))


@pytest.mark.parametrize("sign", ["@", "+"])
def test_a_path_that_it_would_misread_is_refused(sign: str, tmp_path: Path) -> None:
    place = tmp_path / f"target{sign}v2"
    place.mkdir()
    with pytest.raises(RecipeError, match=r"mergekit reads @ as a revision and . as a LoRA; rename the directory"):
        write_mergekit(Recipe(target=str(place), vectors=(PAIR,)))


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Trio:
    return write_trio(tmp_path_factory.mktemp("models"))


def test_paths_are_written_absolute(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trio.target.parent)
    text = write_mergekit(Recipe(target="./target", vectors=(VectorSpec(base="base", chat="./chat"),)))
    assert yaml.safe_load(text)["base_model"] == str(trio.target)
    assert [model["model"] for model in yaml.safe_load(text)["models"]] == [str(trio.chat), str(trio.base)]


@pytest.mark.parametrize("shape", ["target first", "base first"])
def test_their_recipe_makes_our_model(trio: Trio, shape: str, tmp_path: Path) -> None:
    ours, theirs = written(trio, tmp_path), tmp_path / "theirs.yaml"
    weights = {trio.chat: 0.5, trio.base: -0.5} if shape == "target first" else {trio.target: 1, trio.chat: 0.5}
    models = [{"model": str(name), "parameters": {"weight": weight}} for name, weight in weights.items()]
    base_model = str(trio.target if shape == "target first" else trio.base)
    document = {"merge_method": "task_arithmetic", "base_model": base_model, "models": models, "dtype": "float32"}
    theirs.write_text(yaml.safe_dump(document))
    for recipe, name in ((ours, "a"), (theirs, "b")):
        result = run(str(recipe), "-o", str(tmp_path / name))
        assert result.exit_code == 0, result.output
    one, two = load_weights(tmp_path / "a"), load_weights(tmp_path / "b")
    assert {name: values.tobytes() for name, values in one.items()} == {n: v.tobytes() for n, v in two.items()}
    assert (tmp_path / "b" / "README.md").read_bytes() == (tmp_path / "a" / "README.md").read_bytes()


def test_notes_go_to_stderr_and_settings_still_work(trio: Trio, tmp_path: Path) -> None:
    place = tmp_path / "theirs.yaml"
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.5)
    place.write_text(write_mergekit(Recipe(target=str(trio.target), vectors=(vector,))))
    result = run(str(place), "--set", "vectors.0.scale=0.25", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["recipe"]["vectors"][0]["scale"] == 0.25
    assert "mergekit recipe: read as" in result.stderr
    assert "would take tokenizer, chat template and generation settings from its base_model" in result.stderr


def test_export_from_a_recipe_and_from_a_manifest(trio: Trio, tmp_path: Path) -> None:
    place = written(trio, tmp_path)
    printed = run(str(place), "--export", "mergekit")
    assert printed.exit_code == 0, printed.output
    assert yaml.safe_load(printed.stdout)["base_model"] == str(trio.target)
    assert run(str(place), "-o", str(tmp_path / "out"), "-q").exit_code == 0
    again = run(str(tmp_path / "out" / "chat_vector.json"), "--export", "mergekit", "--json")
    assert json.loads(again.stdout) == {"tool": "mergekit", "recipe": printed.stdout}
