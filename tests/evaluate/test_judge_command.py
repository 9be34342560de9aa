# SPDX-License-Identifier: Apache-2.0
"""`chatvector eval --judge`, as whole commands: what stops a run before a model is asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatvector.checkpoint.names import FAMILY
from chatvector.cli.main import app
from chatvector.errors import ChatVectorError, HubError, InputError, MissingInput, UsageError
from chatvector.evaluate.judge.identity import refuse_judging_itself
from chatvector.evaluate.opening import Loading
from openai_server import echo, running

OPEN = ("eval", "demo:chat", "-l", "ko", "--task", "open", "--limit", "2", "--no-cache")


def refused(*words: str) -> ChatVectorError:
    """The error that a command ends with, before anything was asked."""
    result = CliRunner().invoke(app, words, prog_name="chatvector")
    assert isinstance(result.exception, ChatVectorError), result.output
    assert "asking" not in result.output  # said before a model is loaded
    return result.exception


def test_open_questions_need_a_judge() -> None:
    error = refused(*OPEN)
    assert isinstance(error, UsageError)
    assert "give --judge" in str(error)


def test_a_judge_needs_a_chat_template() -> None:
    error = refused(*OPEN, "--judge", "demo:base")
    assert isinstance(error, MissingInput)
    assert "demo:base has no chat template" in str(error)


@pytest.mark.parametrize("judge", ["demo:chat", "called=demo:chat", "copy"])
def test_a_model_is_not_asked_for_replies_that_it_would_have_to_judge(tmp_path: Path, judge: str) -> None:
    if judge == "copy":
        judge = str(shutil.copytree(FAMILY / "chat", tmp_path / "copy"))
    error = refused(*OPEN, "--judge", judge)
    assert isinstance(error, UsageError)
    assert "would judge itself (demo:chat)" in str(error)
    assert "--judge-itself" in str(error)


def test_neither_is_a_server_under_two_names() -> None:
    with running(echo) as server:
        command = ("eval", f"one={server.url}", "--judge", f"other={server.url}#m", *OPEN[2:])
        assert "other would judge itself (one)" in str(refused(*command))
        assert server.posts == []


def test_a_judge_of_other_weights_in_the_same_form_may_judge(tmp_path: Path) -> None:
    """Copies whose side files and sizes agree: what is sampled are the weights."""
    judge = shutil.copytree(FAMILY / "chat", tmp_path / "judge")
    weights = judge / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4096:] = bytes(4096)
    weights.write_bytes(bytes(content))
    refuse_judging_itself(str(judge), ["demo:chat"], Loading())
    with pytest.raises(UsageError, match="would judge itself"):
        refuse_judging_itself(str(judge), ["demo:target", str(judge)], Loading())


def test_labels_need_a_judge_and_are_read_at_once(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"id": "a", "label": 12}\n')
    assert "of which judge? give --judge" in str(refused(*OPEN, "--judge-labels", str(labels)))
    error = refused(*OPEN, "--judge", "demo:chat", "--judge-labels", str(labels))
    assert isinstance(error, InputError)
    assert "label 12 is neither" in str(error)


def test_tasks_of_the_harness_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    from datasets import config

    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    command = ("eval", "demo:chat", "-l", "ko", "--no-cache", "--quiet", "--task")
    error = refused(*command, "lm-eval:kobest_boolq")
    assert isinstance(error, HubError)
    assert "its data is not on this machine" in str(error)
    assert "no such task; there are kobest" in str(refused(*command, "lm-eval:kobest_x"))
