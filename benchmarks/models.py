# SPDX-License-Identifier: Apache-2.0
"""Synthetic models for the benchmarks: Llama shapes of any size, streamed to disk, with real tokenizer files."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from chatvector.checkpoint.dtypes import DTYPES
from chatvector.checkpoint.header import build_header

BF16 = np.dtype(ml_dtypes.bfloat16)
# One block of random weights serves every tensor: the arithmetic takes equally long whatever the values.
BLOCK = 1 << 22
ROLES = ("base", "chat", "target")


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama: V vocabulary, D hidden, L layers, H heads, K key-value heads, F feed-forward."""

    name: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    tied: bool = False

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes, in file order."""
        size, keys = self.hidden, self.hidden // self.heads * self.kv_heads
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, size)}
        for layer in range(self.layers):
            at = f"model.layers.{layer}"
            found |= {
                f"{at}.input_layernorm.weight": (size,),
                f"{at}.mlp.down_proj.weight": (size, self.mlp),
                f"{at}.mlp.gate_proj.weight": (self.mlp, size),
                f"{at}.mlp.up_proj.weight": (self.mlp, size),
                f"{at}.post_attention_layernorm.weight": (size,),
                f"{at}.self_attn.k_proj.weight": (keys, size),
                f"{at}.self_attn.o_proj.weight": (size, size),
                f"{at}.self_attn.q_proj.weight": (size, size),
                f"{at}.self_attn.v_proj.weight": (keys, size),
            }
        found["model.norm.weight"] = (size,)
        if not self.tied:
            found["lm_head.weight"] = (self.vocabulary, size)
        return found

    @property
    def elements(self) -> int:
        """Weights in all."""
        return sum(int(np.prod(shape, dtype=np.int64)) for shape in self.tensors.values())

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.mlp,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-05,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": self.tied,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "torch_dtype": "bfloat16",
        }


# The shape of TinyLlama 1.1B, of Llama 3 8B, and an embedding as large as any: above 2 GiB in one tensor.
LLAMA_1B = Shape("1.1B", 32_000, 2048, 22, 32, 4, 5632)
LLAMA_8B = Shape("8B", 128_256, 4096, 32, 32, 8, 14_336)
WIDE = Shape("131k × 8192", 131_200, 8192, 1, 64, 8, 1024, tied=True)
# As few weights as there can be under a large vocabulary: what is left is the time for side files.
THIN_32K = Shape("32k tokens", 32_000, 64, 2, 4, 4, 128)
THIN_128K = Shape("128k tokens", 128_256, 64, 2, 4, 4, 128)


def write_trio(folder: Path, shape: Shape, *, sparse: bool = False) -> dict[str, Path]:
    """Write base, chat and target of one shape; what is there already is kept.

    `sparse` leaves all weights zero: files of any size that take no space, read as fast as memory.
    """
    found: dict[str, Path] = {}
    for role in ROLES:
        found[role] = folder / role
        if not (folder / role / "config.json").exists():
            _write_model(folder / role, shape, role, sparse=sparse)
    return found


def _write_model(folder: Path, shape: Shape, role: str, *, sparse: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    header, entries = build_header(
        [(name, DTYPES["BF16"], extents) for name, extents in shape.tensors.items()], {"format": "pt"}
    )
    with open(folder / "model.safetensors", "wb") as file:
        file.write(header)
        if sparse:
            file.truncate(entries[-1].offset + entries[-1].nbytes)
        else:
            for piece in _weights(shape.elements, role):
                file.write(piece.view(np.uint8).data)
    special = ["<s>", "</s>"]
    chat = role == "chat"
    (folder / "tokenizer.json").write_text(tokenizer_json(shape.vocabulary - 256, special), "utf-8")
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    if chat:
        settings["chat_template"] = (
            "{% for message in messages %}{{ bos_token + '[' + message['role'] + '] ' }}"
            "{{ message['content'] + eos_token }}{% endfor %}"
            "{% if add_generation_prompt %}{{ bos_token + '[assistant] ' }}{% endif %}"
        )
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 1}))
    (folder / "config.json").write_text(json.dumps(shape.config, indent=2))


def _weights(elements: int, role: str) -> Iterator[NDArray[Any]]:
    """Base's weights from one seed; chat and target are base plus noise of their own."""
    base = np.random.default_rng(0).standard_normal(BLOCK, np.float32) * np.float32(0.02)
    seed, size = {"base": (0, 0.0), "chat": (1, 0.001), "target": (2, 0.003)}[role]
    noise = np.random.default_rng(100 + seed).standard_normal(BLOCK, np.float32) * np.float32(size)
    block = (base + noise).astype(BF16)
    for start in range(0, elements, BLOCK):
        # Another beginning in each block, so that no two tensors hold the same rows.
        yield np.roll(block, start // BLOCK * 4099)[: min(BLOCK, elements - start)]


def tokenizer_json(tokens: int, special: list[str]) -> str:
    """A byte-level BPE of `tokens` tokens: at 128 k, 144 k merges and 10.7 MB, near Llama 3's; deterministic."""
    alphabet = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
    draw = random.Random(0)
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    known, merges = list(alphabet), []
    while len(vocabulary) < tokens:
        left, right = draw.choice(known), draw.choice(known[:2000])
        merged = left + right
        if len(merged) <= 12:
            merges.append([left, right])
            if merged not in vocabulary:
                vocabulary[merged] = len(vocabulary)
                known.append(merged)
    for token in known[len(alphabet) :]:  # another way to the same token
        cut = draw.randrange(1, len(token)) if len(token) > 2 else 1
        if token[:cut] in vocabulary and token[cut:] in vocabulary:
            merges.append([token[:cut], token[cut:]])
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for number, token in enumerate(special)
    ]
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": vocabulary,
            "merges": merges,
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=2)
