# SPDX-License-Identifier: Apache-2.0
"""Small models made on the spot: real files, real tokenizers, weights from a seed. No network, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

BF16 = np.dtype(ml_dtypes.bfloat16)
F16, F32, F64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
DTYPES = {"BF16": BF16, "F16": F16, "F32": F32, "F64": F64}

Weights = dict[str, NDArray[Any]]

TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
WORDS = ("low", "lower", "new", "wide", "hello", "world", "나는", "한국", "사람", "번개", "⚡")


@dataclass
class Shape:
    """Sizes of a tiny Llama."""

    vocabulary: int = 64
    hidden: int = 16
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    mlp: int = 24
    tied: bool = False


def llama_weights(shape: Shape, seed: int = 0, dtype: np.dtype = BF16, std: float = 0.05) -> Weights:
    """The tensors of a tiny Llama under the names transformers uses, drawn from a seed."""
    rng = np.random.default_rng(seed)
    head_dim = shape.hidden // shape.heads

    def draw(*extents: int) -> NDArray[Any]:
        return (rng.standard_normal(extents) * std).astype(dtype)

    weights: Weights = {"model.embed_tokens.weight": draw(shape.vocabulary, shape.hidden)}
    for layer in range(shape.layers):
        at = f"model.layers.{layer}"
        weights[f"{at}.input_layernorm.weight"] = (1 + draw(shape.hidden).astype(F32)).astype(dtype)
        weights[f"{at}.self_attn.q_proj.weight"] = draw(shape.hidden, shape.hidden)
        weights[f"{at}.self_attn.k_proj.weight"] = draw(shape.kv_heads * head_dim, shape.hidden)
        weights[f"{at}.self_attn.v_proj.weight"] = draw(shape.kv_heads * head_dim, shape.hidden)
        weights[f"{at}.self_attn.o_proj.weight"] = draw(shape.hidden, shape.hidden)
        weights[f"{at}.post_attention_layernorm.weight"] = (1 + draw(shape.hidden).astype(F32)).astype(dtype)
        weights[f"{at}.mlp.gate_proj.weight"] = draw(shape.mlp, shape.hidden)
        weights[f"{at}.mlp.up_proj.weight"] = draw(shape.mlp, shape.hidden)
        weights[f"{at}.mlp.down_proj.weight"] = draw(shape.hidden, shape.mlp)
    weights["model.norm.weight"] = (1 + draw(shape.hidden).astype(F32)).astype(dtype)
    if not shape.tied:
        weights["lm_head.weight"] = draw(shape.vocabulary, shape.hidden)
    return weights


def nudged(
    weights: Mapping[str, NDArray[Any]], seed: int, size: float = 0.01, dtype: np.dtype | None = None
) -> Weights:
    """A child of `weights`: every float tensor plus a little noise, rounded to its own dtype (or `dtype`)."""
    rng = np.random.default_rng(seed)
    child: Weights = {}
    for name, values in weights.items():
        if values.dtype.kind in "iub":
            child[name] = values.copy()
            continue
        moved = values.astype(F64) + rng.standard_normal(values.shape) * size
        child[name] = moved.astype(dtype or values.dtype)
    return child


def llama_config(shape: Shape, **changes: Any) -> dict[str, Any]:
    """The config.json of a tiny Llama."""
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-05,
        "max_position_embeddings": 128,
        "rope_theta": 10000.0,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": "bfloat16",
    }
    return config | changes


def tokenizer_json(words: Sequence[str], special: Sequence[str] = ("<s>", "</s>")) -> str:
    """A word-level tokenizer: special tokens first, then `<unk>`, then `words`."""
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys((*special, "<unk>", *words)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer.to_str(pretty=True)


@dataclass
class Spec:
    """A model to be written: everything that a test may want to change."""

    weights: Weights
    config: dict[str, Any]
    tokenizer: str
    tokenizer_config: dict[str, Any] = field(
        default_factory=lambda: {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
        }
    )
    generation_config: dict[str, Any] | None = field(
        default_factory=lambda: {"bos_token_id": 0, "eos_token_id": 1, "do_sample": False}
    )
    shards: int = 1
    extra_files: dict[str, str | bytes] = field(default_factory=dict)


def write_model(path: Path, spec: Spec) -> Path:
    """Write `spec` as a Hugging Face model directory and return `path`."""
    path.mkdir(parents=True)
    write_weights(path, spec.weights, spec.shards)
    (path / "config.json").write_text(json.dumps(spec.config, indent=2) + "\n")
    (path / "tokenizer.json").write_text(spec.tokenizer, "utf-8")
    (path / "tokenizer_config.json").write_text(json.dumps(spec.tokenizer_config, indent=2, ensure_ascii=False) + "\n")
    if spec.generation_config is not None:
        (path / "generation_config.json").write_text(json.dumps(spec.generation_config, indent=2) + "\n")
    for name, content in spec.extra_files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_weights(path: Path, weights: Weights, shards: int = 1) -> None:
    """Write tensors with the safetensors library, over `shards` files with an index where there are several."""
    if shards == 1:
        save_file(weights, path / "model.safetensors", {"format": "pt"})
        return
    names = list(weights)
    index: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = names[number * len(names) // shards : (number + 1) * len(names) // shards]
        save_file({name: weights[name] for name in part}, path / file, {"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(values.nbytes for values in weights.values())
    document = {"metadata": {"total_size": total}, "weight_map": index}
    (path / "model.safetensors.index.json").write_text(json.dumps(document, indent=2))


@dataclass
class Trio:
    """Three models that belong together, and the directory they are in."""

    base: Path
    chat: Path
    target: Path

    def arguments(self) -> list[str]:
        """`TARGET --base BASE --chat CHAT`, as the command line takes them."""
        return [str(self.target), "--base", str(self.base), "--chat", str(self.chat)]


BASE_SPECIAL = ("<s>", "</s>")
CHAT_SPECIAL = ("<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")


def trio_specs(shape: Shape | None = None, dtype: np.dtype = BF16, seed: int = 0) -> dict[str, Spec]:
    """A trio whose chat model has a template and four special tokens that base and target lack.

    The vocabulary has padding rows enough for them; words lie at other ids in the chat model.
    """
    shape = shape or Shape()
    base_weights = llama_weights(shape, seed, dtype)
    config = llama_config(shape)
    plain = tokenizer_json(WORDS, BASE_SPECIAL)
    chat = Spec(nudged(base_weights, seed + 1, 0.01), dict(config), tokenizer_json(WORDS, CHAT_SPECIAL))
    chat.tokenizer_config["chat_template"] = TEMPLATE
    chat.generation_config = {"bos_token_id": 0, "eos_token_id": [1, 5]}
    return {
        "base": Spec(base_weights, dict(config), plain),
        "chat": chat,
        "target": Spec(nudged(base_weights, seed + 2, 0.03), dict(config), plain),
    }


def write_trio(folder: Path, specs: Mapping[str, Spec] | None = None, **arguments: Any) -> Trio:
    """Write base, chat and target under `folder`."""
    specs = specs or trio_specs(**arguments)
    return Trio(*(write_model(folder / role, specs[role]) for role in ("base", "chat", "target")))


def load_weights(path: Path) -> Weights:
    """All tensors of a model directory, read with the safetensors library."""
    from safetensors import safe_open

    weights: Weights = {}
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, "numpy") as opened:
            weights |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return weights
