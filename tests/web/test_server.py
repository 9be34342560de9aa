# SPDX-License-Identifier: Apache-2.0
"""The page's addresses, what it lets a browser do, and what the command refuses."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from chatvector.cli.main import app as program
from chatvector.cli.tasks import known
from chatvector.errors import MissingExtra, UsageError
from chatvector.runtime.backend import Sampling
from chatvector.web.page import head
from chatvector.web.server import POLICY, address, application, listen
from chatvector.web.visitors import Models, Visitors
from chatvector.web.words import ALL, EN, KO

BASE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def client(models: Models) -> Iterator[TestClient]:
    visitors = Visitors(models, Sampling(max_new_tokens=8))
    with TestClient(application(visitors, known(), lambda tag: [f"hello {tag}"]), base_url=BASE) as found:
        yield found


@pytest.mark.parametrize(("wish", "place"), [("ko-KR", "/ko/"), ("zh-TW,zh;q=0.9", "/zh-Hant/"), ("", "/en/")])
def test_the_front_door_leads_to_the_browsers_language(client: TestClient, wish: str, place: str) -> None:
    found = client.get("/", headers={"accept-language": wish}, follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (307, place)


@pytest.mark.parametrize("words", ALL, ids=lambda words: words.tag)
def test_every_language_has_its_page(client: TestClient, words: object) -> None:
    tag, title = words.tag, words.scale  # pyright: ignore[reportAttributeAccessIssue]
    found = client.get(f"/{tag}/config")
    assert found.status_code == 200
    labels = {one["props"].get("label") for one in found.json()["components"]}
    assert title in labels
    assert f"hello {tag}" in found.text


def test_nothing_from_outside_is_allowed(client: TestClient) -> None:
    for path in ("/en/", "/en/config", "/favicon.ico", "/manifest.json", "/nowhere"):
        found = client.get(path)
        assert found.headers["content-security-policy"] == POLICY
        assert found.headers["referrer-policy"] == "no-referrer"
    for part in POLICY.split(";"):
        sources = part.split()[1:]
        assert not [one for one in sources if not (one.startswith("'") or one in ("data:", "blob:"))]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_other_names_for_this_machine_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/en/", headers={"host": host}).status_code == 400
    assert client.get("/en/", headers={"host": "localhost:7860"}).status_code == 200


def test_no_function_of_the_page_is_offered_to_programs(client: TestClient) -> None:
    config = client.get("/en/config").json()
    assert {one["api_visibility"] for one in config["dependencies"]} <= {"private", "undocumented"}
    assert config["analytics_enabled"] is False
    assert client.get("/en/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}


def test_the_head_says_what_it_is_about(models: Models) -> None:
    visitors = Visitors(models, Sampling())
    assert "demo:target before and after the chat vector" in head(visitors, EN)
    assert 'lang="ko" hreflang="ko" aria-current=page' in head(visitors, KO)
    alone = Visitors(Models(models.speakers[:1]), Sampling())
    assert "Talk to demo:target." in head(alone, EN)


def test_before_and_after_are_the_target_and_its_own_merge(models: Models) -> None:
    """Not two models as they are, nor another model beside the merge."""
    target, merge = models.speakers
    strange = replace(models, speakers=(replace(target, name="demo:base"), merge))
    for shown, labels in (
        (models, {"Before: demo:target", f"After: {merge.name}"}),
        (Models((target, replace(target, name="demo:chat"))), {"demo:target", "demo:chat"}),
        (strange, {"demo:base", merge.name}),
        (replace(models, speakers=(merge,)), {merge.name}),
    ):
        app = application(Visitors(shown, Sampling()), known(), lambda _tag: [])
        with TestClient(app, base_url=BASE) as client:
            parts = [one for one in client.get("/en/config").json()["components"] if one["type"] == "chatbot"]
        assert {one["props"]["label"] for one in parts} == labels
        assert [one["props"]["latex_delimiters"] for one in parts] == [[] for _ in parts], (
            "formulas are shown as written"
        )
        assert ("side by side" in head(Visitors(shown, Sampling()), EN)) == (shown is models)


def test_a_port_in_use_is_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}/"
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 is in use; --port takes another one"):
            listen(port)
        monkeypatch.setattr("chatvector.cli.talking.merged", None)  # would fail otherwise, and later
        result = CliRunner().invoke(program, ["ui", "--port", str(port)])
        assert isinstance(result.exception, UsageError)
        assert "is in use" in str(result.exception)


def test_only_this_machine_can_reach_it() -> None:
    with listen(0) as place:
        assert place.getsockname()[0] == "127.0.0.1"
        assert place.family == socket.AF_INET


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b", "c"], "3 models: name one, or two"),
        (["--base", "demo:base", "--chat", "demo:chat"], "to which model is the vector added"),
        (["demo:target", "--base", "demo:base"], "--chat is missing"),
        (["demo:chat", "--scale", "0.5"], "--scale: of which vector"),
        (["--language", "xx"], "--language: unknown language 'xx': choose from en, ko, zh-Hant"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(program, ["ui", *arguments])
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_a_model_without_a_template_is_refused_by_name() -> None:
    result = CliRunner().invoke(program, ["ui", "demo:target", "--port", "0"])
    assert result.exception is not None
    assert str(result.exception).startswith("demo:target has no chat template and none is made up")


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch is missing too: the extra to install is the one that has all that the page needs.
    for name in ("gradio", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    result = CliRunner().invoke(program, ["ui"])
    assert isinstance(result.exception, MissingExtra)
    assert "chatvector[ui]" in str(result.exception)


def test_the_theme_fetches_no_font(client: TestClient) -> None:
    """Gradio's GoogleFont is a stylesheet on another machine."""
    found = client.get("/en/theme.css")
    assert found.status_code == 200
    assert "system-ui" in found.text
    assert "http" not in found.text.replace("http://www.w3.org/2000/svg", "")
    assert client.get("/en/config").json()["stylesheets"] == []
