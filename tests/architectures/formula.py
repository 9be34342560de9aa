# SPDX-License-Identifier: Apache-2.0
"""The chat vector written down a second time, in torch and in memory, for tests to compare with.

    merged = target + scale · (chat − base), in float32 (float64 where a tensor is float32), rounded once

It shares nothing with the package: rows are matched with the tokenizers library, tensors are read with safetensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from builders import Trio

TEMPLATE_TOKENS = ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>")


@dataclass(frozen=True)
class Rows:
    """For one trio, the rows of the output: V of them.

    Attributes:
        count: V.
        shared: output row → (row in chat, row in base), for tokens that both have.
        moved: output row → row in chat, for template tokens that base lacks.
    """

    count: int
    shared: dict[int, tuple[int, int]]
    moved: dict[int, int]


def read_rows(trio: Trio, output: Path, count: int) -> Rows:
    """Match tokens by their strings; the output's own tokenizer says where they lie."""
    base, chat, target = (
        Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
        for folder in (trio.base, trio.chat, trio.target)
    )
    own = Tokenizer.from_file(str(output / "tokenizer.json")).get_vocab()
    assert all(own[token] == row for token, row in target.items())
    shared = {row: (chat[token], base[token]) for token, row in own.items() if token in chat and token in base}
    moved = {own[token]: chat[token] for token in TEMPLATE_TOKENS}
    assert not moved.keys() & shared.keys()
    return Rows(count, shared, moved)


def add(target: torch.Tensor, chat: torch.Tensor, base: torch.Tensor, scale: float) -> torch.Tensor:
    """The formula for one tensor, elementwise; all three of one shape."""
    work = torch.float64 if torch.float32 in (target.dtype, chat.dtype, base.dtype) else torch.float32
    return (target.to(work) + scale * (chat.to(work) - base.to(work))).to(target.dtype)


def add_rows(target: torch.Tensor, chat: torch.Tensor, base: torch.Tensor, scale: float, rows: Rows) -> torch.Tensor:
    """The formula for a tensor with one row per token: [V, …]. Rows behind the target's that no token owns are 0."""
    merged = torch.zeros((rows.count, *target.shape[1:]), dtype=target.dtype)
    merged[: len(target)] = target
    for row, (in_chat, in_base) in rows.shared.items():
        merged[row] = add(target[row], chat[in_chat], base[in_base], scale)
    for row, in_chat in rows.moved.items():
        merged[row] = chat[in_chat]
    return merged


def load_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a model directory."""
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def merge_files(trio: Trio, vocabulary: tuple[str, ...], scale: float, rows: Rows) -> dict[str, torch.Tensor]:
    """The whole model by the formula, under the names of the target's files."""
    base, chat, target = (load_tensors(folder) for folder in (trio.base, trio.chat, trio.target))
    return {
        name: add_rows(tensor, chat[name], base[name], scale, rows)
        if name in vocabulary
        else add(tensor, chat[name], base[name], scale)
        for name, tensor in target.items()
    }


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors agree in dtype, shape and every bit (so −0 is not 0)."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


def is_tied(model: PreTrainedModel) -> bool:
    """Whether head and embedding of a loaded model are one parameter."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    assert head is not None
    return head.weight is embedding.weight
