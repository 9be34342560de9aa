# SPDX-License-Identifier: Apache-2.0
"""How many rows run at once, by what memory says and by what it turns out to be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chatvector.runtime import batches
from chatvector.runtime.batches import Batches, RowCost

CPU = torch.device("cpu")


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 9), st.integers(1, 400), st.integers(1, 9))
def test_every_row_once_in_order_and_within_the_budget(lengths: list[int], most: int, budget: int, fits: int) -> None:
    """Memory that takes only `fits` rows at once, whatever was judged."""
    seen: list[list[int]] = []

    def work(rows: list[int]) -> list[int]:
        if len(rows) > fits:
            raise RuntimeError("CUDA out of memory")
        seen.append(rows)
        return [lengths[row] for row in rows]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "free_bytes", lambda _: budget)
        assert Batches(CPU, most).run(lengths, lambda length: length, work) == lengths
    assert sorted(row for rows in seen for row in rows) == list(range(len(lengths)))
    assert [lengths[row] for rows in seen for row in rows] == sorted(lengths, reverse=True)
    for rows in seen:
        assert len(rows) <= min(most, fits)
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= budget


def test_cost_by_hand() -> None:
    config = SimpleNamespace(
        hidden_size=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        num_hidden_layers=3,
        vocab_size=10,
    )
    cost = RowCost.of(config, itemsize=2)
    assert cost == RowCost(cached=2 * 3 * 2 * 2 * 2, passing=(64 + 96) * 2, scores=120)
    assert cost.generating(5, 7) == 12 * 48 + 5 * 320 + 120
    assert cost.scoring(5) == 5 * (48 + 320 + 120)
    layered = SimpleNamespace(**{**vars(config), "num_key_value_heads": [1, 2, 2], "head_dim": None})
    assert RowCost.of(layered, itemsize=2) == cost
