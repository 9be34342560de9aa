# SPDX-License-Identifier: Apache-2.0
"""A table of the keys of config.json that must agree among the parents, or give a warning where they differ.

A key that one of the configurations lacks has the value that the rule or the model's class gives it; where neither
does, it is not compared, and this is reported unless tensors or other keys decide. Shapes are always compared, tensor
by tensor. Differing keys without a rule are reported too, except those without effect here (`HARMLESS`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from chatvector.checks.class_defaults import MISSING


@dataclass(frozen=True)
class Rule:
    """One property in configurations, under any of its spellings."""

    keys: tuple[str, ...]
    """Spellings, the most specific first. The first that is there and not null counts, else a null."""
    verdict: Literal["refuse", "warn"]
    reason: str
    """Why a difference matters; completes a sentence after "…: "."""
    default: Any = MISSING
    """Meaning of an absent or null key, if it is the same in all model classes."""
    decided: bool = False
    """Whether tensors or other keys decide where the key is absent or null, so that this is not reported."""


def _refuse(reason: str, *keys: str, default: Any = MISSING) -> Rule:
    return Rule(keys, "refuse", reason, default, decided=True)


def _warn(reason: str, *keys: str, default: Any = MISSING, decided: bool = False) -> Rule:
    return Rule(keys, "warn", reason, default, decided)


_WIDTH = "tensors have other shapes"
_LONG = "long texts are attended to otherwise"
_FLAGS = "one of the flags is not what the tensors say"
_EXPERTS = "other experts speak for each token"
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
    _refuse("other dimensions of the heads rotate", "rope_interleave", "rope_interleaved"),
    _refuse("queries and keys are normalised in one and not in the other", "use_qk_norm", "qk_norm", "qk_layernorm"),
    _refuse("attention looks ahead in one and not in the other", "is_causal", default=True),
    _refuse("attention looks ahead in one and not in the other", "use_bidirectional_attention", default=False),
    _refuse("other layers are mixtures of experts", "interleave_moe_layer_step"),
    _refuse("other layers are mixtures of experts", "moe_layer_start_index"),
    _refuse(_WIDTH, "state_size", "ssm_state_size", "mamba_d_state"),
    _refuse(_WIDTH, "conv_kernel", "mamba_d_conv", "linear_conv_kernel_dim"),
    _warn("positions beyond the smaller value were not trained there", "max_position_embeddings", "n_positions"),
    _warn(_MEANING, "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
    _warn(_LONG, "sliding_window"),
    _warn(_LONG, "use_sliding_window", default=False),
    _warn(_LONG, "layer_types", decided=True),
    _warn(_LONG, "sliding_window_pattern", "_sliding_window_pattern", decided=True),
    _warn(_LONG, "max_window_layers", decided=True),
    _warn(_LONG, "attention_chunk_size"),
    _warn(_LONG, "attn_temperature_tuning", decided=True),
    _warn(_LONG, "floor_scale", decided=True),
    _warn(_LONG, "attn_scale", decided=True),
    _warn(_LONG, "use_dynamic_ntk"),
    _warn(_LONG, "use_logn_attn"),
    _warn(_FLAGS, "attention_bias", "qkv_bias", "attention_in_bias", decided=True),
    _warn(_FLAGS, "mlp_bias", decided=True),
    _warn(_FLAGS, "use_bias", "bias", decided=True),
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
    _warn(_EXPERTS, "n_group"),
    _warn(_EXPERTS, "topk_group"),
    _warn(_EXPERTS, "scoring_func"),
    _warn(_EXPERTS, "topk_method"),
    _warn("other layers turn positions", "no_rope_layers", decided=True),
    _warn("other layers turn positions", "no_rope_layer_interval", decided=True),
    _warn(_MEANING, "clip_qkv"),
    _warn(_MEANING, "swiglu_limit"),
    _warn(_MEANING, "scale_emb"),
    _warn(_MEANING, "scale_depth"),
    _warn(_MEANING, "dim_model_base"),
    _warn(_MEANING, "lm_head_multiplier"),
    _warn(_MEANING, "key_multiplier"),
    _warn(_MEANING, "mlp_multipliers"),
    _warn(_MEANING, "ssm_multipliers"),
    _warn(_MEANING, "ssm_in_multiplier"),
    _warn(_MEANING, "ssm_out_multiplier"),
    _warn(_MEANING, "attention_in_multiplier"),
    _warn(_MEANING, "attention_out_multiplier"),
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
    _warn("images come in other sizes", "image_size", decided=True),
    _warn(_MEANING, "layer_norm_eps", decided=True),
)

TOP_RULES = (
    _warn("another layer of the image encoder is read", "vision_feature_layer", decided=True),
    _warn("other image features are read", "vision_feature_select_strategy", decided=True),
)

HARMLESS = frozenset({
    # Names, versions, places of code.
    "architectures", "auto_map", "name_or_path", "transformers_version", "unsloth_version", "unsloth_fixed",
    "task_specific_params", "finetuning_task", "problem_type", "id2label", "label2id", "num_labels", "tokenizer_class",
    "bos_token", "eos_token", "pad_token", "unk_token", "mask_token", "model_max_length",
    # Rows and ties: the vocabulary and the files decide, and other checks examine them.
    "vocab_size", "padded_vocab_size", "pad_vocab_size_multiple", "tie_word_embeddings", "quantization_config",
    # How it is stored, initialised, run or trained; parents may be stored in different formats.
    "dtype", "torch_dtype", "fp32_residual_connection", "initializer_range", "initializer_factor", "init_std",
    "use_cache", "cache_implementation", "pretraining_tp", "attn_implementation", "use_flash_attn", "use_flash_attn_2",
    "use_flash_attention", "use_cache_quantization", "use_cache_kernel", "softmax_in_fp32", "use_mamba_kernels",
    "num_logits_to_keep", "gradient_checkpointing", "torchscript", "chunk_size_feed_forward", "output_attentions",
    "output_hidden_states", "return_dict", "use_return_dict", "output_router_logits", "router_aux_loss_coef",
    "router_z_loss_coef", "router_jitter_noise", "input_jitter_noise", "aux_loss_alpha", "seq_aux", "ep_size",
    # Generation, as older releases wrote it into config.json.
    "max_length", "min_length", "max_new_tokens", "do_sample", "early_stopping", "num_beams", "temperature", "top_k",
    "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "num_return_sequences",
})  # fmt: skip
"""Keys that may differ among parents without a warning."""

HARMLESS_PARTS = ("_token_id", "_token_ids", "_token_index", "dropout", "pdrop", "drop_rate", "layerdrop")
"""Endings of further such keys; a key that starts with an underscore is transformers' own, too."""

# Different spellings of the same activation function.
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
