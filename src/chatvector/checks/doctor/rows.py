# SPDX-License-Identifier: Apache-2.0
"""Reads rows of a matrix for the criterion for untrained rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chatvector.checks.doctor.patient import Patient


class Rows:
    """Rows of one matrix of a model: V = `rows`, D = `dim`."""

    def __init__(self, model: Patient, name: str) -> None:
        self._model, self._name = model, name
        ref = model.weights.tensors[name]
        self.rows, self.dim = ref.shape[0], ref.row_elements

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows by number: [n] → [n, D]."""
        return self._model.weights.read_rows(self._name, rows)
