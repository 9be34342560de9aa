# SPDX-License-Identifier: Apache-2.0
"""What a conversation leaves behind: its turns, and nothing else. Bytes are measured by `benchmarks/talk.py`."""

from __future__ import annotations

import gc
import threading
from collections import Counter

import torch

from chatvector.live_merge import open_live
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.backend import Sampling
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.session import Session, Speaker


def held() -> tuple[Counter[tuple[int, ...]], int]:
    """Shapes of all tensors that are reachable, and the number of threads."""
    gc.collect()
    tensors = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    return Counter(tuple(one.shape) for one in tensors), threading.active_count()


def test_no_tensor_and_no_thread_outlives_its_reply() -> None:
    """Caches of keys and values, stoppers and streamers, and copies made for a change of scale."""
    vector = VectorSpec(base="demo:base", chat="demo:chat")
    with open_live(Recipe(target="demo:target", vectors=(vector,)), device="cpu", threads=2) as live:
        session = Session([Speaker("live", live)], Sampling(max_new_tokens=12, temperature=0.7))
        seen = []
        for count in (2, 6, 6):
            talk(session, live, count)
            seen.append(held())
    assert seen[0] == seen[1] == seen[2]


def talk(session: Session, live: LiveBackend, count: int) -> None:
    """Messages, some of whose replies are stopped, and a change of scale after each; the turns are forgotten."""
    for number in range(count):
        with session.ask(session.speakers[0], "눈은 무슨 색이에요?") as answer:
            for _ in answer:
                if number % 3 == 2:
                    answer.stop()
        live.set_scale(0.5 + number / 10)
    session.speakers[0].turns.clear()
