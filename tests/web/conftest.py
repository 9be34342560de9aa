# SPDX-License-Identifier: Apache-2.0
"""The trio, loaded once for all tests of the page's logic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from chatvector.live_merge import open_live
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.prompt_form import template_of
from chatvector.runtime.session import Speaker
from chatvector.runtime.transformers_backend import TransformersBackend
from chatvector.web.visitors import Models

TRIO = Recipe(target="demo:target", vectors=(VectorSpec(base="demo:base", chat="demo:chat", scale=0.75),))


@pytest.fixture(scope="session")
def models() -> Iterator[Models]:
    """Before and after, as `chatvector ui` loads them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with open_live(TRIO, device="cpu") as live:
        before = TransformersBackend.load("demo:target", device="cpu", template=template_of("demo:chat"))
        yield Models((Speaker("demo:target", before), Speaker(live.name, live)), TRIO)
    torch.set_num_threads(threads)


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file for replies that no other test has."""
    place = tmp_path / "replies.jsonl"
    monkeypatch.setenv("CHATVECTOR_CACHE", str(place))
    return place
