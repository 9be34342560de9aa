# SPDX-License-Identifier: Apache-2.0
"""Tensors that follow from a configuration, as data: biases, query and key norms, experts, shapes.

The tables hold only what is the same in every release of an architecture. Sources: the modelling files of
transformers 4.40 to 5.23, where a flag sets `bias=` of a linear layer, or a module is made in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Keys for the number of layers. HRM runs its layers several times, and its num_hidden_layers counts the repetitions.
LAYER_KEYS = ("num_layers_per_stack", "num_hidden_layers", "n_layer", "n_layers", "num_layers")


@dataclass(frozen=True)
class Promise:
    """Tensors that every layer with `beside` must hold, when `flag` is `value` (or always, for some model types).

    Attributes:
        code: the fault when they are missing.
        tensors: endings of names after the layer; alternatives are spellings of one tensor.
        beside: ending of a tensor's name that shows that a layer has the module in question.
        flag: key of the configuration; None when the architecture always has the tensors.
        value: value of the flag with which the tensors are there.
        model_types: model types it applies to; empty for all.
        default: meaning of an absent flag.
    """

    code: str
    tensors: tuple[str, ...]
    beside: str
    flag: str | None = None
    value: object = True
    model_types: frozenset[str] = frozenset()
    default: object = None

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether the configuration promises these tensors."""
        if self.model_types and config.get("model_type") not in self.model_types:
            return False
        return self.flag is None or config.get(self.flag, self.default) == self.value


def _types(*names: str) -> frozenset[str]:
    return frozenset(names)


# Architectures with Llama's names whose attention_bias covers q, k, v and o.
FULL_BIAS = _types(
    "llama",
    "qwen3",
    "qwen3_moe",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "cohere",
    "cohere2",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "arcee",
    "smollm3",
)
QKV_BIAS = _types("glm", "glm4", "granite", "granitemoe", "phimoe", "apertus", "seed_oss", "gpt_oss")
QWEN2 = _types("qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl")
QK_NORM = _types(
    "qwen3", "qwen3_moe", "qwen3_vl", "qwen3_vl_moe", "gemma3", "gemma3_text", "olmo2", "olmo3", "olmoe", "apertus"
)

_Q, _K, _V, _O = (f"self_attn.{part}_proj.weight" for part in "qkvo")


def _bias(name: str) -> str:
    return name.removesuffix("weight") + "bias"


PROMISES: tuple[Promise, ...] = (
    *(
        Promise("biases-dropped", (_bias(name),), name, "attention_bias", model_types=FULL_BIAS)
        for name in (_Q, _K, _V, _O)
    ),
    *(Promise("biases-dropped", (_bias(name),), name, "attention_bias", model_types=QKV_BIAS) for name in (_Q, _K, _V)),
    *(Promise("biases-dropped", (_bias(name),), name, model_types=QWEN2) for name in (_Q, _K, _V)),
    *(
        Promise("biases-dropped", (_bias(name),), name, "mlp_bias", model_types=_types("llama", "granite", "arcee"))
        for name in ("mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight")
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, "use_qkv_bias", model_types=_types("stablelm"))
        for name in (_Q, _K, _V)
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, "use_bias", model_types=_types("starcoder2"), default=True)
        for name in (_Q, _K, _V, _O, "mlp.c_fc.weight", "mlp.c_proj.weight")
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, model_types=_types("phi"))
        for name in (_Q, _K, _V, "self_attn.dense.weight", "mlp.fc1.weight", "mlp.fc2.weight")
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, "enable_bias", model_types=_types("opt"), default=True)
        for name in (_Q, _K, _V, "self_attn.out_proj.weight", "fc1.weight", "fc2.weight")
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, "attention_bias", model_types=_types("gpt_neox"), default=True)
        for name in ("attention.query_key_value.weight", "attention.dense.weight")
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, model_types=_types("gpt_neox"))
        for name in ("mlp.dense_h_to_4h.weight", "mlp.dense_4h_to_h.weight")
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, model_types=_types("gpt2"))
        for name in ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    ),
    *(
        Promise("biases-dropped", (_bias(name),), name, "bias", model_types=_types("falcon"))
        for name in ("self_attention.query_key_value.weight", "self_attention.dense.weight")
    ),
    *(
        Promise("norms-dropped", (f"self_attn.{part}_norm.weight",), beside, model_types=QK_NORM)
        for part, beside in (("q", _Q), ("k", _K))
    ),
    *(
        Promise(
            "norms-dropped", (f"self_attn.{part}_norm.weight",), beside, "use_qk_norm", model_types=_types("cohere")
        )
        for part, beside in (("q", _Q), ("k", _K))
    ),
    *(
        Promise(
            "norms-dropped",
            (f"self_attn.{part}_layernorm.weight", f"self_attn.{part}_layernorm.norms.0.weight"),
            beside,
            "qk_layernorm",
            model_types=_types("stablelm", "phi", "persimmon"),
        )
        for part, beside in (("q", _Q), ("k", _K))
    ),
)

# Flags that switch biases off: model types that respect them, and the ending of a bias that is then ignored.
SWITCHES: tuple[tuple[str, frozenset[str], str], ...] = (
    ("attention_bias", FULL_BIAS, ".self_attn.q_proj.bias"),
    ("mlp_bias", _types("llama", "granite", "arcee"), ".mlp.up_proj.bias"),
)

# Model types whose language model ends with a norm called `norm`.
LAST_NORM = _types(
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text",
    "olmo2", "olmo3", "olmoe", "smollm3", "granite", "glm", "glm4", "phi3", "phimoe", "starcoder2", "stablelm",
)  # fmt: skip

# Those of them whose norms multiply by 1 + weight, so that training starts from zero weights.
GAINS_FROM_ZERO = _types("gemma", "gemma2", "gemma3_text")

# Classes that have an untied head even where tie_word_embeddings is true.
OWN_HEAD = _types("BigBirdPegasusForCausalLM")

# Families whose published embeddings are padded to a multiple.
PADDED: Mapping[str, int] = {
    "qwen2": 128,
    "qwen2_moe": 128,
    "qwen3": 128,
    "qwen3_moe": 128,
    "phi": 64,
    "phi3": 64,
    "gpt_neox": 16,
    "olmo2": 128,
    "olmo3": 128,
}

# Mixtures whose published layout has one tensor for each expert and matrix.
PER_EXPERT = _types("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "phimoe", "deepseek_v2", "deepseek_v3", "glm4_moe")
EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts")

# Model types whose projections have heads × head_dim rows (the output projection: columns), and those of them where
# head_dim defaults to hidden_size / heads. Key and value heads: num_key_value_heads, where given.
HEADS_SHARE_WIDTH = _types(
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "granite", "smollm3", "arcee", "starcoder2",
    "olmo", "olmo2", "olmo3", "olmoe", "cohere", "exaone4",
)  # fmt: skip
HEADS_GIVE_SHAPES = HEADS_SHARE_WIDTH | _types("qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "glm", "glm4")

# Ending of a tensor's name -> the keys of the configuration that give its extents; None for any.
SHAPES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (".input_layernorm.weight", ("hidden_size",)),
    (".post_attention_layernorm.weight", ("hidden_size",)),
    (".mlp.down_proj.weight", ("hidden_size", "intermediate_size")),
    (".mlp.gate_proj.weight", ("intermediate_size", "hidden_size")),
    (".mlp.up_proj.weight", ("intermediate_size", "hidden_size")),
)
