# SPDX-License-Identifier: Apache-2.0
"""Several views of one live merge: each is answered at its own scales, whatever the others do."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from chatvector.arithmetic.scales import ScaleRules
from chatvector.errors import UsageError
from chatvector.live_merge import open_live
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.backend import Prompt, Reply, Sampling
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.live_view import LiveView

ASKED = Prompt(messages=(("user", "오늘 기분이 어때?"),))
SHORT = Sampling(max_new_tokens=12)
NEAR, FAR = (ScaleRules(-0.5),), (ScaleRules(1.0, roles={"norm": 0.0}),)


@pytest.fixture(scope="module")
def live() -> Iterator[LiveBackend]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = Recipe(target="demo:target", vectors=(VectorSpec(base="demo:base", chat="demo:chat", scale=0.75),))
    with open_live(recipe, device="cpu") as found:
        yield found
    torch.set_num_threads(before)


def at(live: LiveBackend, rules: tuple[ScaleRules, ...]) -> Reply:
    live.set_scales(rules)
    return live.generate([ASKED], SHORT)[0]


def test_each_is_answered_at_its_own_scales(live: LiveBackend) -> None:
    near, far = at(live, NEAR), at(live, FAR)
    assert near != far
    one, other = LiveView.of(live, NEAR), LiveView.of(live, FAR)
    for _ in range(2):
        assert one.generate([ASKED], SHORT) == [near]
        assert other.generate([ASKED], SHORT) == [far]
    assert (one.scales, other.scales) == (NEAR, FAR)


def test_a_change_is_ones_own(live: LiveBackend) -> None:
    far = at(live, FAR)
    one, other = LiveView.of(live, FAR), LiveView.of(live, FAR)
    change = one.set_scales(NEAR)
    assert change.tensors > 0
    assert change.seconds > 0
    assert one.scales == NEAR
    assert other.generate([ASKED], SHORT) == [far]
    assert LiveView.of(one).scales == NEAR
    one.set_scale(0.5)
    assert one.scales == (ScaleRules(0.5),)


def test_fingerprints_and_likelihoods_are_of_the_own_scales(live: LiveBackend) -> None:
    pair = [("", "오늘 기분이 어때?")]
    live.set_scales(NEAR)
    near = live.fingerprint, live.info.digest, live.loglikelihood(pair)
    live.set_scales(FAR)
    far = live.fingerprint, live.info.digest, live.loglikelihood(pair)
    one, other = LiveView.of(live, NEAR), LiveView.of(live, FAR)
    for view, expected in ((one, near), (other, far), (one, near)):
        assert (view.fingerprint, view.info.digest, view.loglikelihood(pair)) == expected
    assert near != far


def test_scales_that_mean_nothing_leave_it_where_it_was(live: LiveBackend) -> None:
    far = at(live, FAR)
    view = LiveView.of(live, FAR)
    with pytest.raises(UsageError):
        view.set_scales([ScaleRules(0.5, tensors={"no.such.*": 1.0})])
    with pytest.raises(ValueError, match="sets of scales: 2; vectors: 1"):
        view.set_scales([*NEAR, *NEAR])
    assert view.scales == FAR
    assert view.generate([ASKED], SHORT) == [far]


def test_a_reply_that_waits_for_its_turn_keeps_the_scales_it_was_asked_at(live: LiveBackend) -> None:
    near, far = at(live, NEAR), at(live, FAR)
    view = LiveView.of(live, NEAR)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with live.held_still():
            held.set()
            assert go_on.wait(120)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(120)
    with view.stream(ASKED, SHORT) as waiting:
        mover = threading.Thread(target=view.set_scales, args=(FAR,))
        mover.start()
        go_on.set()
        assert "".join(waiting) == near.text
    mover.join()
    holder.join()
    assert view.generate([ASKED], SHORT) == [far]


def test_a_reply_is_not_moved_while_it_is_written(live: LiveBackend) -> None:
    """Another view's reply, asked for in the middle of it, comes after it."""
    whole = Sampling(max_new_tokens=40)
    live.set_scales(NEAR)
    near = live.generate([ASKED], whole)[0]
    far = at(live, FAR)
    one, other = LiveView.of(live, NEAR), LiveView.of(live, FAR)
    with one.stream(ASKED, whole) as first:
        pieces = iter(first)
        begun = next(pieces)
        with other.stream(ASKED, SHORT) as second:
            assert begun + "".join(pieces) == near.text
            assert "".join(second) == far.text


def test_a_change_that_was_broken_off_is_made_good(live: LiveBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    near = at(live, NEAR)
    view, other = LiveView.of(live, NEAR), LiveView.of(live, FAR)
    with monkeypatch.context() as patched:
        patched.setattr(live._weights, "_compute", lambda _tensors: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            other.set_scales([ScaleRules(0.6)])
    assert other.scales == FAR
    assert view.generate([ASKED], SHORT) == [near]
