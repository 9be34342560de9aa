# SPDX-License-Identifier: Apache-2.0
"""What an absent key of config.json means, where the model's class in transformers decides it: a table.

Only what is the same in the releases 4.40 to 5.23 and changes what the weights compute. A test compares the table with
the configuration classes of the installed transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING: Any = object()
"""A key that is not there, and has no known default."""

Table = tuple[tuple[str, Any, tuple[str, ...]], ...]

_SLIDING_BY_FLAG = ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "smollm3")
_SILU = (
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "phi3", "granite", "olmo2", "olmoe",
    "deepseek_v2", "deepseek_v3", "smollm3", "glm", "glm4",
)  # fmt: skip

CLASS_DEFAULTS: Table = (
    ("hidden_act", "silu", _SILU),
    ("max_position_embeddings", 2048, ("llama", "granite", "olmo2")),
    ("max_position_embeddings", 8192, ("gemma", "gemma2")),
    ("max_position_embeddings", 32768, ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe")),
    ("max_position_embeddings", 131072, ("mistral", "mixtral", "gemma3_text")),
    ("rms_norm_eps", 1e-6, ("llama", "mistral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2")),
    ("rms_norm_eps", 1e-6, ("gemma3_text", "granite", "granitemoe", "deepseek_v2", "deepseek_v3", "smollm3")),
    ("rms_norm_eps", 1e-5, ("mixtral", "phi3", "phimoe", "olmo2", "olmoe", "glm4_moe", "exaone4", "gpt_oss")),
    ("layer_norm_eps", 1e-5, ("phi", "cohere", "cohere2", "stablelm", "gpt_neox")),
    ("rope_theta", 1e4, ("llama", "mistral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "phi3")),
    ("rope_theta", 1e4, ("phi", "granite", "granitemoe", "olmo2", "olmoe", "glm", "glm4", "starcoder2", "stablelm")),
    ("rope_theta", 1e4, ("deepseek_v2", "deepseek_v3", "gpt_neox", "falcon")),
    ("rope_theta", 1e6, ("mixtral", "phimoe")),
    ("partial_rotary_factor", 0.25, ("stablelm",)),
    ("partial_rotary_factor", 0.5, ("phi", "glm", "glm4", "glm4_moe", "persimmon", "nemotron")),
    ("rope_interleave", True, ("deepseek_v3",)),
    ("use_sliding_window", False, _SLIDING_BY_FLAG),
    ("sliding_window", 4096, ("mistral", "gemma2", "gemma3_text", "cohere2", "exaone4")),
    ("sliding_window", None, ("mixtral", "phi3", "phimoe", "starcoder2")),
    ("attention_chunk_size", 8192, ("llama4_text",)),
    ("final_logit_softcapping", 30.0, ("gemma2",)),
    ("attn_logit_softcapping", 50.0, ("gemma2",)),
    ("final_logit_softcapping", None, ("gemma3_text",)),
    ("attn_logit_softcapping", None, ("gemma3_text",)),
    ("query_pre_attn_scalar", 256, ("gemma2", "gemma3_text")),
    ("clip_qkv", None, ("olmo", "olmoe")),
    ("logit_scale", 0.0625, ("cohere", "cohere2")),
    ("logits_scaling", 1.0, ("granite", "granitemoe")),
    ("residual_multiplier", 1.0, ("granite", "granitemoe")),
    ("attention_multiplier", 1.0, ("granite", "granitemoe")),
    ("embedding_multiplier", 1.0, ("granite", "granitemoe", "falcon_h1")),
    ("lm_head_multiplier", 1.0, ("falcon_h1",)),
    ("key_multiplier", 1.0, ("falcon_h1",)),
    ("num_experts_per_tok", 2, ("mixtral", "phimoe")),
    ("num_experts_per_tok", 4, ("qwen2_moe",)),
    ("num_experts_per_tok", 8, ("qwen3_moe", "olmoe", "deepseek_v3")),
    ("norm_topk_prob", False, ("qwen2_moe", "qwen3_moe", "olmoe", "deepseek_v2")),
    ("norm_topk_prob", True, ("deepseek_v3", "glm4_moe")),
    ("routed_scaling_factor", 1.0, ("deepseek_v2", "glm4_moe")),
    ("routed_scaling_factor", 2.5, ("deepseek_v3",)),
    ("n_group", 8, ("deepseek_v3",)),
    ("topk_group", 4, ("deepseek_v3",)),
)
"""Key, what its absence means, the model types for which it means that."""

_BY_KEY: Mapping[tuple[str, str], Any] = {
    (key, model_type): value for key, value, model_types in CLASS_DEFAULTS for model_type in model_types
}


def class_default(config: Mapping[str, Any], *keys: str) -> Any:
    """What the class of a configuration means by the absence of all of `keys`, spellings of one thing; MISSING where
    that is not known."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        return MISSING
    return next((_BY_KEY[key, model_type] for key in keys if (key, model_type) in _BY_KEY), MISSING)
