# SPDX-License-Identifier: Apache-2.0
"""Intervals against numbers computed by hand and against what an interval has to do."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatvector.evaluate.statistics import Rate, rate, wilson


def test_wilson_by_hand() -> None:
    # n = 10, p = 0.8, z = 2: centre (0.8 + 4/20) / 1.4 = 1/1.4, half width 2·sqrt(0.016 + 0.01) / 1.4
    found = wilson(8, 10, z=2.0)
    assert found.rate == 0.8
    assert found.low == pytest.approx((1.0 - 2 * 0.026**0.5) / 1.4, abs=1e-15)
    assert found.high == pytest.approx((1.0 + 2 * 0.026**0.5) / 1.4, abs=1e-15)
    assert found.count == 10


def test_wilson_95_of_a_textbook_case() -> None:
    # 0 of n: low is 0 and high is z²/(n + z²); z² = 3.841458820694124 is the 95 % quantile of chi-square(1)
    found = wilson(0, 20)
    assert found.low == 0.0
    assert found.high == pytest.approx(3.841458820694124 / 23.841458820694124, rel=1e-14)


def test_all_right_has_a_width() -> None:
    found = wilson(20, 20)
    assert found.high == 1.0
    assert found.low == pytest.approx(20 / 23.841458820694124, rel=1e-14)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_rate_and_mirrors(case: tuple[int, int]) -> None:
    successes, count = case
    found, mirror = wilson(successes, count), wilson(count - successes, count)
    assert 0 <= found.low <= found.rate + 1e-15
    assert found.rate - 1e-15 <= found.high <= 1
    assert found.low == pytest.approx(1 - mirror.high, abs=1e-12)


def test_coverage_by_simulation() -> None:
    """The interval holds the truth in about 95 % of samples (the average over p; single p wander by the lattice)."""
    rng, held, runs = Random(0), 0, 0
    for truth in (0.05, 0.1, 0.3, 0.5, 0.8, 0.95):
        for _ in range(500):
            found = wilson(sum(rng.random() < truth for _ in range(40)), 40)
            held += found.low <= truth <= found.high
            runs += 1
    assert 0.93 <= held / runs <= 0.97


@pytest.mark.parametrize(("successes", "count"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes: int, count: int) -> None:
    with pytest.raises(ValueError, match=r"need 0 <= successes <= count and count > 0"):
        wilson(successes, count)


def test_rate_counts_true() -> None:
    assert rate([True, False, True, True]) == wilson(3, 4)


def test_percent_is_readable() -> None:
    assert Rate(0.666, 0.55, 0.774, 60).percent() == "67 % (55–77)"
