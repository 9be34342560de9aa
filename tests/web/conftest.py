# SPDX-License-Identifier: Apache-2.0
"""The trio, loaded once for all tests of the page's logic; and its page in a browser, once a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from browser import chromium, server, watched
from chatvector.live_merge import open_live
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.prompt_form import template_of
from chatvector.runtime.session import Speaker
from chatvector.runtime.transformers_backend import TransformersBackend
from chatvector.web.visitors import Models
from page import box

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a file."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[str]:  # noqa: ARG001
    """The trio's page, one server for all tests of a file. After the browser: without one there is nothing to do."""
    with server(tmp_path_factory.mktemp("server"), "--temperature", "0") as (found, _):
        yield found


@pytest.fixture
def korean(browser: Browser, url: str) -> Iterator[Page]:
    """The page in Korean, on a desktop."""
    with watched(browser, url, locale="ko-KR") as page:
        page.goto(url)
        expect(box(page)).to_be_visible()
        yield page
