# SPDX-License-Identifier: Apache-2.0
"""Roles of real architectures: tiny models made and saved by transformers, judged by the file's own names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chatvector.arithmetic.roles import Role, VocabularyTensors, assign_roles, find_vocabulary, layer_of

V, D, FFN, HEADS, LAYERS = 96, 32, 64, 4, 2
COMMON: dict[str, Any] = {
    "vocab_size": V,
    "hidden_size": D,
    "intermediate_size": FFN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GQA = COMMON | {"num_key_value_heads": 2}


@dataclass(frozen=True)
class Info:
    """A tensor as the safetensors header describes it."""

    shape: tuple[int, ...]
    code: str

    @property
    def dtype(self) -> Info:
        return self


@dataclass(frozen=True)
class Saved:
    tensors: Mapping[str, Info]
    config: Mapping[str, Any]

    @property
    def roles(self) -> dict[str, Role]:
        return assign_roles(self.tensors, self.config)

    @property
    def vocabulary(self) -> VocabularyTensors:
        return find_vocabulary(self.tensors, self.config)

    def named(self, role: Role) -> set[str]:
        return {name for name, is_role in self.roles.items() if is_role == role}


def save(folder: Path, name: str, **settings: Any) -> Saved:
    """Build a tiny random model of a configuration class, save it with transformers, read the header back."""
    import torch
    import transformers

    torch.set_num_threads(1)
    config = getattr(transformers, name)(**settings)
    auto = (
        transformers.AutoModelForImageTextToText
        if hasattr(config, "vision_config")
        else transformers.AutoModelForCausalLM
    )
    auto.from_config(config).save_pretrained(folder)
    data = (folder / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = {n: Info(tuple(t["shape"]), t["dtype"]) for n, t in header.items() if n != "__metadata__"}
    return Saved(tensors, json.loads((folder / "config.json").read_bytes()))


def block(name: str) -> str:
    """A name with its layer number taken out."""
    return ".".join("N" if part.isdigit() else part for part in name.split("."))


# class -> settings, embedding, head, head bias, role -> names in a block and outside (N: a number), whole sets
CASES: dict[str, tuple[str, dict[str, Any], VocabularyTensors, dict[Role, set[str]]]] = {}


def case(key: str, name: str, settings: dict[str, Any], vocabulary: VocabularyTensors, **roles: str) -> None:
    CASES[key] = (name, settings, vocabulary, {role: set(names.split()) for role, names in roles.items()})  # type: ignore[misc]


LLAMA = VocabularyTensors("model.embed_tokens.weight", "lm_head.weight", None)
TIED = VocabularyTensors("model.embed_tokens.weight", None, None)
_ATTN = " ".join(f"model.layers.N.self_attn.{x}_proj.weight" for x in "qkvo")
_QKV_BIAS = " ".join(f"model.layers.N.self_attn.{x}_proj.bias" for x in "qkv")
_MLP = " ".join(f"model.layers.N.mlp.{x}_proj.weight" for x in ("gate", "up", "down"))
_NORMS = "model.norm.weight model.layers.N.input_layernorm.weight model.layers.N.post_attention_layernorm.weight"
_QK_NORMS = "model.layers.N.self_attn.q_norm.weight model.layers.N.self_attn.k_norm.weight"
_GEMMA_NORMS = " model.layers.N.pre_feedforward_layernorm.weight model.layers.N.post_feedforward_layernorm.weight"

case(
    "llama", "LlamaConfig", GQA | {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}, LLAMA,
    attention=_ATTN, mlp=_MLP, norm=_NORMS,
    bias=_QKV_BIAS + " model.layers.N.self_attn.o_proj.bias " + _MLP.replace("weight", "bias"),
)  # fmt: skip
case(
    "llama as wide as its vocabulary", "LlamaConfig", GQA | {"vocab_size": D, "intermediate_size": D}, LLAMA,
    attention=_ATTN, mlp=_MLP, norm=_NORMS,
)  # fmt: skip
case("mistral", "MistralConfig", GQA | {"tie_word_embeddings": False}, LLAMA, attention=_ATTN, mlp=_MLP, norm=_NORMS)
case(
    "qwen2",
    "Qwen2Config",
    GQA | {"tie_word_embeddings": True},
    TIED,
    attention=_ATTN,
    mlp=_MLP,
    norm=_NORMS,
    bias=_QKV_BIAS,
)
case(
    "qwen3", "Qwen3Config", GQA | {"head_dim": 8, "tie_word_embeddings": False}, LLAMA,
    attention=_ATTN, mlp=_MLP, norm=f"{_NORMS} {_QK_NORMS}",
)  # fmt: skip
case("gemma2", "Gemma2Config", GQA | {"head_dim": 8}, TIED, attention=_ATTN, mlp=_MLP, norm=_NORMS + _GEMMA_NORMS)
case(
    "gemma3 text", "Gemma3TextConfig", GQA | {"head_dim": 8}, TIED,
    attention=_ATTN, mlp=_MLP, norm=f"{_NORMS}{_GEMMA_NORMS} {_QK_NORMS}",
)  # fmt: skip
case(
    "phi", "PhiConfig", COMMON, VocabularyTensors("model.embed_tokens.weight", "lm_head.weight", "lm_head.bias"),
    attention=_ATTN.replace("o_proj", "dense"),
    mlp="model.layers.N.mlp.fc1.weight model.layers.N.mlp.fc2.weight",
    norm="model.final_layernorm.weight model.final_layernorm.bias"
    " model.layers.N.input_layernorm.weight model.layers.N.input_layernorm.bias",
    bias=_QKV_BIAS + " model.layers.N.self_attn.dense.bias model.layers.N.mlp.fc1.bias model.layers.N.mlp.fc2.bias",
)  # fmt: skip
_OPT = "model.decoder.layers.N."
case(
    "opt", "OPTConfig",
    {"vocab_size": V, "hidden_size": D, "ffn_dim": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
     "max_position_embeddings": V - 2, "word_embed_proj_dim": D},  # as many positions as tokens
    VocabularyTensors("model.decoder.embed_tokens.weight", None, None),
    other="model.decoder.embed_positions.weight",
    attention=" ".join(f"{_OPT}self_attn.{x}_proj.weight" for x in ("q", "k", "v", "out")),
    mlp=f"{_OPT}fc1.weight {_OPT}fc2.weight",
    bias=" ".join(f"{_OPT}self_attn.{x}_proj.bias" for x in ("q", "k", "v", "out")) + f" {_OPT}fc1.bias {_OPT}fc2.bias",
    norm=" ".join(
        f"{m}.{x}" for x in ("weight", "bias")
        for m in (_OPT + "self_attn_layer_norm", _OPT + "final_layer_norm", "model.decoder.final_layer_norm")
    ),
)  # fmt: skip
_NEOX = "gpt_neox.layers.N."
case(
    "gpt-neox", "GPTNeoXConfig", COMMON, VocabularyTensors("gpt_neox.embed_in.weight", "embed_out.weight", None),
    attention=f"{_NEOX}attention.query_key_value.weight {_NEOX}attention.dense.weight",
    mlp=f"{_NEOX}mlp.dense_h_to_4h.weight {_NEOX}mlp.dense_4h_to_h.weight",
    bias=" ".join(
        f"{_NEOX}{m}.bias"
        for m in ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
    ),
    norm=" ".join(
        f"{m}.{x}" for x in ("weight", "bias")
        for m in (_NEOX + "input_layernorm", _NEOX + "post_attention_layernorm", "gpt_neox.final_layer_norm")
    ),
)  # fmt: skip
_GPT2 = "transformer.h.N."
case(
    "gpt-2", "GPT2Config", {"vocab_size": V, "n_embd": D, "n_layer": LAYERS, "n_head": HEADS, "n_positions": V},
    VocabularyTensors("transformer.wte.weight", None, None), other="transformer.wpe.weight",
    attention=f"{_GPT2}attn.c_attn.weight {_GPT2}attn.c_proj.weight",
    mlp=f"{_GPT2}mlp.c_fc.weight {_GPT2}mlp.c_proj.weight",
    bias=" ".join(f"{_GPT2}{m}.bias" for m in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")),
    norm=" ".join(f"{m}.{x}" for x in ("weight", "bias") for m in (_GPT2 + "ln_1", _GPT2 + "ln_2", "transformer.ln_f")),
)  # fmt: skip
_BLOOM = "transformer.h.N."
case(
    "bloom", "BloomConfig", {"vocab_size": V, "hidden_size": D, "n_layer": LAYERS, "n_head": HEADS},
    VocabularyTensors("transformer.word_embeddings.weight", None, None),
    attention=f"{_BLOOM}self_attention.query_key_value.weight {_BLOOM}self_attention.dense.weight",
    mlp=f"{_BLOOM}mlp.dense_h_to_4h.weight {_BLOOM}mlp.dense_4h_to_h.weight",
    bias=" ".join(
        f"{_BLOOM}{m}.bias"
        for m in ("self_attention.query_key_value", "self_attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
    ),
    norm=" ".join(
        f"{m}.{x}" for x in ("weight", "bias")
        for m in (
            _BLOOM + "input_layernorm", _BLOOM + "post_attention_layernorm", "transformer.ln_f",
            "transformer.word_embeddings_layernorm",
        )
    ),
)  # fmt: skip
case(
    "mixtral", "MixtralConfig", GQA | {"num_local_experts": 4, "tie_word_embeddings": False}, LLAMA,
    attention=_ATTN, norm=_NORMS, router="model.layers.N.block_sparse_moe.gate.weight",
    expert=" ".join(f"model.layers.N.block_sparse_moe.experts.N.w{i}.weight" for i in (1, 2, 3)),
)  # fmt: skip
_EXPERT = _MLP.replace("mlp.", "mlp.experts.N.")
case(
    "qwen3-moe", "Qwen3MoeConfig",
    GQA | {"head_dim": 8, "num_experts": 4, "moe_intermediate_size": 16, "tie_word_embeddings": False,
           "mlp_only_layers": [1]},
    LLAMA, attention=_ATTN, norm=f"{_NORMS} {_QK_NORMS}", router="model.layers.N.mlp.gate.weight",
    expert=_EXPERT, mlp=_MLP,
)  # fmt: skip
case(
    "qwen2-moe with a shared expert", "Qwen2MoeConfig",
    GQA | {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
           "tie_word_embeddings": False},
    LLAMA, attention=_ATTN, norm=_NORMS, bias=_QKV_BIAS,
    router="model.layers.N.mlp.gate.weight model.layers.N.mlp.shared_expert_gate.weight",
    expert=_EXPERT + " " + _MLP.replace("mlp.", "mlp.shared_expert."),
)  # fmt: skip


@pytest.mark.parametrize("key", CASES)
def test_roles_of_a_real_model(tmp_path: Path, key: str) -> None:
    name, settings, vocabulary, expected = CASES[key]
    saved = save(tmp_path, name, **settings)
    assert saved.vocabulary == vocabulary
    wanted: dict[str, set[str]] = {"embedding": {vocabulary.embedding or ""}, **expected}
    if heads := {n for n in (vocabulary.head, vocabulary.head_bias) if n}:
        wanted["head"] = heads
    found: dict[str, set[str]] = {}
    for tensor, role in saved.roles.items():
        found.setdefault(role, set()).add(block(tensor))
    assert found == wanted
    assert {layer_of(n) for n in saved.tensors} == {None, *range(LAYERS)}
    assert all(saved.tensors[n].shape[0] == settings["vocab_size"] for n in saved.vocabulary.names)


def test_a_head_that_is_tied_but_kept_in_the_file_is_found(tmp_path: Path) -> None:
    saved = save(tmp_path, "LlamaConfig", **GQA, tie_word_embeddings=True)
    tensors = {**saved.tensors, "lm_head.weight": saved.tensors["model.embed_tokens.weight"]}
    assert find_vocabulary(tensors, saved.config) == LLAMA


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    vision = {"model_type": "clip_vision_model", "hidden_size": D, "intermediate_size": FFN, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": HEADS, "image_size": 16, "patch_size": 8}
    text = GQA | {"model_type": "llama", "tie_word_embeddings": False}
    folder = tmp_path_factory.mktemp("llava")
    return save(folder, "LlavaConfig", vision_config=vision, text_config=text, image_token_index=3)


def test_llava(llava: Saved) -> None:
    roles = llava.roles
    for name, role in roles.items():
        assert (role == "vision") == ("vision_tower" in name), name
        assert (role == "projector") == ("multi_modal_projector" in name), name
        assert (layer_of(name) is not None) == ("language_model" in name and ".layers." in name), name
    assert set(roles.values()) == {"vision", "projector", "embedding", "head", "attention", "mlp", "norm"}
    vocabulary = llava.vocabulary
    assert vocabulary.embedding is not None
    assert vocabulary.embedding.endswith("embed_tokens.weight")
    assert vocabulary.head is not None
    assert vocabulary.head.endswith("lm_head.weight")


def test_qwen2_vl(tmp_path: Path) -> None:
    text = GQA | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}
    vision = {"depth": 2, "embed_dim": D, "hidden_size": D, "num_heads": HEADS, "patch_size": 4, "mlp_ratio": 2}
    saved = save(tmp_path, "Qwen2VLConfig", text_config=text, vision_config=vision, tie_word_embeddings=True)
    roles = saved.roles
    assert saved.vocabulary == TIED
    for name, role in roles.items():
        assert (role == "projector") == ("visual.merger" in name), name
        assert (role == "vision") == ("visual" in name and "merger" not in name), name
    language = {block(n): r for n, r in roles.items() if "visual" not in n}
    assert {n for n, r in language.items() if r == "norm"} == set(_NORMS.split())
    assert {n for n, r in language.items() if r == "bias"} == set(_QKV_BIAS.split())
    assert {layer_of(n) for n in saved.tensors} == {None, 0, 1}
