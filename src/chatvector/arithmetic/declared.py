# SPDX-License-Identifier: Apache-2.0
"""Check config.json against the tensors: whether the head is tied, and the rows of the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from chatvector.arithmetic.roles import find_vocabulary, per_layer_embedding
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.tensor_info import TensorInfo
from chatvector.errors import DamagedFile, brief
from chatvector.vocabulary.side_files import PER_LAYER_SIZE, VOCABULARY_SIZE, text_config

UNTIED_BY_DEFAULT = frozenset({
    "afmoe", "apertus", "arcee", "bamba", "bitnet", "codegen", "cwm", "dbrx", "deepseek_v2", "deepseek_v3",
    "diffllama", "dots1", "exaone4", "falcon_h1", "flex_olmo", "glm", "glm4", "glm4_moe", "gpt_neox", "gpt_oss",
    "gptj", "granite", "granitemoe", "granitemoehybrid", "granitemoeshared", "helium", "hunyuan_v1_dense",
    "hunyuan_v1_moe", "jamba", "llama", "llama4_text", "longcat_flash", "mamba2", "minimax", "ministral", "mistral",
    "mixtral", "nemotron", "olmo", "olmo2", "olmo3", "olmoe", "persimmon", "phi", "phi3", "phimoe", "qwen2",
    "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next", "rwkv", "seed_oss", "stablelm",
})  # fmt: skip
"""Model types whose configuration class in transformers defaults `tie_word_embeddings` to false."""


def tie_flag(config: Mapping[str, Any]) -> bool | None:
    """`tie_word_embeddings` of a configuration, else the default of its class; None where neither is known."""
    said = {**text_config(config), **config}
    if "tie_word_embeddings" in said:
        flag = said["tie_word_embeddings"]
        return flag if isinstance(flag, bool) else None
    return False if _untied_by_default(config) else None


def tie_source(config: Mapping[str, Any]) -> str:
    """The reason why the head is not tied, for a message: the key, or the default where it is absent."""
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


class Declared(NamedTuple):
    """The rows of a vocabulary table: as the configuration declares them, and as the table has them."""

    key: str
    said: object
    tensor: str
    rows: int

    def __str__(self) -> str:
        return f"config.json says {self.key} {brief(repr(self.said))}, {self.tensor} has {self.rows} rows"


def declared_rows(tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> Iterator[Declared]:
    """Declared and actual rows of each vocabulary table whose number of rows the configuration declares."""
    text = text_config(config)
    tables = {VOCABULARY_SIZE: find_vocabulary(tensors, config).embedding}
    tables[PER_LAYER_SIZE] = per_layer_embedding(tensors)
    for key, table in tables.items():
        if table is not None and key in text:
            yield Declared(key, text[key], table, tensors[table].shape[0])


def require_declared_rows(model: Checkpoint) -> None:
    """Raise DamagedFile when the embedding has no rows, or a table has another number of rows than config.json says.

    No loader takes such a model, and a merge would inherit its configuration. A model with its own code may declare
    fewer rows than the table has, because that code may pad.
    """
    embedding = find_vocabulary(model.tensors, model.config).embedding
    if embedding is not None and model.tensors[embedding].shape[0] == 0:
        raise DamagedFile(f"{model.name}: {embedding} has no rows; get the weights again")
    own_code = "auto_map" in model.config or "model_type" not in model.config
    for declared in declared_rows(model.tensors, model.config):
        key, size, _table, rows = declared
        if type(size) is not int or size > rows or size < 1 or (size < rows and not own_code):
            raise DamagedFile(
                f"{model.name}: {declared}; set {key} to {rows}, or get the weights that belong to this configuration"
            )


def _untied_by_default(config: Mapping[str, Any]) -> bool:
    """Whether the class that is loaded (the outermost, whatever model it wraps) has untied heads by default."""
    found = config.get("model_type")
    return isinstance(found, str) and found in UNTIED_BY_DEFAULT
