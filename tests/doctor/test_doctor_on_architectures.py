# SPDX-License-Identifier: Apache-2.0
"""No false alarm on real architectures as transformers saves them, and what they lose is missed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from architectures.family_models import CHAT_ROWS, FAMILIES, KNOWN, SMALL, Family, nudge, save
from builders import CHAT_SPECIAL
from chatvector.checks.doctor.examine import examine
from chatvector.checks.doctor.layer_parts import LAYER_PARTS, lacking

# What a family's file holds because a flag or its model type says so, and what is found when it is dropped.
DROPPED = {
    "llama-biases": (".self_attn.o_proj.bias", "biases-dropped"),
    "qwen2-tied": (".self_attn.k_proj.bias", "biases-dropped"),
    "qwen3": (".self_attn.q_norm.weight", "norms-dropped"),
    "gemma3-text": (".self_attn.k_norm.weight", "norms-dropped"),
    "phi": (".mlp.fc1.bias", "biases-dropped"),
    "opt-projected": (".self_attn.out_proj.bias", "biases-dropped"),
    "gpt-neox": (".attention.query_key_value.bias", "biases-dropped"),
    "gpt2": (".attn.c_attn.bias", "biases-dropped"),
    "mixtral": (".experts.3.w2.weight", "tensors-irregular"),
    "qwen3-moe": (".experts.3.down_proj.weight", "tensors-irregular"),
}

# An encoder's or decoder's sizes.
SIDES = {"layers": 2, "ffn_dim": 24, "attention_heads": 4}


@pytest.fixture(autouse=True)
def quiet() -> None:
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()


def write_chat(family: Family, folder: Path) -> Path:
    model = family.make()
    model.resize_token_embeddings(CHAT_ROWS, mean_resizing=False)
    save(nudge(model, 1, 0.01), folder, CHAT_SPECIAL, KNOWN)
    return folder


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_chat_model_has_no_finding(family: Family, tmp_path: Path) -> None:
    assert examine(str(write_chat(family, tmp_path / "chat"))).findings == ()


HRM = Family("hrm", "HrmTextConfig", SMALL, (), tied=False)
PEGASUS = Family(
    "bigbird-pegasus",
    "BigBirdPegasusConfig",
    {
        **{f"{part}_{what}": size for part in ("encoder", "decoder") for what, size in SIDES.items()},
        "vocab_size": SMALL["vocab_size"],
        "d_model": 16,
        "max_position_embeddings": 64,
        "pad_token_id": None,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    (),
    tied=False,
)


@pytest.mark.parametrize("family", [HRM, PEGASUS], ids=lambda family: family.name)
def test_a_class_that_means_its_keys_otherwise_has_no_finding(family: Family, tmp_path: Path) -> None:
    """HRM runs its layers several times and counts that; BigBird-Pegasus ties no head whatever its key says."""
    assert examine(str(write_chat(family, tmp_path / "chat"))).findings == ()


def test_a_layer_that_is_run_several_times_is_missed(tmp_path: Path) -> None:
    folder = write_chat(HRM, tmp_path / "chat")
    held = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in held.items() if ".layers.1." not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    (finding,) = examine(str(folder)).findings
    assert (finding.code, finding.detail) == ("layers-missing", "1 of 2 layers: 1")


def test_a_layer_that_predicts_further_tokens_is_no_loss_of_the_others(tmp_path: Path) -> None:
    (family,) = (one for one in FAMILIES if one.name == "llama")
    folder = write_chat(family, tmp_path / "chat")
    held = load_file(folder / "model.safetensors")
    further = {name.replace(".1.", ".2."): tensor.clone() for name, tensor in held.items() if ".layers.1." in name}
    held |= further | {"model.layers.2.enorm.weight": torch.ones(16, dtype=torch.bfloat16)}
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_nextn_predict_layers": 1}))
    assert examine(str(folder)).findings == ()


@pytest.mark.parametrize("family", [one for one in FAMILIES if one.name in DROPPED], ids=lambda family: family.name)
def test_what_a_tool_drops_is_missed(family: Family, tmp_path: Path) -> None:
    ending, code = DROPPED[family.name]
    folder = write_chat(family, tmp_path / "chat")
    held = load_file(folder / "model.safetensors")
    # Mixtures: an expert's matrix in one layer, as all layers alike would be another size of model.
    layers = ".1." if code == "tensors-irregular" else "."
    dropped = [name for name in held if name.endswith(ending) and layers in name.removesuffix(ending) + "."]
    assert dropped
    kept = {name: tensor for name, tensor in held.items() if name not in dropped}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    assert {finding.code for finding in examine(str(folder)).findings} == {code}


# Language models of vision models come as a part of one, and not by themselves.
ALONE = sorted(name for name in LAYER_PARTS if "_vl" not in name)
MIXTURE = {
    "num_experts": 4,
    "n_routed_experts": 4,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}


def layers_of(model_type: str) -> dict[int, frozenset[str]]:
    """Layer → endings of the names of its tensors, of the model that transformers makes."""
    options = SMALL | {"num_key_value_heads": 4} | (MIXTURE if "moe" in model_type or "deepseek" in model_type else {})
    config = transformers.AutoConfig.for_model(model_type, **options)
    with torch.device("meta"):
        names = list(transformers.AutoModelForCausalLM.from_config(config).state_dict())
    layers: dict[int, set[str]] = {}
    for name in names:
        if match := re.search(r"\.(?:layers|h)\.(\d+)\.(.+)", name):
            layers.setdefault(int(match[1]), set()).add(match[2])
    return {layer: frozenset(endings) for layer, endings in layers.items()}


@pytest.mark.parametrize("model_type", ALONE)
def test_the_table_of_layers_is_what_transformers_makes(model_type: str) -> None:
    layers = layers_of(model_type)
    text = {"model_type": model_type, "num_hidden_layers": 2}
    assert len(layers) == 2
    assert lacking(text, layers) == {}
    for part in LAYER_PARTS[model_type]:
        without = {
            layer: frozenset(ending for ending in endings if not f"{ending}.".startswith(tuple(f"{p}." for p in part)))
            for layer, endings in layers.items()
        }
        if without != layers:  # an expert's number stands in its names
            assert part[0] in lacking(text, without)


def test_a_model_with_code_of_its_own_is_not_judged_by_its_name() -> None:
    layers = {0: frozenset({"mixer.weight"})}
    assert lacking({"model_type": "llama"}, layers)
    assert lacking({"model_type": "llama", "auto_map": {"AutoModel": "own.Own"}}, layers) == {}
    assert lacking({"model_type": "mamba2"}, layers) == {}


@pytest.mark.parametrize("part", ["v_proj", "o_proj", "gate_proj", "down_proj", "input_layernorm", "mlp", "self_attn"])
@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3-vision"])
def test_what_a_tool_drops_from_every_layer_is_missed(name: str, part: str, tmp_path: Path) -> None:
    (family,) = (one for one in FAMILIES if one.name == name)
    folder = write_chat(family, tmp_path / "chat")
    held = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in held.items() if f".{part}." not in name or "vision" in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    assert {finding.code for finding in examine(str(folder)).findings} == {"tensors-missing"}
