# SPDX-License-Identifier: Apache-2.0
"""`chatvector eval --judge`, as whole commands: what stops a run before a model is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.errors import ChatVectorError, HubError, InputError, MissingInput, UsageError

OPEN = ("eval", "demo:chat", "-l", "ko", "--task", "open", "--limit", "2", "--no-cache", "--quiet")


def refused(*words: str) -> ChatVectorError:
    """The error that a command ends with, before anything was asked."""
    result = CliRunner().invoke(app, words, prog_name="chatvector")
    assert isinstance(result.exception, ChatVectorError), result.output
    assert "asking" not in result.output
    return result.exception


def test_open_questions_need_a_judge() -> None:
    error = refused(*OPEN)
    assert isinstance(error, UsageError)
    assert "give --judge" in str(error)


def test_a_judge_needs_a_chat_template() -> None:
    error = refused(*OPEN, "--judge", "demo:base")
    assert isinstance(error, MissingInput)
    assert "demo:base has no chat template" in str(error)


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
