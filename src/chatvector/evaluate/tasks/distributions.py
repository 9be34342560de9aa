# SPDX-License-Identifier: Apache-2.0
"""Distributions of a model over its vocabulary at every token of some texts, kept on disk while they are needed."""

from __future__ import annotations

import errno
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from typing import IO, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chatvector.checkpoint.staging import temporary_folder
from chatvector.errors import NotEnoughSpace
from chatvector.runtime.backend import Backend


@runtime_checkable
class DistributionBackend(Backend, Protocol):
    """A model whose distributions can be read."""

    def log_probabilities(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Token ids (T) and, at each token, natural log-probabilities of the whole vocabulary (T, V)."""
        ...

    def vocabulary(self) -> Mapping[str, int]:
        """Token → id."""
        ...


class Distributions:
    """Token ids and log-probabilities by text. The log-probabilities are in an unnamed temporary file, T·V·4 bytes per
    text, that is deleted together with the object."""

    def __init__(self, vocabulary: Mapping[str, int], file: IO[bytes]) -> None:
        self.vocabulary = dict(vocabulary)
        self._file = file
        weakref.finalize(self, file.close)
        self._ids: dict[str, NDArray[np.int64]] = {}
        self._places: dict[str, tuple[int, tuple[int, int]]] = {}

    @classmethod
    def record(cls, backend: DistributionBackend, texts: Sequence[str]) -> Self:
        """Asks the model once for each different text. Raises NotEnoughSpace if the folder for temporary files is
        full."""
        file = tempfile.TemporaryFile(prefix="chatvector-distributions-", dir=temporary_folder())  # noqa: SIM115 (lives as long as the object)
        found = cls(backend.vocabulary(), file)
        for text in dict.fromkeys(texts):
            found._keep(text, *backend.log_probabilities(text))
        return found

    def __getitem__(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        offset, shape = self._places[text]
        return self._ids[text], np.memmap(self._file, np.float32, "r", offset, shape)

    def unlike(self, other: Distributions, text: str) -> str | None:
        """The reason why a text's distributions cannot be compared with those of `other`; None if they can be. `other`
        may have more tokens in its vocabulary."""
        ids, others = self._ids[text], other._ids[text]
        if not np.array_equal(ids, others):
            return f"the tokenizers cut the text differently ({len(ids)} and {len(others)} tokens)"
        moved = sum(other.vocabulary.get(token) != row for token, row in self.vocabulary.items())
        if moved:
            return f"{moved} of {len(self.vocabulary)} tokens have another id, or none, in the other vocabulary"
        width, others_width = self._places[text][1][1], other._places[text][1][1]
        if width > others_width:
            return f"the other model has fewer rows ({others_width}, not {width})"
        return None

    def _keep(self, text: str, ids: NDArray[np.int64], log_probabilities: NDArray[np.float32]) -> None:
        offset = self._file.seek(0, 2)
        try:
            self._file.write(np.ascontiguousarray(log_probabilities, np.float32).data)
            self._file.flush()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                size = log_probabilities.nbytes
                raise NotEnoughSpace(
                    f"{tempfile.gettempdir()}: no room for distributions ({size} bytes for one text); set TMPDIR to a "
                    "larger folder, or take fewer texts (--limit)"
                ) from error
            raise
        self._ids[text] = ids
        self._places[text] = offset, log_probabilities.shape
