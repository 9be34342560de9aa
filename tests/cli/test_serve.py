# SPDX-License-Identifier: Apache-2.0
"""`chatvector serve` whole: a merge behind a URL, asked as clients ask, and ended with all that it started."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chatvector.cli.main import app
from chatvector.errors import ChatVectorError, MissingExtra, NotEnoughSpace
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.backend import Prompt, Sampling
from chatvector.runtime.transformers_backend import TransformersBackend
from terminal import CTRL_C, started

SECONDS = 240
"""A busy machine needs time to load torch twice."""
QUESTIONS = ("눈은 무슨 색이에요?", "안녕하세요", "What colour is snow?")


def serve(*arguments: str) -> Result:
    """The command in this process: for what it refuses before anything is started."""
    return CliRunner().invoke(app, ["serve", *arguments])


@pytest.fixture(scope="module")
def merge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("serve") / "눈 merge"
    vector = VectorSpec(base="demo:base", chat="demo:chat")
    apply(Recipe(target="demo:target", vectors=(vector,), output=str(place)))
    return place


@contextmanager
def serving(*arguments: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """The program and the document that it prints once the server answers."""
    command = [sys.executable, "-m", "chatvector", "serve", *arguments, "--port", "0", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environment, cwd=folder) as process,
    ):
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], SECONDS)
            text = b""
            while ready and not text.endswith(b"}\n") and (line := process.stdout.readline()):
                text += line
            assert text, (folder / "said").read_text("utf-8")
            yield process, json.loads(text)
        finally:
            process.kill()


def ends(port: int) -> bool:
    """Whether nothing listens there any more, within the time that a busy machine needs."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_a_merge_is_asked_by_clients_and_measured(merge: Path, tmp_path: Path) -> None:
    from openai import OpenAI

    (tmp_path / "merge").mkdir()  # of the same name where it is started: must not be taken for the model
    with serving(str(merge), "--name", "merge", folder=tmp_path) as (process, told):
        assert (told["model"], told["directory"], told["dtype"], told["device"]) == (
            "merge",
            str(merge),
            "fp32",
            "cpu",
        )
        with OpenAI(base_url=told["url"], api_key="none", timeout=SECONDS) as client:
            assert [model.id for model in client.models.list()] == ["merge"]
            ours = TransformersBackend.load(merge, dtype="fp32", device="cpu").generate(
                [Prompt(messages=(("user", text),)) for text in QUESTIONS], Sampling(max_new_tokens=40)
            )
            assert all(reply.stopped for reply in ours)  # at the end of the turn, long before the limit
            for text, reply in zip(QUESTIONS, ours, strict=True):
                question: dict[str, Any] = {
                    "model": "merge",
                    "messages": [{"role": "user", "content": text}],
                    "temperature": 0,
                    "max_tokens": 40,
                }
                whole = client.chat.completions.create(**question)
                assert (whole.choices[0].message.content or "").strip() == reply.text
                assert whole.choices[0].finish_reason == "stop"
                assert whole.usage is not None
                assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (reply.prompt_tokens, reply.tokens)
                pieces = [chunk.choices[0] for chunk in client.chat.completions.create(stream=True, **question)]
                assert "".join(piece.delta.content or "" for piece in pieces).strip() == reply.text
                assert len([piece for piece in pieces if piece.delta.content]) > 1
                assert pieces[-1].finish_reason == "stop"
        tasks = ["--task", "closed-topic", "--task", "bits-per-byte", "--language", "ko", "--limit", "2"]
        measured = CliRunner().invoke(app, ["eval", f"here={told['url']}", *tasks, "--no-cache", "--json", "--quiet"])
        results = json.loads(measured.stdout)
        (absent,) = results["absent"]  # found out before it is asked, and no end of the run
        assert (absent["task"], absent["why"].partition(":")[0]) == ("bits-per-byte", "needs likelihoods")
        (accuracy,) = [row for row in results["figures"] if row["metric"] == "accuracy" and row["facet"] is None]
        assert (accuracy["model"], accuracy["n"], accuracy["failed"]) == ("here", 2, 0)
        process.terminate()
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    assert ends(int(told["url"].rpartition(":")[2].removesuffix("/v1")))
    said = (tmp_path / "said").read_text("utf-8")
    assert "MiB of" in said.partition("Loading")[0]  # the memory, before it was loaded
    assert "has no do_sample" in said
    assert not list(tmp_path.glob("chatvector-serve-*"))


def test_ctrl_c_at_a_terminal(tmp_path: Path) -> None:
    with started("serve", "demo:chat", "--port", "0", home=tmp_path) as terminal:
        said = terminal.wait("chatvector eval http://127.0.0.1:")
        assert "demo-chat answers at http://127.0.0.1:" in said.replace("\n", "")
        assert "curl http://127.0.0.1:" in said
        port = int(terminal.wait("/v1").removesuffix("/v1"))
        terminal.type(CTRL_C)
        assert terminal.end() == 128 + signal.SIGINT
        assert "Traceback" not in terminal.text
    assert ends(port)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("demo:target",), 3, "demo:target has no chat template, and a server would refuse"),
        (("./nowhere",), 3, "there is no such directory"),
        (("demo:chat", "--name", "a b"), 2, "--name a b: clients need a plain name, such as a-b"),
        (("demo:chat", "--host", "no.such.host.invalid"), 2, "--host no.such.host.invalid: no such address"),
        (("demo:chat", "--host", "192.0.2.1", "--port", "0"), 2, "--host 192.0.2.1: not an address of this machine"),
    ],
)
def test_what_is_refused_before_anything_starts(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = serve(*arguments)
    assert isinstance(done.exception, ChatVectorError)
    assert (done.exception.exit_code, message in str(done.exception)) == (code, True), str(done.exception)


def test_a_port_in_use_is_named_with_one_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve("demo:chat", "--port", str(port))
    assert isinstance(done.exception, ChatVectorError)
    assert f"port {port} of 127.0.0.1 is in use" in str(done.exception)
    assert "or --port " in str(done.exception)
    assert done.exception.exit_code == 2


def test_a_model_with_a_fault_is_not_served_unless_forced(merge: Path, tmp_path: Path) -> None:
    sick = tmp_path / "sick"
    shutil.copytree(merge, sick)
    (sick / "generation_config.json").write_text('{"eos_token_id": 2}')
    config = json.loads((sick / "config.json").read_text())
    (sick / "config.json").write_text(json.dumps({**config, "eos_token_id": 2}))
    done = serve(str(sick))
    assert isinstance(done.exception, ChatVectorError)
    assert done.exception.exit_code == 4
    assert "--force serves it all the same" in str(done.exception)
    assert "never ends" in done.stderr or "stop" in done.stderr


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatvector.runtime.memory.available_bytes", lambda: 1 << 20)
    done = serve("demo:chat", "--port", "0", "--device", "cpu")
    assert isinstance(done.exception, NotEnoughSpace)
    assert str(done.exception).startswith("demo:chat takes 4.8 MiB; 1.0 MiB of memory are free")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatvector.runtime.transformers_server.find_spec", lambda name: name != "uvicorn" or None)
    done = serve("demo:chat")
    assert isinstance(done.exception, MissingExtra)
    assert "pip install 'chatvector[serve]'" in str(done.exception)
