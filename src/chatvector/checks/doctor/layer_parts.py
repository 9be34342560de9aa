# SPDX-License-Identifier: Apache-2.0
"""Modules that every layer of an architecture has, as data, and the layers that lack some.

Comparing layers with each other misses modules that a tool dropped from all of them. The table has the model types
whose layers are the same in every release; others are not judged. Source: `state_dict` of the models that
transformers 5.23 makes, and the names that its releases since 4.40 write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chatvector.checks.doctor.expectations import LAYER_KEYS

# Alternatives of which a layer must have one: spellings of a module, fused forms, its counterpart in a dense layer.
Part = tuple[str, ...]

_FUSED, _GATE_UP = "self_attn.qkv_proj", "mlp.gate_up_proj"
_QKV: tuple[Part, ...] = tuple((f"self_attn.{part}_proj", _FUSED) for part in "qkv")
_ATTENTION: tuple[Part, ...] = (*_QKV, ("self_attn.o_proj",))
_LATENT: tuple[Part, ...] = (
    ("self_attn.q_proj", "self_attn.q_a_proj"),
    ("self_attn.q_proj", "self_attn.q_b_proj"),
    ("self_attn.kv_a_proj_with_mqa",),
    ("self_attn.kv_b_proj",),
    ("self_attn.o_proj",),
)
_UP_DOWN: tuple[Part, ...] = (("mlp.up_proj", _GATE_UP), ("mlp.down_proj",))
_GATED: tuple[Part, ...] = (("mlp.gate_proj", _GATE_UP), *_UP_DOWN)
_DENSE_OR_EXPERTS: tuple[Part, ...] = (
    *((f"mlp.experts.*.{part}_proj", "mlp.experts.gate_up_proj", f"mlp.{part}_proj") for part in ("gate", "up")),
    ("mlp.experts.*.down_proj", "mlp.experts.down_proj", "mlp.down_proj"),
    ("mlp.gate", "mlp.gate_proj"),
)
_MIXTRAL: tuple[Part, ...] = (
    *((f"block_sparse_moe.experts.*.{part}", "mlp.experts.gate_up_proj") for part in ("w1", "w3")),
    ("block_sparse_moe.experts.*.w2", "mlp.experts.down_proj"),
    ("block_sparse_moe.gate", "mlp.gate"),
)
_BEFORE: tuple[Part, ...] = (("input_layernorm",),)
_BOTH: tuple[Part, ...] = (*_BEFORE, ("post_attention_layernorm",))
_AROUND: tuple[Part, ...] = (("pre_feedforward_layernorm",), ("post_feedforward_layernorm",))
_AFTER: tuple[Part, ...] = (("post_attention_layernorm",), ("post_feedforward_layernorm",))
_FOUR_H: tuple[Part, ...] = (("mlp.dense_h_to_4h",), ("mlp.dense_4h_to_h",))

_GROUPS: tuple[tuple[tuple[str, ...], tuple[Part, ...]], ...] = (
    (
        (
            *("llama", "mistral", "qwen2", "qwen3", "gemma", "granite", "smollm3", "seed_oss", "helium", "ernie4_5"),
            *("phi3", "glm", "glm4"),
            *("qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text", "qwen3_vl_text"),
        ),
        (*_ATTENTION, *_GATED, *_BOTH),
    ),
    (("arcee", "nemotron"), (*_ATTENTION, *_UP_DOWN, *_BOTH)),
    (("gemma2", "gemma3_text"), (*_ATTENTION, *_GATED, *_BOTH, *_AROUND)),
    (("cohere", "cohere2", "stablelm"), (*_ATTENTION, *_GATED, *_BEFORE)),
    (("olmo",), (*_ATTENTION, *_GATED)),  # its norms have no weights
    (("olmo2", "olmo3", "exaone4"), (*_ATTENTION, *_GATED, *_AFTER)),
    (("starcoder2",), (*_ATTENTION, ("mlp.c_fc",), ("mlp.c_proj",), *_BOTH)),
    (("phi",), (*_QKV, ("self_attn.dense",), ("mlp.fc1",), ("mlp.fc2",), *_BEFORE)),
    (("opt",), (*_QKV, ("self_attn.out_proj",), ("fc1",), ("fc2",))),
    (("gpt2",), (("attn.c_attn",), ("attn.c_proj",), ("mlp.c_fc",), ("mlp.c_proj",), ("ln_1",), ("ln_2",))),
    (("gpt_neox",), (("attention.query_key_value",), ("attention.dense",), *_FOUR_H, *_BOTH)),
    (("bloom",), (("self_attention.query_key_value",), ("self_attention.dense",), *_FOUR_H, *_BOTH)),
    (("falcon",), (("self_attention.query_key_value",), ("self_attention.dense",), *_FOUR_H)),
    (("mixtral",), (*_ATTENTION, *_MIXTRAL, *_BOTH)),
    (("qwen2_moe", "qwen3_moe", "qwen3_vl_moe_text", "olmoe", "glm4_moe"), (*_ATTENTION, *_DENSE_OR_EXPERTS, *_BOTH)),
    (("deepseek_v2", "deepseek_v3"), (*_LATENT, *_DENSE_OR_EXPERTS, *_BOTH)),
)

LAYER_PARTS: Mapping[str, tuple[Part, ...]] = {name: parts for names, parts in _GROUPS for name in names}


def lacking(text: Mapping[str, Any], layers: Mapping[int, frozenset[str]]) -> dict[str, list[int]]:
    """Module → layers that have neither it nor an alternative to it; {} for unknown architectures.

    `text`: the language model's configuration. `layers`: layer → endings of its tensors' names.
    """
    # A model with its own code may differ from the architecture that it is named after.
    parts = () if text.get("auto_map") else LAYER_PARTS.get(str(text.get("model_type")), ())
    count = next((text[key] for key in LAYER_KEYS if isinstance(text.get(key), int)), None)
    found: dict[str, list[int]] = {}
    for layer, endings in layers.items():
        if count is not None and layer >= count:
            continue  # layers that predict further tokens are built differently
        modules = _modules(endings)
        for part in parts:
            if modules.isdisjoint(part):
                found.setdefault(part[0], []).append(layer)
    return found


def _modules(endings: frozenset[str]) -> set[str]:
    """The endings and all their prefixes (modules); numbers of experts are left out."""
    found: set[str] = set()
    for ending in endings:
        parts = re.sub(r"(^|\.)experts\.\d+\.", r"\1experts.*.", ending).split(".")
        found |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return found
