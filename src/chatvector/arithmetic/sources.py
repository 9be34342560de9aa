# SPDX-License-Identifier: Apache-2.0
"""Where a chat vector comes from: a lazy pair of checkpoints, or a directory that `extract` wrote.

Both offer the same: two parents with configuration and side files, per tensor the difference as one or two sources,
and the chat model's raw rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.plan import Slice
from chatvector.arithmetic.roles import find_vocabulary
from chatvector.arithmetic.stored import StoredVector
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.dtypes import DType
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.errors import DamagedFile
from chatvector.vocabulary.rows import RowMap


@dataclass(frozen=True, eq=False)
class PairVector:
    """`chat − base`, never written anywhere."""

    base: Checkpoint
    chat: Checkpoint

    @property
    def name(self) -> str:
        """The vector's name in messages."""
        return f"{self.chat.name} − {self.base.name}"

    @property
    def tensors(self) -> Mapping[str, TensorRef]:
        """The chat model's tensors."""
        return self.chat.tensors

    def rows(self) -> tuple[int, int]:
        """Rows of the embeddings of base and chat."""
        return embedding_rows(self.base), embedding_rows(self.chat)

    def difference(self, name: str, rows: RowMap | None) -> tuple[Slice, Slice | None]:
        """Chat's and base's tensor, seen through the row maps."""
        return (
            Slice(self.chat, tensor_or_embedding(self.chat, name), None if rows is None else rows.chat),
            Slice(self.base, tensor_or_embedding(self.base, name), None if rows is None else rows.base),
        )

    def raw_rows(self, name: str, rows: NDArray[np.int64]) -> Slice:
        """Rows of a chat tensor, unchanged."""
        return Slice(self.chat, tensor_or_embedding(self.chat, name), rows)

    def parent_dtypes(self, name: str) -> tuple[DType, ...]:
        """Dtypes of chat's and base's tensor."""
        return tensor_or_embedding(self.chat, name).dtype, tensor_or_embedding(self.base, name).dtype

    def inputs(self) -> Iterable[Checkpoint]:
        """Base and chat."""
        return self.base, self.chat


def tensor_or_embedding(model: Checkpoint, name: str) -> TensorRef:
    """The tensor `name`, or the embedding where the model ties its head to it."""
    if name in model.tensors:
        return model.tensors[name]
    embedding = find_vocabulary(model.tensors, model.config).embedding
    if embedding is None:
        raise DamagedFile(f"{model.name}: has neither {name} nor an embedding that it could be tied to")
    return model.tensors[embedding]


def embedding_rows(model: Checkpoint) -> int:
    """Rows of a model's embedding, padding included. Raises DamagedFile when no embedding is found."""
    embedding = find_vocabulary(model.tensors, model.config).embedding
    if embedding is None:
        raise DamagedFile(
            f"{model.name}: no embedding found (a matrix with one row per token); is this a language model?"
        )
    return model.tensors[embedding].shape[0]


class EmbeddingRows:
    """The rows of a checkpoint's embedding, for the criterion of untrained rows: V = `rows`, D = `dim`."""

    def __init__(self, model: Checkpoint) -> None:
        self._model = model
        self._name = find_vocabulary(model.tensors, model.config).embedding or ""
        self.rows = embedding_rows(model)
        self.dim = model.tensors[self._name].row_elements

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows by index, [n, D]."""
        return self._model.read_rows(self._name, rows)


VectorSource = PairVector | StoredVector
"""One chat vector, from two checkpoints or from disk."""
