# SPDX-License-Identifier: Apache-2.0
"""Share of the true chat model's gain: by hand, its coverage, and when there is none."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from chatvector.evaluate.statistics.recovery import recovered


def test_by_hand() -> None:
    reference, chat, model = [0.0] * 40, [1.0] * 40, [1.0, 0.0] * 20
    found = recovered(model, reference, chat, range(40), fmean, seed=0)
    assert found is not None
    assert (found.gain.value, found.gain.low) == (1.0, 1.0)
    assert found.share is not None
    assert found.share.value == 0.5
    assert found.share.low is not None
    assert found.share.high is not None
    assert 0.3 < found.share.low < 0.5 < found.share.high < 0.7


def test_a_share_without_spread_has_no_interval() -> None:
    """The model is right exactly where the chat model is: 100 %, and not 100 % for certain."""
    chat = [1.0, 0.0, 1.0] * 10
    found = recovered(chat, [0.0] * 30, chat, range(30), fmean, seed=0)
    assert found is not None
    assert found.share is not None
    assert (found.share.value, found.share.low, found.share.high) == (1.0, None, None)


def test_a_gain_that_may_be_nothing_has_no_share() -> None:
    rng = np.random.default_rng(0)
    reference, chat, model = (rng.normal(size=30).tolist() for _ in range(3))
    found = recovered(model, reference, chat, range(30), fmean, seed=0)
    assert found is not None
    assert found.gain.low is not None
    assert found.share is None


def test_a_loss_can_be_recovered_too() -> None:
    """Fewer rude replies: the gain is negative, the share is not."""
    rng = np.random.default_rng(1)
    reference = (rng.random(200) < 0.9).astype(float).tolist()
    model = (rng.random(200) < 0.3).astype(float).tolist()
    found = recovered(model, reference, [0.0] * 200, range(200), fmean, seed=0)
    assert found is not None
    assert found.gain.value < 0
    assert found.share is not None
    assert found.share.value == pytest.approx(2 / 3, abs=0.1)


def test_interval_holds_the_true_share() -> None:
    """140 samples of 60 items; the truth is (0.5 − 0.2)/(0.8 − 0.2)."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(140):
        reference, model, chat = ((rng.random(60) < share).astype(float).tolist() for share in (0.2, 0.5, 0.8))
        found = recovered(model, reference, chat, range(60), fmean, seed=int(rng.integers(1 << 31)), resamples=300)
        assert found is not None
        if found.share is not None and found.share.low is not None and found.share.high is not None:
            held += found.share.low <= 0.5 <= found.share.high
    assert held / 140 >= 0.93 - 3 * 0.0185


def test_no_value() -> None:
    assert recovered([1.0], [0.0], [1.0], [0], lambda _: None, seed=0) is None
