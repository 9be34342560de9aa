# SPDX-License-Identifier: Apache-2.0
"""Headers in three lines: tensors as names, shapes and dtypes, without files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A dtype by its safetensors code."""

    code: str


@dataclass(frozen=True)
class Tensor:
    """Shape and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: Code


def tensors(shapes: Mapping[str, tuple[int, ...]], code: str = "BF16") -> dict[str, Tensor]:
    """Tensors of one dtype: {"model.norm.weight": (8,)}."""
    return {name: Tensor(shape, Code(code)) for name, shape in shapes.items()}


def llama(
    *, vocabulary: int = 48, hidden: int = 8, layers: int = 2, head: bool = True, prefix: str = "model."
) -> dict[str, Tensor]:
    """The header of a tiny Llama."""
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(layers):
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            shapes[f"{prefix}layers.{layer}.self_attn.{part}.weight"] = (hidden, hidden)
        for part in ("gate_proj", "up_proj"):
            shapes[f"{prefix}layers.{layer}.mlp.{part}.weight"] = (2 * hidden, hidden)
        shapes[f"{prefix}layers.{layer}.mlp.down_proj.weight"] = (hidden, 2 * hidden)
        shapes[f"{prefix}layers.{layer}.input_layernorm.weight"] = (hidden,)
        shapes[f"{prefix}layers.{layer}.post_attention_layernorm.weight"] = (hidden,)
    shapes[f"{prefix}norm.weight"] = (hidden,)
    if head:
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return tensors(shapes)
