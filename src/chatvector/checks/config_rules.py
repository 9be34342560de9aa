# SPDX-License-Identifier: Apache-2.0
"""The keys of config.json that must agree among the parents, or are worth a word where they do not: a table.

A key that one of the configurations lacks is not compared, unless the rule gives a default: many files are written
by hand and rely on a class's own default. Shapes are compared anyway, tensor by tensor.
Not in the table, on purpose: dtype and torch_dtype (mixtures are in order), vocab_size and token ids (the
vocabulary's matter), tie_word_embeddings (the files decide), use_cache, dropout, transformers_version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

MISSING: Any = object()
"""A key that is not there, and has no default."""


@dataclass(frozen=True)
class Rule:
    """One thing that configurations say, under any of its spellings."""

    keys: tuple[str, ...]
    """Spellings, the most telling first; the first that is there and not null counts."""
    verdict: Literal["refuse", "warn"]
    reason: str
    """Why it matters, completing "…: "."""
    default: Any = MISSING
    """What an absent or null key means, where that is the same in all model classes."""


def _refuse(reason: str, *keys: str, default: Any = MISSING) -> Rule:
    return Rule(keys, "refuse", reason, default)


def _warn(reason: str, *keys: str, default: Any = MISSING) -> Rule:
    return Rule(keys, "warn", reason, default)


_WIDTH = "tensors have other shapes"
_MEANING = "the same weights compute another function"
_SAME_SHAPE = "shapes may agree and the weights still mean something else"

TEXT_RULES = (
    _refuse("the parents are different architectures", "model_type"),
    _refuse(_WIDTH, "hidden_size", "n_embd", "d_model", "dim"),
    _refuse(_WIDTH, "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    _refuse(_SAME_SHAPE, "num_attention_heads", "n_head", "n_heads"),
    _refuse(_SAME_SHAPE, "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    _refuse(_SAME_SHAPE, "head_dim", "attention_head_dim", "kv_channels"),
    _refuse(_WIDTH, "intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner"),
    _refuse(_MEANING, "hidden_activation", "hidden_act", "activation_function", "hidden_activation_function"),
    _refuse(_WIDTH, "num_experts", "num_local_experts", "n_routed_experts"),
    _refuse(_WIDTH, "moe_intermediate_size", "moe_ffn_hidden_size"),
    _refuse(_WIDTH, "n_shared_experts", "num_shared_experts"),
    _refuse(_WIDTH, "shared_expert_intermediate_size", "shared_intermediate_size"),
    _refuse("other layers are mixtures of experts", "first_k_dense_replace"),
    _refuse("other layers are mixtures of experts", "decoder_sparse_step"),
    _refuse("other layers are mixtures of experts", "moe_layer_freq"),
    _refuse("other layers are mixtures of experts", "mlp_only_layers"),
    _refuse(_WIDTH, "q_lora_rank"),
    _refuse(_WIDTH, "kv_lora_rank"),
    _refuse(_SAME_SHAPE, "qk_rope_head_dim"),
    _refuse(_SAME_SHAPE, "qk_nope_head_dim"),
    _refuse(_SAME_SHAPE, "v_head_dim"),
    _refuse("another kind of norm", "norm_type", "normalization", "layer_norm_type"),
    _refuse("the norms stand elsewhere in the block", "do_layer_norm_before"),
    _refuse("the norms stand elsewhere in the block", "apply_residual_connection_post_layernorm"),
    _refuse("blocks are wired otherwise", "use_parallel_residual", "parallel_attn"),
    _refuse("blocks are wired otherwise", "new_decoder_architecture"),
    _refuse("another kind of position", "position_embedding_type"),
    _refuse("another kind of position", "alibi"),
    _refuse("other dimensions of the heads rotate", "partial_rotary_factor", "rotary_pct", "rotary_dim"),
    _refuse(_WIDTH, "state_size", "ssm_state_size", "mamba_d_state"),
    _refuse(_WIDTH, "conv_kernel", "mamba_d_conv", "linear_conv_kernel_dim"),
    _warn("positions beyond the smaller value were not trained there", "max_position_embeddings", "n_positions"),
    _warn(_MEANING, "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
    _warn("long texts are attended to otherwise", "sliding_window"),
    _warn("long texts are attended to otherwise", "use_sliding_window", default=False),
    _warn("long texts are attended to otherwise", "layer_types"),
    _warn("long texts are attended to otherwise", "sliding_window_pattern"),
    _warn("one of the flags is not what the tensors say", "attention_bias", "qkv_bias", "attention_in_bias"),
    _warn("one of the flags is not what the tensors say", "mlp_bias"),
    _warn("one of the flags is not what the tensors say", "use_bias", "bias"),
    _warn(_MEANING, "attn_logit_softcapping"),
    _warn(_MEANING, "final_logit_softcapping"),
    _warn(_MEANING, "query_pre_attn_scalar"),
    _warn(_MEANING, "embedding_multiplier"),
    _warn(_MEANING, "residual_multiplier"),
    _warn(_MEANING, "attention_multiplier"),
    _warn(_MEANING, "logits_scaling", "logit_scale"),
    _warn("another number of experts speaks for each token", "num_experts_per_tok", "moe_topk"),
    _warn(_MEANING, "norm_topk_prob"),
    _warn(_MEANING, "routed_scaling_factor"),
)

VISION_RULES = (
    _refuse("the image encoders are different architectures", "model_type"),
    _refuse(_WIDTH, "hidden_size", "embed_dim", "width"),
    _refuse(_WIDTH, "num_hidden_layers", "depth", "layers"),
    _refuse(_SAME_SHAPE, "num_attention_heads", "num_heads", "heads"),
    _refuse(_WIDTH, "intermediate_size"),
    _refuse(_WIDTH, "patch_size"),
    _refuse(_WIDTH, "temporal_patch_size"),
    _refuse(_SAME_SHAPE, "spatial_merge_size"),
    _refuse(_MEANING, "hidden_act"),
    _warn("images come in other sizes", "image_size"),
    _warn(_MEANING, "layer_norm_eps"),
)

TOP_RULES = (
    _warn("another layer of the image encoder is read", "vision_feature_layer"),
    _warn("other image features are read", "vision_feature_select_strategy"),
)

# Spellings of activations that are one function.
ACTIVATIONS = {
    "swish": "silu",
    "gelu_new": "gelu_pytorch_tanh",
    "gelu_fast": "gelu_pytorch_tanh",
    "gelu_tanh": "gelu_pytorch_tanh",
}
"""The tanh approximation of GELU has four names in transformers (activations.py)."""

LEGACY_GELU = frozenset({"gemma"})
"""Gemma 1's first files say `hidden_act: gelu` and mean the tanh form; transformers overrides them."""

ROPE_DEFAULT_THETA = 10000.0
"""RoFormer, arXiv 2104.09864; what an absent rope_theta means in the configurations that lack it."""
