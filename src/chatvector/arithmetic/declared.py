# SPDX-License-Identifier: Apache-2.0
"""What config.json says of embedding and head, against the tensors: a tied head, the rows of the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatvector.arithmetic.roles import find_vocabulary, text_config
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.errors import DamagedFile, brief

UNTIED_BY_DEFAULT = frozenset({
    "afmoe", "apertus", "arcee", "bamba", "bitnet", "codegen", "cwm", "dbrx", "deepseek_v2", "deepseek_v3",
    "diffllama", "dots1", "exaone4", "falcon_h1", "flex_olmo", "glm", "glm4", "glm4_moe", "gpt_neox", "gpt_oss",
    "gptj", "granite", "granitemoe", "granitemoehybrid", "granitemoeshared", "helium", "hunyuan_v1_dense",
    "hunyuan_v1_moe", "jamba", "llama", "llama4_text", "longcat_flash", "mamba2", "minimax", "ministral", "mistral",
    "mixtral", "nemotron", "olmo", "olmo2", "olmo3", "olmoe", "persimmon", "phi", "phi3", "phimoe", "qwen2",
    "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next", "rwkv", "seed_oss", "stablelm",
})  # fmt: skip
"""Model types whose configuration class in transformers means `tie_word_embeddings: false` where the key is absent."""


def tie_flag(config: Mapping[str, Any]) -> bool | None:
    """What a configuration says about head and embedding, or its class says by default; None where nobody does."""
    said = {**text_config(config), **config}
    if "tie_word_embeddings" in said:
        flag = said["tie_word_embeddings"]
        return flag if isinstance(flag, bool) else None
    return False if _untied_by_default(config) else None


def tie_source(config: Mapping[str, Any]) -> str:
    """Why the head is not tied, for a message: the key, or what its absence means."""
    if "tie_word_embeddings" in text_config(config):
        return "tie_word_embeddings false"
    return f"nothing of tie_word_embeddings, which means false for model_type {config['model_type']}"


def require_consistent_ties(model: Checkpoint) -> None:
    """Raise DamagedFile when the configuration promises a head of its own and the files hold none."""
    axis = find_vocabulary(model.tensors, model.config)
    if axis.embedding is None or axis.head is not None:
        return
    if tie_flag(model.config) is False:
        raise DamagedFile(
            f"{model.name}: config.json says {tie_source(model.config)}, but the files hold no head (lm_head);"
            " get the missing tensor, or set the flag to true if the head is the embedding"
        )


def require_declared_rows(model: Checkpoint) -> None:
    """Raise DamagedFile when the embedding has no rows, or vocab_size is there and another number than of its rows.

    No loader takes such a model, and a merge of it would have the same configuration. Fewer than the rows are left to
    models that bring code of their own, which may pad what it is told.
    """
    embedding = find_vocabulary(model.tensors, model.config).embedding
    text = text_config(model.config)
    if embedding is None:
        return
    rows = model.tensors[embedding].shape[0]
    if rows == 0:
        raise DamagedFile(f"{model.name}: {embedding} has no rows; get the weights again")
    if "vocab_size" not in text:
        return
    size = text["vocab_size"]
    own_code = "auto_map" in model.config or "model_type" not in model.config
    if type(size) is not int or size > rows or size < 1 or (size < rows and not own_code):
        raise DamagedFile(
            f"{model.name}: config.json says vocab_size {brief(repr(size))}, {embedding} has {rows} rows;"
            f" set vocab_size to {rows}, or get the weights that belong to this configuration"
        )


def _untied_by_default(config: Mapping[str, Any]) -> bool:
    """By the class that is loaded: the top one's, whatever language model it wraps."""
    found = config.get("model_type")
    return isinstance(found, str) and found in UNTIED_BY_DEFAULT
