# SPDX-License-Identifier: Apache-2.0
"""Energy at a rank: exact against a full decomposition, bounds that hold, blocks that do not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chatvector.inspection import spectrum
from chatvector.inspection.spectrum import Energy, energy_at_rank


def measured(matrix: NDArray[Any], rank: int, block: int = 64) -> Energy | None:
    rows, columns = matrix.shape
    return energy_at_rank(lambda start, stop: matrix[start:stop], (rows, columns), rank, block)


def true_energy(matrix: NDArray[Any], rank: int) -> float:
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return float(squares[:rank].sum() / squares.sum())


def test_by_hand() -> None:
    # Singular values 4 and 3: rank 1 holds 16/25.
    found = measured(np.array([[0.0, 4.0], [3.0, 0.0]]), 1)
    assert found == Energy(1, pytest.approx(0.64, rel=1e-12), pytest.approx(0.64, rel=1e-12))  # type: ignore[arg-type]


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    rank=st.integers(1, 45),
    block=st.integers(1, 2000),
    seed=st.integers(0, 99),
)
def test_exact_for_any_shape_and_block(rows: int, columns: int, rank: int, block: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    found = measured(matrix, rank, block)
    assert found is not None
    assert found.low == found.high == pytest.approx(true_energy(matrix, rank), abs=1e-10)


def test_a_zero_matrix_has_no_energy() -> None:
    assert measured(np.zeros((5, 7)), 2) is None


@pytest.mark.parametrize("shape", [(90, 60), (60, 90)])
@pytest.mark.parametrize("decay", [0.0, 0.5, 1.5])
def test_the_bounds_of_large_matrices_enclose_the_truth(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], decay: float
) -> None:
    """The randomised way, forced: singular values that fall as a power of their number."""
    monkeypatch.setattr(spectrum, "EXACT", 0)
    rng = np.random.default_rng(5)
    left, _, right = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    matrix = left * np.arange(1, 61.0) ** -decay @ right
    for rank in (1, 4, 16):
        found, truth = measured(matrix, rank, 700), true_energy(matrix, rank)
        assert found is not None
        assert found.low - 1e-12 <= truth <= found.high + 1e-12
        if decay >= 0.5:  # a spectrum that falls is found nearly exactly
            assert found.low == pytest.approx(truth, rel=0.02)


def test_zero_matrices_are_known_the_randomised_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "EXACT", 0)
    assert measured(np.zeros((40, 50)), 2) is None


def test_a_matrix_of_low_rank_is_held_wholly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "EXACT", 0)
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((80, 3)) @ rng.standard_normal((3, 70))
    found = measured(matrix, 3)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(1, abs=1e-9), pytest.approx(1, abs=1e-9))
