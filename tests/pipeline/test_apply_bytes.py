# SPDX-License-Identifier: Apache-2.0
"""Promises 1 to 3 and 6 on whole models: `apply` against the reference, bit for bit."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import load_weights
from chatvector import pipeline, preparation
from chatvector.arithmetic.plan import Plan
from chatvector.arithmetic.roles import assign_roles
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.pipeline import Result
from chatvector.recipe import Recipe
from trios import EMBEDDING, HEAD, Trio, expected, trios

scales = st.sampled_from([1.0, 0.8, -0.7, 1.9, 1 / 3])


def run(trio: Trio, folder: Path, vectors: list[dict[str, Any]], **recipe: Any) -> Result:
    """Write the trio, apply with these settings of the vectors."""
    target, pairs = trio.write(folder)
    specs = [{"base": base, "chat": chat, **own} for (base, chat), own in zip(pairs, vectors, strict=True)]
    return pipeline.apply(
        Recipe.from_mapping({"target": target, "vectors": specs, "output": str(folder / "out"), **recipe})
    )


def transplanted(result: Result) -> list[str]:
    """Template tokens whose rows were copied, in the order of the chat model's ids."""
    return [one["token"] for one in result.manifest["vocabulary"]["template_tokens"] if one["done"] == "transplanted"]


def assert_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert {name: (value.dtype, value.shape) for name, value in found.items()} == {
        name: (value.dtype, value.shape) for name, value in wanted.items()
    }
    wrong = [name for name, value in wanted.items() if found[name].tobytes() != value.tobytes()]
    assert not wrong


def set_unit(patch: pytest.MonkeyPatch, elements: int) -> None:
    patch.setattr(preparation, "Plan", partial(Plan, unit_elements=elements))


@given(st.data())
@settings(max_examples=25)
def test_any_trio(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    scale = data.draw(scales)
    trio = data.draw(trios(scale_of=lambda _: scale))
    folder = tmp_path_factory.mktemp("trio")
    with pytest.MonkeyPatch.context() as patch:
        set_unit(patch, data.draw(st.sampled_from([1, 7, 100, 100_000])))
        result = run(trio, folder, [{"scale": scale}], threads=data.draw(st.integers(1, 3)), memory="4MiB")
    moved = transplanted(result)
    assert {"<|user|>", "<|assistant|>", "<|system|>", "<|end|>"} <= set(moved)
    assert_equal(load_weights(folder / "out"), expected(trio, moved))
    assert_complete(trio, folder / "out", moved)


@given(st.data())
@settings(max_examples=10)
def test_two_vectors_in_the_order_of_the_recipe(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    first, second = data.draw(scales), data.draw(scales | st.just(0.0))
    trio = data.draw(trios(vectors=2))
    trio.vectors[0].scale_of = lambda _: first
    trio.vectors[1].scale_of = lambda _: second
    folder = tmp_path_factory.mktemp("trio")
    result = run(trio, folder, [{"scale": first}, {"scale": second}], chat_format="vector:1")
    assert_equal(load_weights(folder / "out"), expected(trio, transplanted(result)))


RULES: dict[str, float] = {"norm": 0.0, "mlp": 2.0, "embedding": 0.25, "head": -1.0}


def by_rules(name: str) -> float:
    """`--scale 0.8 --scale-role … --scale-layers 1=0.5 --scale-tensors '*.1.*down_proj*=0'`, written out."""
    if ".1." in name and "down_proj" in name:
        return 0.0
    if ".layers.1." in name:
        return 0.5
    role = (
        {EMBEDDING: "embedding", HEAD: "head"}.get(name)
        or ("norm" if "norm" in name else None)
        or ("mlp" if ".mlp." in name else "attention")
    )
    return RULES.get(role, 0.8)


@given(st.data())
@settings(max_examples=10)
def test_scales_by_role_layer_and_glob(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    trio = data.draw(trios(scale_of=by_rules))
    folder = tmp_path_factory.mktemp("trio")
    roles = {role: scale for role, scale in RULES.items() if role != "head" or not trio.target.tied}
    own = {"scale": 0.8, "scale_role": roles, "scale_layers": {"1": 0.5}, "scale_tensors": {"*.1.*down_proj*": 0}}
    result = run(trio, folder, [own])
    assert_equal(load_weights(folder / "out"), expected(trio, transplanted(result)))
    effective = result.manifest["scales"][0]["tensors"]
    assert effective == {name: by_rules(name) for name in trio.target.spec.weights if name in effective}
    copied = {name for name in trio.target.spec.weights if by_rules(name) == 0}
    assert set(result.manifest["copied"]["scale_zero"]) == copied


@given(trios())
@settings(max_examples=10)
def test_scale_zero_copies_every_byte_but_the_transplanted_rows(
    tmp_path_factory: pytest.TempPathFactory, trio: Trio
) -> None:
    """−0 and every bit of the target stay; a template's rows come at unit gain whatever the scale."""
    for values in trio.target.spec.weights.values():
        values.reshape(-1)[:3] = -0.0
    folder = tmp_path_factory.mktemp("trio")
    result = run(trio, folder, [{"scale": 0.0}])
    trio.vectors[0].scale_of = lambda _: 0.0
    found = load_weights(folder / "out")
    assert_equal(found, expected(trio, transplanted(result)))
    assert set(result.manifest["scales"][0]["tensors"]) == set()


def assert_complete(trio: Trio, out: Path, moved: list[str]) -> None:
    """Promise 3: the target's files, names in each file and order; an index that tells the truth."""
    target = out.parent / "target"
    with Checkpoint.open(str(target)) as before, Checkpoint.open(str(out)) as after:
        assert list(after.headers) == list(before.headers)
        for file, header in before.headers.items():
            assert [entry.name for entry in after.headers[file].entries] == [entry.name for entry in header.entries]
            assert after.headers[file].metadata == header.metadata
        assert assign_roles(after.tensors, after.config).keys() == trio.target.spec.weights.keys()
        rows = after.tensors[EMBEDDING].shape[0]
        assert after.config["vocab_size"] == rows
        assert len(trio.target.tokens) <= rows
        vocabulary = json.loads(after.read_file("tokenizer.json"))
        index = out / "model.safetensors.index.json"
        assert index.exists() == (trio.target.spec.shards > 1)
        if index.exists():
            document = json.loads(index.read_text())
            assert document["metadata"]["total_size"] == after.nbytes
            assert document["weight_map"] == {name: ref.file for name, ref in after.tensors.items()}
    ids = {token["content"]: token["id"] for token in vocabulary["added_tokens"]} | vocabulary["model"]["vocab"]
    added = [token for token in moved if token not in trio.target.tokens]
    assert {token: ids[token] for token in added} == {
        token: len(trio.target.tokens) + place for place, token in enumerate(added)
    }
    assert max(ids.values()) < rows


def test_the_same_bytes_for_every_layout_thread_count_budget_and_unit(tmp_path: Path) -> None:
    """One merge, made in many ways: shards of the parents, threads, memory, unit size."""
    digests: set[tuple[tuple[str, bytes], ...]] = set()
    for number, (shards, threads, memory, unit) in enumerate(
        [(1, 1, "128MiB", 131_072), (1, 4, "64KiB", 50), (2, 2, "1MiB", 333), (3, 3, "2MiB", 1), (1, 2, 200_000, 4096)]
    ):
        trio = trios_by_hand(shards)
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            set_unit(patch, unit)
            run(trio, folder, [{"scale": 0.8}], threads=threads, memory=memory)
        digests.add(tuple((name, values.tobytes()) for name, values in sorted(load_weights(folder / "out").items())))
    assert len(digests) == 1


def trios_by_hand(shards: int) -> Trio:
    """One trio of mixed dtypes whose parents are cut into so many files."""
    from builders import BASE_SPECIAL, WORDS
    from trios import Vector, chat_member, member

    base = member(WORDS, BASE_SPECIAL, seed=1, dtypes=("BF16", "F32"), shards=shards)
    chat = chat_member(WORDS[::-1], seed=2, dtypes=("BF16",), shards=shards, parent=base)
    target = member([*WORDS, "새"], BASE_SPECIAL, seed=3, dtypes=("F16", "BF16"), padding=3, parent=base)
    return Trio(target, [Vector(base, chat, lambda _: 0.8)])


def test_the_same_recipe_gives_the_same_files_and_manifest(tmp_path: Path) -> None:
    """Outputs carry no path, time or host name outside of the manifest's `run` section."""
    manifests = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        manifests.append(dict(run(trios_by_hand(2), tmp_path / name, [{"scale": 0.8}]).manifest))
    files = [{path.name: path.read_bytes() for path in (tmp_path / name / "out").iterdir()} for name in ("a", "b")]
    for manifest, content in zip(manifests, files, strict=True):
        assert manifest.pop("run")["bytes_written"] > 0
        assert json.loads(content.pop("chat_vector.json")).pop("run")
    assert manifests[0] == manifests[1]
    assert files[0] == files[1]
    assert all(str(tmp_path).encode() not in content for content in files[0].values())
    assert str(tmp_path) not in json.dumps(manifests[0])


def test_promise_1_with_a_whole_model(tmp_path: Path) -> None:
    """target = base, scale 1: chat's values come back, rows of its own tokens included."""
    trio = trios_by_hand(1)
    trio.target = trio.vectors[0].base
    for member in (trio.target, trio.vectors[0].chat):
        member.spec.weights = {name: value.astype("bfloat16") for name, value in member.spec.weights.items()}
    run(trio, tmp_path, [{"scale": 1.0}])
    found, chat = load_weights(tmp_path / "out"), trio.vectors[0].chat
    for name in trio.target.spec.weights:
        if name not in (EMBEDDING, HEAD):
            np.testing.assert_array_equal(found[name].astype(float), chat.spec.weights[name].astype(float))
            continue
        for row, token in enumerate(trio.target.tokens):
            np.testing.assert_array_equal(
                found[name][row].astype(float), chat.spec.weights[name][chat.tokens.index(token)].astype(float)
            )
