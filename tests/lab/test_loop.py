# SPDX-License-Identifier: Apache-2.0
"""The training loop on a model of a few numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chatvector.lab.loop import IGNORED, batches, collate, train
from chatvector.lab.models import new_model
from chatvector.lab.recipe import Shape, Stage

SHAPE = Shape(vocabulary=16, hidden=8, layers=1, heads=2, feed_forward=8, positions=32)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(40, 200))
def test_batches_keep_to_the_budget_and_hold_everything(lengths: list[int], budget: int) -> None:
    documents = cycle([([length] * length, [True] * length) for length in lengths])
    found = list(islice(batches(documents, budget, Random(0)), 40))
    for batch in found:
        assert 0 < len(batch) * max(len(ids) for ids, _ in batch) <= budget
        assert all(len(ids) == ids[0] for ids, _ in batch)


def test_collate_pads_on_the_right_and_ignores_what_does_not_count() -> None:
    ids, labels = collate([([1, 5, 6], [False, True, True]), ([1, 7], [False, False])], pad=0)
    assert ids.tolist() == [[1, 5, 6], [1, 7, 0]]
    assert labels.tolist() == [[IGNORED, 5, 6], [IGNORED, IGNORED, IGNORED]]


def _train(frozen: list[int], **changes: Any) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    model = new_model(SHAPE, reserved=[3, 4], seed=0)
    before = model.get_parameter("model.embed_tokens.weight").detach().clone()
    stage = Stage(steps=200, learning_rate=1e-2, batch_tokens=64, warmup=5, **changes)
    lines: list[str] = []
    text = cycle([([1, 5, 6, 7, 8, 2], [False] + [True] * 5)])
    train(model, stage, text, pad=0, frozen_rows=frozen, rng=Random(0), report=lines.append)
    return before, model.get_parameter("model.embed_tokens.weight").detach(), lines


def test_frozen_rows_do_not_move_and_the_others_learn() -> None:
    before, after, lines = _train(frozen=[3, 4])
    assert torch.equal(before[[3, 4]], after[[3, 4]])
    moved = (before != after).any(dim=1)
    assert moved.sum() == SHAPE.vocabulary - 2
    assert float(lines[-1].split("loss ")[1].split()[0]) < 0.2
    assert lines[-1].startswith("step 200/200")


def test_without_freezing_the_softmax_would_move_them() -> None:
    """Why rows are put back: a row that no text holds still gets a gradient through the softmax."""
    before, after, _ = _train(frozen=[3])
    assert torch.equal(before[3], after[3])
    assert not torch.equal(before[4], after[4])


def test_a_larger_epsilon_keeps_the_rows_that_nobody_uses() -> None:
    """Adam blows the faint push of the softmax on unused rows up to full steps; a larger epsilon does not, while the
    rows in use move on."""
    unused, used = [9, 10, 11, 12], [5, 6, 7, 8]
    share = {}
    for epsilon in (1e-8, 1e-1):
        before, after, _ = _train(frozen=[3, 4], embedding_epsilon=epsilon)
        drift = (after - before).norm(dim=1)
        share[epsilon] = (drift[unused].mean() / drift[used].mean()).item()
    assert share[1e-1] < 0.5 * share[1e-8]


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatvector.lab.loop.SAVE_EVERY", 40)
    texts = [([1, *(5 + (n * k) % 9 for k in range(n % 6 + 3)), 2], [False] + [True] * (n % 6 + 4)) for n in range(50)]

    def run(state: Path | None, report: Callable[[str], None]) -> torch.Tensor:
        model = new_model(SHAPE, reserved=[3, 4], seed=0)
        stage = Stage(steps=150, learning_rate=1e-2, batch_tokens=64, warmup=5)
        train(model, stage, cycle(texts), pad=0, frozen_rows=[3, 4], rng=Random(1), report=report, state=state)
        return torch.cat([one.detach().flatten() for one in model.parameters()])

    def killed(line: str) -> None:
        if line.startswith("step 100"):
            raise KeyboardInterrupt

    whole = run(None, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "state.pt", killed)
    lines: list[str] = []
    assert torch.equal(run(tmp_path / "state.pt", lines.append), whole)
    assert lines[0] == "going on from step 80"
