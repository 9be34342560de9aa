# SPDX-License-Identifier: Apache-2.0
"""What is no weight: derived buffers, integer buffers, scalars and empty tensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from builders import Spec, load_weights, trio_specs, write_trio
from chatvector.errors import IncompatibleParents, NonFiniteValues, UnsupportedFormat
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe
from reference import BF16, Part, merged

Specs = dict[str, Spec]


def run(specs: Specs, folder: Path, **vector: object) -> Result:
    made = write_trio(folder, specs)
    parents = {"base": str(made.base), "chat": str(made.chat), **vector}
    return apply(Recipe.from_mapping({"target": str(made.target), "vectors": [parents], "output": str(folder / "out")}))


DERIVED: dict[str, Callable[[], np.ndarray]] = {
    "model.layers.0.self_attn.rotary_emb.inv_freq": lambda: np.ones(4, np.float32),
    "model.rotary_emb.inv_freq": lambda: np.ones(4, BF16),
    "model.layers.1.self_attn.rotary_emb.cos_cached": lambda: np.ones((8, 4), np.float32),
    "model.layers.1.attn.masked_bias": lambda: np.array(-1e9, np.float32),
    "model.layers.1.attn.bias": lambda: np.tril(np.ones((1, 1, 8, 8), np.bool_)),
}


@pytest.mark.parametrize("name", DERIVED)
@pytest.mark.parametrize("roles", ["target", "base", "chat", "base chat", "target base chat"])
def test_a_derived_buffer_is_the_targets_or_nobodys(tmp_path: Path, name: str, roles: str) -> None:
    specs = trio_specs()
    for number, role in enumerate(roles.split()):
        buffer = DERIVED[name]()
        if buffer.dtype != np.bool_:
            buffer[...] = buffer * (number + 1)
        specs[role].weights[name] = buffer
    result = run(specs, tmp_path)
    found = load_weights(tmp_path / "out")
    if "target" in roles:
        assert found[name].tobytes() == specs["target"].weights[name].tobytes()
        assert result.manifest["copied"]["derived_buffers"] == [name]
    else:
        assert name not in found
        assert result.manifest["copied"]["derived_buffers"] == []
        assert sorted(result.manifest["left_behind"]) == sorted(f"{role}: {name}" for role in roles.split())


def with_buffer(name: str, **values: np.ndarray) -> Specs:
    specs = trio_specs()
    for role, value in values.items():
        specs[role].weights[name] = value
    return specs


INTEGERS = ["int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool", "complex64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_equal_buffers_are_copied(tmp_path: Path, dtype: str) -> None:
    value = np.array([[0, 1], [1, 1]], dtype)
    result = run(with_buffer("model.steps", base=value, chat=value, target=value), tmp_path)
    found = load_weights(tmp_path / "out")["model.steps"]
    assert (found.dtype, found.tobytes()) == (value.dtype, value.tobytes())
    assert "model.steps" in result.manifest["copied"]["scale_zero"]


def test_a_buffer_that_base_and_chat_share_is_the_targets_own(tmp_path: Path) -> None:
    """No difference, so nothing is added: whatever the target counted stays."""
    specs = with_buffer("model.steps", base=np.array([3]), chat=np.array([3]), target=np.array([7]))
    run(specs, tmp_path)
    assert load_weights(tmp_path / "out")["model.steps"].tolist() == [7]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_buffers_that_differ_are_refused(tmp_path: Path, dtype: str, scale: float) -> None:
    one, other = np.array([0, 1, 1], dtype), np.array([0, 1, 0], dtype)
    with pytest.raises(
        IncompatibleParents, match=r"^model\.steps: \w+ buffer differs between .*base.* and .*chat|chat.*base"
    ):
        run(with_buffer("model.steps", base=one, chat=other, target=one), tmp_path, scale=scale)
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("role", ["base", "chat", "target"])
def test_numbers_in_one_model_and_integers_in_another_are_refused(tmp_path: Path, role: str) -> None:
    values = dict.fromkeys(("base", "chat", "target"), np.ones(4, BF16)) | {role: np.ones(4, np.int32)}
    with pytest.raises(IncompatibleParents, match=r"model\.odd.*I32"):
        run(with_buffer("model.odd", **values), tmp_path)


def test_scalars_and_empty_tensors(tmp_path: Path) -> None:
    specs = trio_specs()
    for role, value in (("base", 1.0), ("chat", 3.0), ("target", 2.0)):
        specs[role].weights["model.temperature"] = np.array(value, BF16)
        specs[role].weights["model.nothing"] = np.zeros((0, 5), BF16)
    run(specs, tmp_path, scale=0.5)
    found = load_weights(tmp_path / "out")
    assert found["model.temperature"].shape == ()
    assert float(found["model.temperature"]) == 3.0
    assert found["model.nothing"].shape == (0, 5)


def test_infinity_in_a_derived_mask_is_no_fault(tmp_path: Path) -> None:
    """Old files keep causal masks with −inf in them; only weights must be finite."""
    specs = trio_specs()
    name = "model.layers.0.attn.masked_bias"
    specs["target"].weights[name] = np.array(-np.inf, np.float32)
    run(specs, tmp_path)
    assert load_weights(tmp_path / "out")[name] == -np.inf


def test_a_tensor_that_the_vector_does_not_touch_is_still_looked_at(tmp_path: Path) -> None:
    specs = trio_specs()
    specs["target"].weights["model.norm.weight"][5] = np.nan
    with pytest.raises(NonFiniteValues, match=r"target: model\.norm\.weight .* holds 1 non-finite value "):
        run(specs, tmp_path, scale_role={"norm": 0})


def test_tensors_of_other_ranks(tmp_path: Path) -> None:
    """Experts are stacked, convolutions have three extents: nothing depends on a matrix."""
    specs = trio_specs()
    rng = np.random.default_rng(0)
    for role in specs:
        specs[role].weights["model.layers.0.mlp.experts.w1"] = rng.standard_normal((3, 4, 5)).astype(ml_dtypes.bfloat16)
    run(specs, tmp_path, scale=0.8)
    name = "model.layers.0.mlp.experts.w1"
    parts = [Part(specs["chat"].weights[name], specs["base"].weights[name], 0.8)]
    assert load_weights(tmp_path / "out")[name].tobytes() == merged(specs["target"].weights[name], parts).tobytes()


def cut_to_its_tokens(spec: Spec) -> int:
    """Take the padding rows from a model; gives the rows that are left."""
    rows = len(json.loads(spec.tokenizer)["model"]["vocab"])
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        spec.weights[name] = spec.weights[name][:rows].copy()
    spec.config["vocab_size"] = rows
    return rows


@pytest.mark.parametrize(("extents", "refused"), [((2,), True), ((), True), (None, False)])
def test_integers_by_token_are_refused_where_rows_are_added(
    tmp_path: Path, extents: tuple[int, ...] | None, refused: bool
) -> None:
    """DeepSeek V4 names the experts of each token by a table. What a new token's are, nobody says."""
    specs = trio_specs()
    rows = {cut_to_its_tokens(specs[role]) for role in ("base", "target")}.pop()
    for spec in specs.values():
        spec.weights["model.layers.0.mlp.gate.tid2eid"] = np.zeros((3,) if extents is None else (rows, *extents), "<i8")
    if refused:
        message = rf"tid2eid holds I64 for each of {rows} tokens, and the chat format adds [1-9]\d* rows; give"
        with pytest.raises(UnsupportedFormat, match=message):
            run(specs, tmp_path)
        assert not (tmp_path / "out").exists()
    else:
        run(specs, tmp_path)
        assert len(load_weights(tmp_path / "out")["lm_head.weight"]) > rows
