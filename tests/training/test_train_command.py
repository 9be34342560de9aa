# SPDX-License-Identifier: Apache-2.0
"""`chatvector train` as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.errors import MissingExtra, UsageError
from chatvector.training import run as training
from training.training_data import CONVERSATIONS, TEXTS, write_jsonl

FAST = ["--set", "batch_size=4", "--set", "max_length=64", "--set", "learning_rate=2e-3", "--device", "cpu"]


def invoke(*words: str) -> str:
    result = CliRunner().invoke(app, ["train", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_flags_and_recipe_give_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", TEXTS)
    made = invoke("cp", "--model", "demo:base", "--data", "a.jsonl", "-o", "a", "--set", "steps=2", *FAST, "--json")
    record = json.loads(made)
    assert record == json.loads((tmp_path / "a" / "training_recipe.json").read_text("utf-8"))
    text = "stage: cp\nmodel: demo:base\ndata: [a.jsonl]\noutput: b\nsteps: 9\nbatch_size: 4\nmax_length: 64\n"
    (tmp_path / "r.yaml").write_text(text + "learning_rate: 2e-3\n".replace("2e-3", "0.002"))
    shown = invoke("cp", "r.yaml", "--set", "steps=2", "--device", "cpu", "-q")
    assert shown.startswith("b: 2 steps on 8 rows, loss ")
    assert "chatvector apply b --base BASE --chat CHAT -o OUT" in shown
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_a_recipe_of_another_stage(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("stage: cp\nmodel: demo:base\ndata: [a.jsonl]\n")
    with pytest.raises(UsageError, match="is a recipe of stage cp; run: chatvector train cp"):
        invoke("sft", str(tmp_path / "r.yaml"))


def test_neither_recipe_nor_model() -> None:
    with pytest.raises(UsageError, match="--model and --data: give them, or a recipe"):
        invoke("cp")


def test_an_unknown_stage() -> None:
    result = CliRunner().invoke(app, ["train", "rlhf"])
    assert result.exit_code == 2
    assert "'rlhf' is not one of 'cp', 'sft', 'dpo'" in result.output


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None if name == "trl" else object())
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[train\]'"):
        invoke("cp", "--model", "demo:base", "--data", "a.jsonl", "-o", str(tmp_path / "out"))


def test_kill_9_and_the_same_command_again(tmp_path: Path) -> None:
    """The whole program, killed once it has saved; the weights are those of a run that nobody killed."""
    write_jsonl(tmp_path / "a.jsonl", CONVERSATIONS)
    words = ["--model", "demo:base", "--data", "a.jsonl", "--set", "chat_template=demo:chat", *FAST]
    words += ["--set", "steps=20", "--set", "save_every=2"]
    program = [sys.executable, "-m", "chatvector", "train", "sft", *words, "-o", "out"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(program, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    while running.poll() is None and not list(tmp_path.glob(".out.*/training/checkpoint-*/complete")):
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    again = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "continuing from step " in again.stderr
    assert "Warning" not in again.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        invoke("sft", *words, "-o", "whole")
    made, expected = (tmp_path / name / "model.safetensors" for name in ("out", "whole"))
    assert made.read_bytes() == expected.read_bytes()
