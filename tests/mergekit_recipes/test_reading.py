# SPDX-License-Identifier: Apache-2.0
"""Which of mergekit's recipes mean a chat vector, what is said about them, and how the others are refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chatvector.errors import RecipeError
from chatvector.mergekit_recipes import Imported, read_mergekit, read_mergekit_file
from chatvector.recipe import VectorSpec
from chatvector.rerun import load_recipe
from mergekit_recipes.documents import DOCUMENTS

TARGET, BASE, CHAT = "org/target", "org/base", "org/chat"


def recipe(weights: dict[str, Any], base_model: str | None = TARGET, **more: Any) -> dict[str, Any]:
    models = [{"model": name, "parameters": {"weight": weight}} for name, weight in weights.items()]
    return {"merge_method": "task_arithmetic", "base_model": base_model, "models": models, **more}


def read(document: dict[str, Any]) -> Imported:
    found = read_mergekit(document, "r.yaml")
    assert found is not None
    return found


def vectors(document: dict[str, Any]) -> list[tuple[str | None, str | None, float]]:
    return [(vector.base, vector.chat, vector.scale) for vector in read(document).recipe.vectors]


def test_the_target_as_base_model() -> None:
    document = recipe({CHAT: 0.8, BASE: -0.8})
    assert read(document).recipe.target == TARGET
    assert vectors(document) == [(BASE, CHAT, 0.8)]


def test_the_base_as_base_model() -> None:
    document = recipe({TARGET: 1.0, CHAT: 0.8}, BASE)
    assert read(document).recipe.target == TARGET
    assert vectors(document) == [(BASE, CHAT, 0.8)]


@pytest.mark.parametrize(
    ("weights", "meant"),
    [
        (
            {CHAT: 1.0, BASE: -0.5},
            "for org/target + 1 · (org/chat − org/base) write {model: org/base, parameters: {weight: -1}};"
            " for org/chat − 0.5 · (org/base − org/target) say chatvector apply org/chat --base org/target"
            " --chat org/base --scale -0.5",
        ),
        (
            {CHAT: 0.8, BASE: -0.7},
            "for org/target + 0.8 · (org/chat − org/base) write {model: org/base, parameters: {weight: -0.8}}",
        ),
        (
            {CHAT: 1, "org/code": 0.5, BASE: -1},
            "for org/target + 1 · (org/chat − org/base) + 0.5 · (org/code − org/base) write {model: org/base,"
            " parameters: {weight: -1.5}}",
        ),
        ({BASE: -0.5}, "say it with chatvector apply TARGET --base BASE --chat CHAT"),
    ],
)
def test_weights_that_do_not_cancel_are_a_slip(weights: dict[str, float], meant: str) -> None:
    listed = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    with pytest.raises(RecipeError) as caught:
        read(recipe(weights))
    assert str(caught.value) == (
        f"r.yaml: no chat vector: with base_model org/target and the weights {listed}, +s and −s do not cancel; {meant}"
    )


def test_a_slip_beside_lambda_has_one_meaning_only() -> None:
    with pytest.raises(RecipeError) as caught:
        read(recipe({CHAT: 1.0, BASE: -0.5}, parameters={"lambda": 0.5}))
    assert str(caught.value).endswith(
        "do not cancel; for org/target + 0.5 · (org/chat − org/base) write {model: org/base, parameters: {weight: -1}}"
    )


def test_two_models_that_are_taken_away() -> None:
    with pytest.raises(RecipeError, match=r"org/old -0\.5, 2 are negative, where a chat vector has one base; say"):
        read(recipe({CHAT: 1, BASE: -0.5, "org/old": -0.5}))


def test_the_line_that_a_slip_is_answered_with_is_a_recipe() -> None:
    weights = {CHAT: 1.0, "org/code": 0.5, BASE: -0.5}
    with pytest.raises(RecipeError) as caught:
        read(recipe(weights))
    line = yaml.safe_load(str(caught.value).partition(" write ")[2])
    assert vectors(recipe(weights | {line["model"]: line["parameters"]["weight"]})) == [
        (BASE, CHAT, 1.0),
        (BASE, "org/code", 0.5),
    ]


def test_several_chat_models() -> None:
    assert vectors(recipe({CHAT: 0.1, "org/code": 0.2, BASE: -0.3})) == [(BASE, CHAT, 0.1), (BASE, "org/code", 0.2)]
    listed = vectors(recipe({CHAT: 0.5, TARGET: 1, "org/code": 0.25}, BASE))
    assert listed == [(BASE, CHAT, 0.5), (BASE, "org/code", 0.25)]


def test_base_model_among_the_models_has_no_difference() -> None:
    assert vectors(recipe({TARGET: 1.0, CHAT: 0.5, BASE: -0.5})) == [(BASE, CHAT, 0.5)]
    document = recipe({CHAT: 0.5, BASE: -0.5})
    document["models"].insert(0, {"model": TARGET})
    assert vectors(document) == [(BASE, CHAT, 0.5)]


def test_lambda_scales_the_vector() -> None:
    assert vectors(recipe({CHAT: 1, BASE: -1}, parameters={"lambda": 0.5})) == [(BASE, CHAT, 0.5)]


def test_settings_that_change_nothing_here() -> None:
    parameters = {"normalize": False, "int8_mask": True}
    assert vectors(recipe({CHAT: 1, BASE: -1}, parameters=parameters)) == [(BASE, CHAT, 1.0)]


@given(st.floats(0.01, 3).filter(lambda scale: scale != 1), st.booleans())
def test_both_shapes_mean_the_same(scale: float, base_first: bool) -> None:
    pair = [(CHAT, scale), (BASE, -scale)]
    one = read(recipe(dict(pair[::-1] if base_first else pair))).recipe
    two = read(recipe({TARGET: 1.0, CHAT: scale}, BASE)).recipe
    assert one == two
    assert one.vectors == (VectorSpec(base=BASE, chat=CHAT, scale=scale),)


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        (
            recipe({CHAT: 0.8, BASE: -0.8}, dtype="float32"),
            [
                "read as org/target + 0.8 · (org/chat − org/base)",
                "mergekit would take tokenizer, chat template and generation settings from its base_model org/target;"
                " here they are org/target's, with template, stop ids and token rows of org/chat",
                "the output keeps each dtype of the target, whatever dtype says",
            ],
        ),
        (
            recipe({TARGET: 1, CHAT: 0.8}, BASE, dtype="bfloat16", out_dtype="float16"),
            [
                "from its base_model org/base, and lose every token that only org/target has; here they are org",
                "mergekit would compute in bfloat16; here it is float32 or wider, rounded once",
                "the output keeps each dtype of the target, whatever out_dtype says",
            ],
        ),
        (
            recipe({CHAT: 1, BASE: -1}, tokenizer={"source": "union"}, chat_template="chatml"),
            [
                "tokenizer and chat template from all models together, and write no generation_config.json; here",
                "chat_template 'chatml' is not followed: the chat model's own is taken; for another one --set",
                "mergekit would compute in the dtype of the files",
            ],
        ),
        (
            recipe({TARGET: 1, CHAT: 0.5}, BASE, tokenizer_source=CHAT, chat_template="{{ messages }}"),
            ["chat template from org/chat, and write no", "chat_template a template of its own is not followed"],
        ),
        (recipe({CHAT: 1, BASE: -1}, tokenizer_source="base"), ["chat template from its base_model org/target, and"]),
    ],
)
def test_what_the_other_tool_would_have_done_is_said(document: dict[str, Any], parts: list[str]) -> None:
    notes = read(document).notes
    assert not [part for part in parts if not any(part in note for note in notes)], notes


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"merge_method": "slerp"}, "merge_method slerp is no chat vector; only task_arithmetic adds chat − base"),
        ({"merge_method": "ties"}, "merge_method ties is no chat vector"),
        ({"merge_method": "linear"}, "merge_method linear is no chat vector"),
        (recipe({CHAT: 1}, slices=[]), "mergekit recipe with slices: layers are taken from different models"),
        (recipe({CHAT: 1}, modules={}), "mergekit recipe with modules: parts of a model are merged apart"),
        (recipe({CHAT: 1, BASE: -1}, dtpye="float32"), "unknown keys dtpye .mergekit would ignore them."),
        (recipe({CHAT: 1, BASE: -1}, dtype="int8"), "dtype: 'int8' is none of float64, float32, bfloat16, float16"),
        (recipe({CHAT: [0, 1], BASE: -1}), "weight of org/chat: is a gradient over layers; only one number a model"),
        (
            recipe({CHAT: [{"filter": "mlp", "value": 1}], BASE: -1}),
            "weight of org/chat: is a list of filters; only one number a model is read. Here that is scale_tensors",
        ),
        (recipe({CHAT: "1", BASE: -1}), "weight of org/chat: '1' is no finite number"),
        (recipe({CHAT: True, BASE: -1}), "weight of org/chat: True is no finite number"),
        (recipe({CHAT: float("nan"), BASE: -1}), "weight of org/chat: nan is no finite number"),
        (recipe({CHAT: 10**400, BASE: -1}), "weight of org/chat: 1000+… is no finite number"),
        (recipe({CHAT: {"a": 1}, BASE: -1}), "weight of org/chat: a mapping is no finite number"),
        (recipe({CHAT: 1e308, BASE: -1e308}, parameters={"lambda": 10}), "parameters.lambda 10 times the weights"),
        (recipe({CHAT: 1e308, "org/code": 1e308, BASE: -1}), "no chat vector: "),
        (recipe({CHAT: 1, BASE: -1}, parameters={3: 4, "x": False}), "parameters 3, x change or mean nothing"),
        (recipe({CHAT: 1, BASE: -1}, tokenizer={3: 4, "a": 1}), "tokenizer: 3, a cannot be kept"),
        (recipe({CHAT: 1, BASE: -1}, tokenizer={"source": ["x"]}), "tokenizer.source names no model"),
        (recipe({CHAT: 1, BASE: -1}, tokenizer=[]), "tokenizer: must be a mapping"),
        (recipe({CHAT: 1, BASE: -1}, tokenizer_source=3), "tokenizer_source names no model"),
        (recipe({CHAT: 1, BASE: -1}, chat_template=3), "chat_template: 3 is neither a name nor a template"),
        (recipe({CHAT: 1, BASE: -1}, dtype=["float32"]), "dtype: a list is none of float64"),
        (recipe({"~nobody/a+b": 1, BASE: -1}), "~nobody/a.b: is a model with a LoRA"),
        ({"merge_method": ["task_arithmetic"]}, "merge_method a list is no chat vector"),
        (recipe({CHAT: 1, BASE: -1}, parameters={"normalize": True}), "parameters.normalize divides by the sum"),
        (recipe({CHAT: 1, BASE: -1}, parameters={"density": 0.5}), "parameters density change or mean nothing"),
        (recipe({CHAT: 1, BASE: -1}, parameters=[1]), "parameters: must be a mapping"),
        (recipe({TARGET: 1, CHAT: 0.5}, BASE, parameters={"lambda": 0.5}), "parameters.lambda 0.5 would scale"),
        (recipe({CHAT: 1, BASE: -1}, tokenizer={"tokens": {}}), "tokenizer: tokens cannot be kept; rows meet by token"),
        (recipe({CHAT: 1, BASE: -1}, tokenizer={"pad_to_multiple_of": 8}), "tokenizer: pad_to_multiple_of cannot be"),
        (recipe({CHAT: 0.8, BASE: -0.7}), "no chat vector: with base_model org/target and the weights org/chat 0.8, "),
        (recipe({CHAT: 0.8}, BASE), "no chat vector: with base_model org/base and the weights org/chat 0.8"),
        (recipe({TARGET: 1.0}, BASE), "no chat vector: "),
        (recipe({TARGET: 0.7, CHAT: 0.8}, BASE), "no chat vector: "),
        (
            recipe({TARGET: 1, CHAT: 1}, BASE),
            "org/target and org/chat both have weight 1: only you know which is the target. chatvector apply org/target"
            " --base org/base --chat org/chat, or",
        ),
        (recipe({"org/chat+org/lora": 1, BASE: -1}), "org/chat.org/lora: is a model with a LoRA .after the"),
        (recipe({CHAT: 1, BASE: -1}, base_model=None), "base_model names no model"),
        (recipe({}), "models must be a list of models"),
        ({"merge_method": "task_arithmetic", "base_model": TARGET, "models": "all"}, "models must be a list"),
        ({"merge_method": "task_arithmetic", "base_model": TARGET, "models": ["a"]}, r"models.0.: must be a mapping"),
        (
            {"merge_method": "task_arithmetic", "base_model": TARGET, "models": [{"model": {"path": "x"}}]},
            r"models.0..model: write the model's name as text, name@revision for a revision",
        ),
        ({"merge_method": "task_arithmetic", "base_model": TARGET, "models": [{"model": CHAT}]}, "org/chat: has no w"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_its_name(document: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=f"^r.yaml: {message}") as caught:
        read_mergekit(document, "r.yaml")
    assert "\n" not in str(caught.value)


def test_a_model_listed_twice() -> None:
    document = recipe({CHAT: 1, BASE: -1})
    document["models"].append(document["models"][0])
    with pytest.raises(RecipeError, match=r"^r.yaml: org/chat: is listed twice"):
        read_mergekit(document, "r.yaml")


def test_one_weight_for_all_models() -> None:
    document = recipe({TARGET: 1.0, CHAT: 0.5}, BASE, parameters={"weight": 0.5})
    del document["models"][1]["parameters"]
    assert vectors(document) == [(BASE, CHAT, 0.5)]


@pytest.mark.parametrize(("more", "named"), [({"density": 0.5}, "density"), ({3: 4, "x": 1, None: 2}, "3, None, x")])
def test_settings_of_a_model_that_mean_nothing_here(more: dict[Any, Any], named: str) -> None:
    document = recipe({CHAT: 1, BASE: -1})
    document["models"][0]["parameters"] |= more
    with pytest.raises(RecipeError, match=f"org/chat: {named} change or mean nothing in a chat vector"):
        read_mergekit(document, "r.yaml")


@given(DOCUMENTS)
def test_any_document_is_a_recipe_or_one_clear_error(document: Any) -> None:
    with suppress(RecipeError):
        read_mergekit(document, "r.yaml")


def test_what_is_written_without_a_value_is_not_there() -> None:
    assert vectors(recipe({CHAT: 1, BASE: -1}, parameters=None, tokenizer=None)) == [(BASE, CHAT, 1.0)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("base_model: org/other\n", "the key 'base_model' comes twice"),
        ("x: 0x" + "f" * 5000 + "\n", "a value cannot be read: Exceeds the limit"),
    ],
)
def test_texts_that_hold_no_one_value(tmp_path: Path, text: str, problem: str) -> None:
    place = tmp_path / "r.yaml"
    place.write_text(yaml.safe_dump(recipe({CHAT: 1, BASE: -1})) + text)
    with pytest.raises(RecipeError, match=f"r.yaml: no valid YAML .{problem}"):
        load_recipe(place, [], None)


def test_a_plus_in_a_path_that_is_there_is_a_plus(tmp_path: Path) -> None:
    place = tmp_path / "chat+v2"
    place.mkdir()
    assert vectors(recipe({str(place): 1, BASE: -1})) == [(BASE, str(place), 1.0)]


@pytest.mark.parametrize("document", [{"target": "x"}, [], "text", None, {"models": []}])
def test_other_documents_are_none_of_theirs(document: object) -> None:
    assert read_mergekit(document, "r.yaml") is None


def test_files(tmp_path: Path) -> None:
    place = tmp_path / "r.yaml"
    assert read_mergekit_file(place) is None
    place.write_bytes(b"\xff\xfe")
    assert read_mergekit_file(place) is None
    place.write_text("merge_method: [")
    assert read_mergekit_file(place) is None
    place.write_text(yaml.safe_dump(recipe({CHAT: 1, BASE: -1})))
    assert read_mergekit_file(place) is not None
