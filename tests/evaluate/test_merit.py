# SPDX-License-Identifier: Apache-2.0
"""The figure of merit by hand, its intervals and differences, and what is told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.merit import Column, Merits, Spread, check_weights, merits
from small_tasks import Capitals, Shouting


def column(
    marks: Sequence[Sequence[float]],
    *,
    part: str = "memory",
    kind: str = "share",
    higher: bool = True,
    metric: str = "m",
) -> Column:
    """One mark a cluster, a row a setting."""
    sums = np.array(marks, float)
    return Column(part, "task", "ko", metric, metric, kind, higher, sums, np.ones_like(sums))


def one_stratum(count: int) -> list[str]:
    return ["ko\0task"] * count


def test_by_hand() -> None:
    """memory 1/4 and 3/4; safety 1 − mean of 2/4 and 0, and 1 − mean of 0 and 1/4; weights 1 and 3."""
    found = [
        column([[1, 0, 0, 0], [1, 1, 1, 0]]),
        column([[1, 1, 0, 0], [0, 0, 0, 0]], part="safety", higher=False, metric="rude"),
        column([[0, 0, 0, 0], [1, 0, 0, 0]], part="safety", higher=False, metric="unsafe"),
    ]
    told = merits(found, one_stratum(4), {"safety": 3.0}, seed=0)
    assert [round(one.value, 12) for one in told.parts["memory"]] == [0.25, 0.75]
    assert [round(one.value, 12) for one in told.parts["safety"]] == [0.75, 0.875]
    assert [round(one.value, 12) for one in told.merit] == [0.625, round((0.75 + 3 * 0.875) / 4, 12)]
    assert told.best == 1
    assert round(told.differences[0].value, 12) == round(0.625 - (0.75 + 3 * 0.875) / 4, 12)


def test_bits_per_byte_are_held_against_the_target_and_never_win() -> None:
    sums = np.array([[2.0, 2.0], [4.0, 4.0], [1.0, 1.0]])
    bits = Column("knowledge", "bits-per-byte", "ko", "target", "t", "bits per byte", False, sums, np.ones_like(sums))
    told = merits([bits], one_stratum(2), {}, seed=0)
    assert [one.value for one in told.merit] == [1.0, 0.5, 1.0]


def test_a_setting_without_any_answer_that_counts_has_nothing() -> None:
    sums, counts = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    empty = Column("language", "language", "ko", "on_target", "t", "share", True, sums, counts)
    assert [one.value for one in merits([empty], one_stratum(2), {}, seed=0).merit] == [1.0, 0.0]


def test_the_first_of_equal_ones_is_best_and_equal_ones_are_not_told_apart() -> None:
    same = [1.0, 0] * 5
    told = merits([column([[0.0] * 10, same, same])], one_stratum(10), {}, seed=0)
    assert told.best == 1
    assert told.not_worse == (1, 2)
    assert told.front == (1, 2)


def test_the_front_keeps_what_no_other_beats() -> None:
    found = [column([[1, 1], [1, 0], [0, 0]]), column([[0, 0], [1, 1], [1, 0]], part="safety")]
    assert merits(found, one_stratum(2), {}, seed=0).front == (0, 1)


def test_intervals_come_from_whole_clusters_within_a_task() -> None:
    """Two tasks of constant marks: nothing varies but by drawing across tasks, which is never done."""
    told = merits([column([[1] * 5 + [0] * 5])], ["a"] * 5 + ["b"] * 5, {}, seed=0)
    assert told.merit[0] == Spread(0.5, 0.5, 0.5)


def test_a_handful_of_clusters_has_no_interval() -> None:
    told = merits([column([[1] * 9, [0] * 9])], one_stratum(9), {}, seed=0)
    assert told.merit == (Spread(1.0, None, None), Spread(0.0, None, None))
    assert (told.shows, told.not_worse) == (None, (0, 1))


def test_equal_settings_are_seldom_told_apart() -> None:
    """Nine settings with one chance of success: a worse one is found in about 6 % of worlds (docs/sweep.md), hence in
    at most 9 of 60 but for one case in 200."""
    rng = np.random.default_rng(1)
    wrong = 0
    for world in range(60):
        marks = (rng.random((9, 60)) < 0.7).astype(float)
        wrong += len(merits([column(marks.tolist())], one_stratum(60), {}, seed=world).not_worse) < 9
    assert wrong <= 9


def test_a_clear_difference_shows() -> None:
    rng = np.random.default_rng(2)
    marks = [(rng.random(100) < chance).astype(float).tolist() for chance in (0.2, 0.8)]
    told = merits([column(marks)], one_stratum(100), {}, seed=0)
    assert told.not_worse == (1,)
    assert told.differences[0].high is not None
    assert told.differences[0].high < 0
    assert told.shows is not None
    assert 0.05 < told.shows < 0.2


def test_against_one_setting_that_was_chosen_before() -> None:
    marks = [[0.0] * 10, [1.0, 0] * 5, [1.0] * 10]
    told = merits([column(marks)], one_stratum(10), {}, seed=0, against=1)
    assert told.best == 1
    assert [one.value for one in told.differences] == [-0.5, 0.0, 0.5]


def test_what_cannot_be_weighed_is_refused() -> None:
    found = [column([[1, 0]])]
    with pytest.raises(UsageError, match=r"^--weight speed: no such part .*; there are memory$"):
        merits(found, one_stratum(2), {"speed": 1.0}, seed=0)
    with pytest.raises(UsageError, match="one of them above 0"):
        merits(found, one_stratum(2), {"memory": 0.0}, seed=0)
    with pytest.raises(InputError, match="nothing that a figure of merit"):
        merits([], [], {}, seed=0)


def test_the_order_of_columns_and_the_seed_alone_decide() -> None:
    rng = np.random.default_rng(3)
    found = [column((rng.random((3, 20)) < 0.5).tolist(), part=part) for part in ("a", "b")]

    def made(seed: int) -> Merits:
        return merits(found, one_stratum(20), {}, seed=seed)

    assert made(0) == made(0)
    assert made(0).merit[0].low != made(1).merit[0].low or made(0).merit[0].high != made(1).merit[0].high


def test_a_weight_of_a_part_that_the_tasks_cannot_have_is_refused_before_anything_is_asked() -> None:
    check_weights([Capitals()], [Shouting()], {"facts": 2.0, "manners": 0.0})
    with pytest.raises(UsageError, match=r"^--weight speed: no such part .*; there are facts, manners$"):
        check_weights([Capitals()], [Shouting()], {"speed": 1.0})
