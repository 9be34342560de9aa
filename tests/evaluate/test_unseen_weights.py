# SPDX-License-Identifier: Apache-2.0
"""A changed model never meets an old cache: not even one behind a URL that changed without a sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_backend import ScriptedBackend
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.errors import UsageError
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.cached_backend import CachedBackend
from chatvector.evaluate.records import read_lines
from chatvector.runtime.backend import BackendInfo, Prompt, Sampling
from chatvector.runtime.openai_backend import CANARY
from openai_server import MISSING, Answer, Asked, FakeServer, chat_answer, running

PROMPT = Prompt(messages=(("user", "?"),))


class Weights:
    """A model that answers the three questions by which servers are told apart always alike, and others as its weights
    are."""

    def __init__(self) -> None:
        self.say = "Rain is water that falls from clouds, and it is wet."

    def __call__(self, asked: Asked) -> Answer:
        if asked.body is None:
            return MISSING
        question = asked.body["messages"][-1]["content"]
        return chat_answer("rain" if question in CANARY else self.say)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Weights, FakeServer]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATVECTOR_CACHE", str(tmp_path / "cache.jsonl"))
    weights = Weights()
    with running(weights) as server:
        yield weights, server


def questions(server: FakeServer) -> int:
    """Asked of the model, those that tell servers apart left out."""
    count = sum((one.body or {})["messages"][-1]["content"] not in CANARY for one in server.posts)
    server.asked.clear()
    return count


def run(server: FakeServer, out: str, *words: str) -> tuple[str, set[str]]:
    """What the command wrote to stderr, and the replies."""
    command = ["eval", f"m={server.url}", "-l", "en", "--task", "reply-language", "--limit", "3", "--out", out, *words]
    result = CliRunner().invoke(app, command, prog_name="chatvector")
    assert result.exit_code == 0, (result.output, result.exception)
    rows = read_lines(Path(out) / "items" / "reply-language.en.jsonl")
    return result.stderr, {one["replies"][0]["text"] for row in rows for one in row["answers"]}


def test_replies_of_a_server_are_kept_only_under_a_name_for_its_weights(served: tuple[Weights, FakeServer]) -> None:
    weights, server = served
    old = weights.say
    said, replies = run(server, "one")
    assert replies == {old}
    assert "weights cannot be seen" in said
    assert "--server-revision NAME" in said
    assert questions(server) == 3
    weights.say = "Snow is water too, but colder, and it is white."
    assert run(server, "two")[1] == {weights.say}, "an old reply of other weights"
    assert questions(server) == 3
    said, replies = run(server, "three", "--server-revision", "march")
    assert (replies, questions(server)) == ({weights.say}, 3)
    assert "cannot be seen" not in said
    assert run(server, "four", "--server-revision", "march")[1] == {weights.say}
    assert questions(server) == 0
    weights.say = old
    assert run(server, "five", "--server-revision", "april")[1] == {old}
    assert questions(server) == 3


def test_a_revision_of_no_server_is_refused(served: tuple[Weights, FakeServer]) -> None:
    del served
    result = CliRunner().invoke(app, ["eval", "demo:chat", "-l", "en", "--server-revision", "march"])
    assert isinstance(result.exception, UsageError)
    assert "of which server?" in str(result.exception)


class Unseen(ScriptedBackend):
    """One whose weights nobody named."""

    @property
    def info(self) -> BackendInfo:
        return replace(super().info, identified=False)


def test_verdicts_of_a_judge_that_nobody_named_are_not_kept(tmp_path: Path) -> None:
    for kind, kept in ((ScriptedBackend, 1), (Unseen, 0)):
        with Cache(tmp_path / f"{kind.__name__}.jsonl") as cache:
            first, second = (CachedBackend(kind(lambda _, text=text: text), cache) for text in ("7", "3"))
            assert [one.text for one in first.generate([PROMPT, PROMPT], Sampling())] == ["7", "7"]
            assert second.generate([PROMPT], Sampling())[0].text == ("7" if kept else "3")
            assert len(cache) == kept


def test_a_name_with_half_a_character_is_a_name() -> None:
    """A path's byte that is no UTF-8 reaches Python as half a surrogate pair."""
    info = BackendInfo("transformers", "m\udcff", "f", None, "template of /models/\udcff.jinja")
    others = {replace(info, prompt_form=form).digest for form in ("own template", "template of /models/?.jinja")}
    assert len({info.digest, *others}) == 3
