# SPDX-License-Identifier: Apache-2.0
"""Rows of a matrix of a model that may lie behind a network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from chatvector.checks.doctor.patient import Patient

# Reads that wait for a network run side by side.
REMOTE_THREADS = 16


class Rows:
    """Rows of a matrix, [V, D]; read side by side where each read waits for a network."""

    def __init__(self, model: Patient, name: str) -> None:
        self._model, self._name = model, name
        ref = model.weights.tensors[name]
        self.rows, self.dim = ref.shape[0], ref.row_elements

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows by number: [n] → [n, D]."""
        if self._model.is_local or len(rows) < REMOTE_THREADS:
            return self._model.weights.read_rows(self._name, rows)
        with ThreadPoolExecutor(REMOTE_THREADS) as pool:
            parts = pool.map(lambda part: self._model.weights.read_rows(self._name, part), np.array_split(rows, 64))
            return np.concatenate(list(parts))
