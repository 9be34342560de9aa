# SPDX-License-Identifier: Apache-2.0
"""How much of a matrix a matrix of rank r can hold: exactly for small ones, within certain bounds for large ones.

The energy at rank r is Σ_{i≤r} σᵢ² / ‖A‖², the best that any matrix of rank r can do (Eckart and Young, 1936).
Matrices are read in blocks of rows, again for every pass; what stays in memory is k columns, or a square of the smaller
side where that is at most `EXACT`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Sides up to this are done by eigenvalues of the Gram matrix, in float64.
EXACT = 768
# Extra columns and power iterations of the randomised range finder: Halko, Martinsson and Tropp, SIAM Review 53 (2011),
# algorithm 4.4. Two iterations suffice where singular values decay slowly, as those of chat vectors do.
EXTRA, POWERS = 10, 2
SEED = 20231004

Rows = Callable[[int, int], NDArray[np.float64]]
"""Rows `start` to `stop` of the matrix, [stop − start, N]."""


@dataclass(frozen=True)
class Energy:
    """The energy at a rank lies between `low` and `high`; they are equal where it was computed exactly.

    `low` is what a known matrix of that rank captures. The bounds hold without exception and not only probably.
    """

    rank: int
    low: float
    high: float


def energy_at_rank(read: Rows, shape: tuple[int, int], rank: int, block_elements: int = 1 << 20) -> Energy | None:
    """The energy that rank `rank` captures of an M × N matrix; None for a zero matrix.

    Args:
        read: gives rows; called several times for every row.
        block_elements: about how many numbers are read at once.
    """
    rows, columns = shape
    step = max(block_elements // max(columns, 1), 1)
    smaller = min(rows, columns)
    if smaller <= max(EXACT, rank + EXTRA):
        squares = np.linalg.eigvalsh(_gram(read, shape, step))[::-1].clip(min=0)
        total = float(squares.sum())
        share = float(squares[:rank].sum()) / total if total > 0 else 0.0
        return Energy(rank, min(share, 1.0), min(share, 1.0)) if total > 0 else None
    left, total = _range(read, shape, rank + EXTRA, step)
    if total == 0:
        return None
    # B = QᵀA; with R = A − QB: AᵀA = BᵀB + RᵀR, so the top r eigenvalues of AᵀA sum to at least those of BᵀB, and to
    # at most those plus ‖R‖² (Ky Fan).
    squares = np.linalg.svd(left, compute_uv=False) ** 2
    low = float(squares[:rank].sum()) / total
    return Energy(rank, min(low, 1.0), min(low + max(1 - float(squares.sum()) / total, 0.0), 1.0))


def _blocks(rows: int, step: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + step, rows)) for start in range(0, rows, step))


def _gram(read: Rows, shape: tuple[int, int], step: int) -> NDArray[np.float64]:
    """AᵀA or AAᵀ, whichever is smaller."""
    rows, columns = shape
    if columns <= rows:
        gram = np.zeros((columns, columns))
        for start, stop in _blocks(rows, step):
            block = read(start, stop)
            gram += block.T @ block
        return gram
    gram = np.zeros((rows, rows))
    for start, stop in _blocks(rows, step):
        block = read(start, stop).copy()
        for first, last in _blocks(stop, step):
            gram[start:stop, first:last] = block @ read(first, last).T
            gram[first:last, start:stop] = gram[start:stop, first:last].T
    return gram


def _range(read: Rows, shape: tuple[int, int], count: int, step: int) -> tuple[NDArray[np.float64], float]:
    """AᵀQ, [N, k], for an orthonormal Q, [M, k], that spans nearly the range of A; and ‖A‖²."""
    rows, columns = shape
    right = np.random.default_rng(SEED).standard_normal((columns, count))
    total = 0.0
    for passing in range(POWERS + 1):
        image = np.empty((rows, count))
        for start, stop in _blocks(rows, step):
            block = read(start, stop)
            image[start:stop] = block @ right
            if passing == 0:
                total += float(np.vdot(block, block))
        basis, _ = np.linalg.qr(image)
        back = np.zeros((columns, count))
        for start, stop in _blocks(rows, step):
            back += read(start, stop).T @ basis[start:stop]
        if passing < POWERS:
            right, _ = np.linalg.qr(back)
        else:
            right = back
    return right, total
