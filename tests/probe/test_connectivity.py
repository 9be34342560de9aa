# SPDX-License-Identifier: Apache-2.0
"""Barriers and answers against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.checks.connectivity import Connectivity, Losses, judge_paths, path

SCALES = (0.0, 0.5, 1.0)


def losses(*by_scale: float, documents: int = 4, spread: float = 0.0) -> Losses:
    """Documents of 10 bytes whose losses lie `spread` bits per byte below and above the mean by turns."""
    signs = np.where(np.arange(documents) % 2, 1.0, -1.0)
    return Losses(np.array([10 * (mean + spread * signs) for mean in by_scale]), np.full(documents, 10.0))


def judged(
    target: Sequence[float], chat: Sequence[float], own: float, scales: Sequence[float] = SCALES
) -> Connectivity:
    return judge_paths(scales, losses(*target), losses(*chat), losses(own))


def test_the_barrier_is_what_lies_above_the_straight_line_between_the_ends() -> None:
    # Ends 1 and 2: the line is at 1.5, the path at 1.8.
    found = path(SCALES, losses(1.0, 1.8, 2.0))
    assert found.barrier is not None
    assert (found.barrier.value, found.barrier_at) == (pytest.approx(0.3), 0.5)
    assert found.barrier.error == pytest.approx(0, abs=1e-12)
    assert found.connected is False


def test_two_percent_of_the_ends_is_no_barrier() -> None:
    # 2 % of the mean of 1 and 2 is 0.03.
    assert path(SCALES, losses(1.0, 1.529, 2.0)).connected is True
    assert path(SCALES, losses(1.0, 1.531, 2.0)).connected is False


def test_the_error_of_a_ratio_over_documents_by_hand() -> None:
    # Two documents of 10 and 30 bytes cost 10 and 60 bits more: 70 / 40 = 1.75 a byte.
    # Residuals 10 − 17.5 and 60 − 52.5: √(2 · 7.5² · 2 / 1) / 40.
    both = Losses(np.array([[0.0, 0.0], [10.0, 60.0]]), np.array([10.0, 30.0]))
    found = both.estimate([-1, 1])
    assert found.value == pytest.approx(1.75)
    assert found.error == pytest.approx(math.sqrt(4 * 7.5**2) / 40)


def test_one_document_proves_nothing() -> None:
    assert path(SCALES, losses(1.0, 1.8, 2.0, documents=1)).connected is None


def test_what_the_documents_do_not_settle_is_not_said() -> None:
    noisy = Losses(np.array([[10.0, 10.0], [10.0, 14.0], [10.0, 10.0]]), np.array([10.0, 10.0]))
    assert path(SCALES, noisy).connected is None


def test_go() -> None:
    found = judged((1.0, 1.1, 1.4), (2.0, 1.5, 1.4), own=2.0)
    assert found.answer == "go"
    assert found.kept == pytest.approx((1.0, 0.9, 0.6))
    assert found.best_scale == 1.0  # the likeliest replies among the scales that keep half
    assert "60%" in found.reasons[0]


def test_the_best_scale_keeps_half_of_the_advantage() -> None:
    found = judged((1.0, 1.1, 1.6), (2.0, 1.5, 1.4), own=2.0)
    assert (found.answer, found.best_scale) == ("go", 0.5)


def test_a_ridge_is_no_go_whatever_lies_behind_it() -> None:
    found = judged((1.0, 3.0, 1.0), (2.0, 1.5, 1.0), own=2.0)
    assert found.answer == "no-go"
    assert "target's text a barrier of 2.000 bits per byte stands at scale 0.5" in found.reasons[0]


def test_a_vector_that_does_not_chat_is_no_go() -> None:
    found = judged((1.0, 1.1, 1.2), (2.0, 2.0, 2.1), own=2.0)
    assert (found.answer, found.best_scale) == ("no-go", None)
    assert "do not surely become likelier" in found.reasons[0]


def test_a_merge_that_forgets_the_language_is_no_go() -> None:
    found = judged((1.0, 1.6, 2.4), (2.0, 1.5, 1.0), own=2.0)
    assert found.answer == "no-go"
    assert "at most 40% of the target's advantage" in found.reasons[0]


def test_text_on_which_the_chat_model_is_as_good_decides_nothing() -> None:
    found = judged((1.0, 1.1, 1.2), (2.0, 1.5, 1.4), own=1.0)
    assert found.answer == "undecided"
    assert found.kept == (None, None, None)
    assert "is it in the language that the target learned" in found.reasons[0]


def test_replies_that_are_likelier_by_chance_ask_for_more() -> None:
    chat = Losses(np.array([[20.0, 20.0], [19.0, 20.5], [19.0, 20.5]]), np.array([10.0, 10.0]))
    found = judge_paths(SCALES, losses(1.0, 1.1, 1.2, documents=2), chat, losses(2.0, documents=2))
    assert found.answer == "undecided"
    assert "give more" in found.reasons[0]


SOME = st.lists(st.floats(0.01, 50), min_size=2, max_size=8)


@given(start=SOME, data=st.data())
def test_a_path_that_sags_has_no_barrier_and_units_do_not_matter(start: list[float], data: st.DataObject) -> None:
    """L(s) = a + b·s + c·s² with c ≥ 0 lies below its chord; and bits of twice the size give twice the barrier."""
    count = len(start)
    numbers = st.lists(st.floats(0.0, 20), min_size=count, max_size=count)
    slope, bend = (np.array(data.draw(numbers)) for _ in range(2))
    scales = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
    bits = np.array([np.array(start) + slope * s + bend * s * s for s in scales])
    sizes = np.array(data.draw(st.lists(st.floats(1, 100), min_size=count, max_size=count)))
    once, twice = path(scales, Losses(bits, sizes)), path(scales, Losses(2 * bits, sizes))
    assert once.barrier is not None
    assert twice.barrier is not None
    assert once.barrier.value <= 1e-9
    assert twice.barrier.value == pytest.approx(2 * once.barrier.value, abs=1e-9)
    assert once.connected is twice.connected
