# SPDX-License-Identifier: Apache-2.0
"""Makes, extends and writes the family's models between stages, and says which of their rows stay untrained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from chatvector.lab.recipe import Shape
from chatvector.lab.tokens import END, END_OF_TURN, RESERVED, write_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

EMBEDDING = "model.embed_tokens.weight"
_UNTRAINED_STD = 1e-3
"""Initial standard deviation of the reserved rows, about a sixtieth of that of the others. They are never trained."""


def reserved_rows(tokenizer: Tokenizer) -> list[int]:
    """Ids of the reserved tokens, the end of turn first."""
    rows = [tokenizer.token_to_id(token) for token in RESERVED]
    return [row for row in rows if row is not None]


def new_model(shape: Shape, reserved: list[int], seed: int) -> LlamaForCausalLM:
    """A Llama with random weights; the reserved rows of its tied embedding are near zero."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        initializer_range=shape.initial_std,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        rows = model.get_parameter(EMBEDDING)
        rows[reserved] = torch.randn(len(reserved), shape.hidden) * _UNTRAINED_STD
    return model


def begin_as_end(model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    """Sets the row of the end-of-turn token to that of `</s>`. Starting near zero, it would still be too short after a
    few hundred small steps to be told from untrained rows."""
    import torch

    rows = model.get_parameter(EMBEDDING)
    with torch.no_grad():
        rows[tokenizer.token_to_id(END_OF_TURN)] = rows[tokenizer.token_to_id(END)]


def extended(model: LlamaForCausalLM, before: Tokenizer, after: Tokenizer) -> LlamaForCausalLM:
    """The model with a new row for each token that `after` appends. The row is the mean of the rows of the token's
    pieces in `before`."""
    import torch

    old, new = before.get_vocab_size(), after.get_vocab_size()
    kept = model.get_parameter(EMBEDDING).detach().clone()
    model.resize_token_embeddings(new, mean_resizing=False)
    rows = model.get_parameter(EMBEDDING)
    with torch.no_grad():
        rows[:old] = kept
        for row in range(old, new):
            text = after.id_to_token(row)
            assert text is not None
            pieces = before.encode(text.replace("▁", " "), add_special_tokens=False).ids
            rows[row] = kept[pieces].mean(dim=0)
    return model


def write_model(model: LlamaForCausalLM, tokenizer: Tokenizer, directory: Path, template: str | None) -> None:
    """Writes a complete model directory: weights, configurations, tokenizer, and the chat template if there is one."""
    from transformers import GenerationConfig

    end = tokenizer.token_to_id(END)
    stops = end if template is None else [end, tokenizer.token_to_id(END_OF_TURN)]
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=stops, pad_token_id=0)
    model.save_pretrained(directory)
    (directory / "model.safetensors").chmod(0o644)
    _add_old_keys(directory / "config.json")
    write_tokenizer(tokenizer, directory, positions=model.config.max_position_embeddings, template=template)


def put_back(directory: Path, source: Path, rows: list[int]) -> None:
    """Restores rows of the embedding from `source`, because a trainer that has no frozen rows has moved them."""
    from safetensors.torch import load_file, save_file

    tensors, before = load_file(directory / "model.safetensors"), load_file(source / "model.safetensors")
    tensors[EMBEDDING][rows] = before[EMBEDDING][rows]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def _add_old_keys(path: Path) -> None:
    """Adds the RoPE base and the dtype under the names that readers from before transformers 5 look for."""
    config = json.loads(path.read_text("utf-8"))
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    config["torch_dtype"] = config["dtype"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
