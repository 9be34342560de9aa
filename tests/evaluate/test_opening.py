# SPDX-License-Identifier: Apache-2.0
"""What a model on the command line is: its name, its kind, and what is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatvector.errors import HubError, MissingInput, UsageError
from chatvector.evaluate.opening import Kind, Loading, models, split_name, template_from


@pytest.mark.parametrize(
    ("text", "name", "model"),
    [
        ("demo:chat", "demo:chat", "demo:chat"),
        ("after=demo:chat", "after", "demo:chat"),
        ("org/name@main", "org/name@main", "org/name@main"),
        ("mine=org/name", "mine", "org/name"),
        ("gpt=http://localhost:8000/v1#big", "gpt", "http://localhost:8000/v1#big"),
        ("a b=demo:chat", "a b=demo:chat", "a b=demo:chat"),
    ],
)
def test_names(text: str, name: str, model: str) -> None:
    assert split_name(text) == (name, model)


def test_a_path_with_an_equals_sign_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=0.1").mkdir()
    assert split_name("lr=0.1") == ("lr=0.1", "lr=0.1")
    assert split_name(f"{tmp_path}/lr=0.1/") == ("lr=0.1", f"{tmp_path}/lr=0.1/")


def test_a_backend_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    recording = tmp_path / "replies.jsonl"
    recording.write_text('{"prompt": "?", "reply": "!"}\n', "utf-8")
    with pytest.raises(UsageError, match="--backend transformers does not fit; by its name it is one for replay"):
        models([str(recording)], kind=Kind.transformers)
    with pytest.raises(UsageError, match="by its name it is one for openai"):
        models(["http://localhost:1/v1"], kind=Kind.replay)
    (made,) = models([str(recording)])
    with made.open() as backend:
        assert backend.info.kind == "replay"


def test_a_server_that_is_not_there_is_the_networks_error() -> None:
    (made,) = models(["gone=http://127.0.0.1:9/v1"])
    with pytest.raises(HubError, match=r"127\.0\.0\.1:9"), made.open():
        pass


def test_templates_are_asked_for_before_anything_is_loaded() -> None:
    target, chat = models(["demo:target", "demo:chat"])
    chat.check(True)
    target.check(False)
    with pytest.raises(MissingInput, match=r"demo:target has no chat template.*such as that of demo:chat"):
        target.check(True)
    (given, _) = models(["demo:target", "demo:chat"], loading=Loading(template=template_from("demo:chat", print)))
    given.check(True)


def test_a_template_from_a_model_without_one() -> None:
    with pytest.raises(MissingInput, match="demo:base has no chat template either"):
        template_from("demo:base", print)
