# SPDX-License-Identifier: Apache-2.0
"""Tiny models of real architectures, made from configurations by transformers and saved by `save_pretrained`.

Each family is a base model and two children of it, as people have them: chat has four more special tokens, which also
move every other token to another row; target has learnt six new words and keeps two padding rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedModel

from builders import BASE_SPECIAL, CHAT_SPECIAL, TEMPLATE, WORDS, Trio, tokenizer_json

KNOWN = (*WORDS, *(f"word{number}" for number in range(18)))
NEW = ("서울", "부산", "바다", "산", "밥", "물")
BASE_ROWS, CHAT_ROWS, TARGET_ROWS, OUTPUT_ROWS = 32, 36, 40, 48

# Sizes that nearly every decoder configuration knows.
SMALL: dict[str, Any] = {
    "vocab_size": BASE_ROWS,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        name: for the test's id.
        config: name of its configuration class in transformers.
        options: arguments of the configuration, beyond or instead of `SMALL`.
        vocabulary: names of its file's tensors that have one row per token.
        tied: whether the head is the embedding.
        holds: parts of tensor names that the file must contain, so that the option under test is really on.
        dtype: of all three models.
        shard_size: of the target's files.
        image: whether it is a vision-language model.
        frozen: parts of names of tensors that chat tuning left alone.
    """

    name: str
    config: str
    options: Mapping[str, Any]
    vocabulary: tuple[str, ...]
    tied: bool
    holds: tuple[str, ...] = ()
    dtype: torch.dtype = torch.bfloat16
    shard_size: str = "5GB"
    image: bool = False
    frozen: tuple[str, ...] = ()

    def make(self, seed: int = 0) -> PreTrainedModel:
        """The base model in `dtype`, weights drawn from `seed`."""
        torch.manual_seed(seed)
        config = getattr(transformers, self.config)(**self.options)
        # Vectors and gains are filled with zeros and ones otherwise, in which nothing could go wrong.
        model = self.auto.from_config(config)
        return nudge(model.to(self.dtype), seed + 100, 0.02)

    @property
    def auto(self) -> Any:
        """The transformers class that loads it."""
        return AutoModelForImageTextToText if self.image else AutoModelForCausalLM


EMBEDDING = "model.embed_tokens.weight"
UNTIED = (EMBEDDING, "lm_head.weight")
TIED = (EMBEDDING,)
PER_LAYER = SMALL | {
    "head_dim": 8,
    "layer_types": ["sliding_attention", "full_attention"],
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": BASE_ROWS,
}
VISION_SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}

FAMILIES = (
    Family("llama", "LlamaConfig", SMALL, UNTIED, tied=False, shard_size="10KB"),
    Family(
        "llama-biases",
        "LlamaConfig",
        SMALL | {"attention_bias": True, "mlp_bias": True},
        UNTIED,
        tied=False,
        holds=("self_attn.q_proj.bias", "self_attn.o_proj.bias", "mlp.gate_proj.bias", "mlp.down_proj.bias"),
    ),
    Family("llama-f32", "LlamaConfig", SMALL, UNTIED, tied=False, dtype=torch.float32),
    Family("mistral-f16", "MistralConfig", SMALL, UNTIED, tied=False, dtype=torch.float16),
    Family(
        "qwen2-tied",
        "Qwen2Config",
        SMALL | {"tie_word_embeddings": True},
        TIED,
        tied=True,
        holds=("self_attn.k_proj.bias",),
    ),
    Family(
        "qwen3",
        "Qwen3Config",
        SMALL | {"head_dim": 8, "tie_word_embeddings": False},
        UNTIED,
        tied=False,
        holds=("self_attn.q_norm.weight", "self_attn.k_norm.weight"),
    ),
    Family("qwen3-tied", "Qwen3Config", SMALL | {"head_dim": 8, "tie_word_embeddings": True}, TIED, tied=True),
    Family("gemma2", "Gemma2Config", SMALL | {"head_dim": 8}, TIED, tied=True, holds=("pre_feedforward_layernorm",)),
    Family(
        "gemma3-text", "Gemma3TextConfig", SMALL | {"head_dim": 8}, TIED, tied=True, holds=("self_attn.q_norm.weight",)
    ),
    Family(
        "gemma3n-text",
        "Gemma3nTextConfig",
        PER_LAYER
        | {
            "num_kv_shared_layers": 0,
            "activation_sparsity_pattern": [0.0, 0.0],
            "laurel_rank": 4,
            "altup_num_inputs": 2,
        },
        (EMBEDDING, "model.embed_tokens_per_layer.weight"),
        tied=True,
        holds=("model.per_layer_model_projection.weight", "altup.router_norm.weight"),
    ),
    Family(
        "gemma4-text",
        "Gemma4TextConfig",
        PER_LAYER,
        (EMBEDDING, "model.embed_tokens_per_layer.weight"),
        tied=True,
        holds=("model.per_layer_model_projection.weight", "layer_scalar"),
        frozen=("layer_scalar",),
    ),
    Family(
        "phi",
        "PhiConfig",
        SMALL,
        (*UNTIED, "lm_head.bias"),
        tied=False,
        holds=("self_attn.dense.bias", "mlp.fc1.bias", "final_layernorm.bias"),
    ),
    Family(
        "opt-projected",
        "OPTConfig",
        {
            "vocab_size": BASE_ROWS,
            "hidden_size": 16,
            "word_embed_proj_dim": 8,
            "ffn_dim": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": None,
        },
        ("model.decoder.embed_tokens.weight",),
        tied=True,
        holds=("embed_positions.weight", "project_in.weight", "self_attn.out_proj.bias"),
    ),
    Family(
        "gpt-neox",
        "GPTNeoXConfig",
        SMALL,
        ("gpt_neox.embed_in.weight", "embed_out.weight"),
        tied=False,
        holds=("attention.query_key_value.bias",),
    ),
    Family(
        "gpt2",
        "GPT2Config",
        {
            "vocab_size": BASE_ROWS,
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 64,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        ("transformer.wte.weight",),
        tied=True,
        holds=("attn.c_attn.bias", "wpe.weight"),
    ),
    Family(
        "mixtral",
        "MixtralConfig",
        SMALL | {"num_local_experts": 4, "num_experts_per_tok": 2},
        UNTIED,
        tied=False,
        holds=("block_sparse_moe.experts.3.w2.weight", "block_sparse_moe.gate.weight"),
    ),
    Family(
        "qwen3-moe",
        "Qwen3MoeConfig",
        SMALL | {"head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
        UNTIED,
        tied=False,
        holds=("mlp.experts.3.down_proj.weight", "mlp.gate.weight"),
        shard_size="20KB",
    ),
    Family(
        "llava",
        "LlavaConfig",
        {
            "text_config": {"model_type": "llama", **SMALL},
            "vision_config": {
                "model_type": "clip_vision_model",
                "image_size": 8,
                "patch_size": 4,
                "projection_dim": 16,
                **VISION_SIZES,
            },
            "image_token_index": 5,
            "vision_feature_layer": -1,
        },
        ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"),
        tied=False,
        holds=("vision_tower.", "multi_modal_projector."),
        image=True,
        frozen=("vision_tower.",),
    ),
    Family(
        "gemma3-vision",
        "Gemma3Config",
        {
            "text_config": {**SMALL, "head_dim": 8},
            "vision_config": {"image_size": 8, "patch_size": 4, **VISION_SIZES},
            "mm_tokens_per_image": 4,
            "image_token_index": 5,
        },
        ("language_model.model.embed_tokens.weight",),
        tied=True,
        holds=("vision_tower.", "multi_modal_projector."),
        image=True,
        frozen=("vision_tower.", "multi_modal_projector."),
    ),
)


def nudge(model: PreTrainedModel, seed: int, size: float, frozen: tuple[str, ...] = ()) -> PreTrainedModel:
    """Add noise to every parameter once (a tied head is the embedding), except those named in `frozen`."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not any(part in name for part in frozen):
                noise = torch.randn(parameter.shape, generator=generator) * size
                parameter.copy_((parameter.float() + noise).to(parameter.dtype))
    return model


def save(
    model: PreTrainedModel, folder: Path, special: tuple[str, ...], words: tuple[str, ...], shard_size: str = "5GB"
) -> None:
    """Save a model with `save_pretrained`, and a tokenizer of `special`, `<unk>` and `words` beside it.

    A tokenizer with `<|end|>` is a chat model's: it gets a template, a stop list and sampling settings.
    """
    model.save_pretrained(folder, max_shard_size=shard_size)
    (folder / "tokenizer.json").write_text(tokenizer_json(words, special), "utf-8")
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    generation: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1}
    if "<|end|>" in special:
        settings["chat_template"] = TEMPLATE
        generation |= {"eos_token_id": [1, special.index("<|end|>")], "temperature": 0.6, "do_sample": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2))


def write_family(family: Family, folder: Path) -> Trio:
    """Write base, chat and target of a family under `folder`."""
    base = family.make()
    save(base, folder / "base", BASE_SPECIAL, KNOWN)
    chat = family.make()
    chat.resize_token_embeddings(CHAT_ROWS, mean_resizing=False)
    save(nudge(chat, 1, 0.01, family.frozen), folder / "chat", CHAT_SPECIAL, KNOWN)
    target = family.make()
    target.resize_token_embeddings(TARGET_ROWS, mean_resizing=False)
    save(nudge(target, 2, 0.02), folder / "target", BASE_SPECIAL, (*KNOWN, *NEW), family.shard_size)
    return Trio(folder / "base", folder / "chat", folder / "target")
