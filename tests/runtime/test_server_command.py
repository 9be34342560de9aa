# SPDX-License-Identifier: Apache-2.0
"""Servers started by a command, healthy and not, none left behind."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

import openai_server
from chatvector.errors import HubError, MissingInput, UsageError
from chatvector.runtime import server_command
from chatvector.runtime.backend import Prompt, Sampling
from chatvector.runtime.server_command import ServerCommand

PROGRAM = f"{shlex.quote(sys.executable)} {shlex.quote(str(openai_server.__file__))} {{model}} {{port}}"
QUESTION = [Prompt(messages=(("user", "q"),))]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_command, "SECONDS_BETWEEN_LOOKS", 0.05)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", ["well", "late"])
def test_started_asked_and_stopped(how: str, tmp_path: Path) -> None:
    model = tmp_path / "a model; with blanks"
    model.mkdir()
    notes: list[str] = []
    with ServerCommand(f"{PROGRAM} {how}", note=notes.append).serving(str(model)) as backend:
        assert backend.generate(QUESTION, Sampling(8))[0].text == "Q"
        assert backend.name == str(model)
        url = backend._client.url
    assert f"'{model}'" in notes[0]
    with pytest.raises(HubError, match="did not answer"):
        backend._client.get("/models", attempts=1, timeout=1)
    assert url.startswith("http://127.0.0.1:")


def test_replies_are_cached_by_the_weights_that_are_served(tmp_path: Path) -> None:
    def fingerprint(model: str, how: str = "well") -> str:
        with ServerCommand(f"{PROGRAM} {how}").serving(model, canary=False) as backend:
            return backend.info.fingerprint

    first = fingerprint("demo:base")
    assert fingerprint("demo:base") == first  # another port, the same model
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    assert len({first, fingerprint("demo:chat"), fingerprint("demo:base", "late"), fingerprint(str(file))}) == 4


def test_a_model_without_a_template_is_not_asked_in_chat_form() -> None:
    with ServerCommand(f"{PROGRAM} well").serving("demo:base", canary=False) as backend:
        assert backend.info.prompt_form == "raw"
        with pytest.raises(MissingInput, match="demo:base has no chat template and none is made up"):
            backend.generate(QUESTION, Sampling(8))
    with ServerCommand(f"{PROGRAM} well --chat-template FILE").serving("demo:base", canary=False) as backend:
        assert backend.info.prompt_form == "template of the server command"
        assert backend.generate(QUESTION, Sampling(8))[0].text == "Q"


def test_a_server_that_takes_prompts_longer_than_the_context_is_found_out() -> None:
    """`transformers serve` does, and lets the model babble. The server says that prompts have 7 tokens."""
    with ServerCommand(f"{PROGRAM} well").serving("demo:chat", canary=False) as backend:
        assert backend.context == 512
        fits, too_long = (backend.generate(QUESTION, Sampling(limit))[0] for limit in (505, 506))
    assert (fits.failure, too_long.failure, too_long.text) == (None, "context", "")


def test_a_server_that_ends_at_once_shows_its_last_lines() -> None:
    with (
        pytest.raises(
            HubError, match=r"ended with status 3 .*; its last lines:\n(.*\n)*    CUDA error: no device\n    that"
        ),
        ServerCommand(f"{PROGRAM} dead").serving("demo:base"),
    ):
        pass


def test_last_lines_are_shown_once() -> None:
    with pytest.raises(HubError) as caught, ServerCommand(f"{PROGRAM} dead").serving("demo:base"):
        pass
    assert str(caught.value).count("that was all") == 1


def test_a_server_that_is_never_ready_is_given_up_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    real = server_command._start
    monkeypatch.setattr(server_command, "_start", lambda *a: (p := real(*a), started.append(p.pid))[0])
    command = ServerCommand(f"{PROGRAM} deaf", seconds_to_start=1.0)
    with pytest.raises(HubError, match=r"does not answer after 1 s; its last lines:\n"), command.serving("demo:base"):
        pass
    assert not alive(started[0])


def test_a_server_that_dies_while_it_is_asked_shows_why() -> None:
    def ask_twice() -> None:
        with ServerCommand(f"{PROGRAM} dies").serving("demo:chat", canary=False) as backend:
            backend._client._sleep = lambda _: None
            assert backend.generate(QUESTION, Sampling(8))[0].text == "Q"
            backend.generate(QUESTION, Sampling(8))

    with pytest.raises(HubError, match=r"ended with status 139 .*last lines:\n(.*\n)*    Segmentation fault"):
        ask_twice()


def test_workers_are_stopped_with_their_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts workers and does not listen to SIGTERM."""
    monkeypatch.setattr(server_command, "SECONDS_TO_STOP", 0.3)
    pid = tmp_path / "pid"
    script = tmp_path / "server.sh"
    script.write_text(
        f"trap '' TERM\nsleep 600 &\necho $! > {shlex.quote(str(pid))}\n{PROGRAM.format(model='$1', port='$2')} well\n"
    )
    command = ServerCommand(f"sh {shlex.quote(str(script))} {{model}} {{port}}")
    with command.serving("demo:chat", canary=False) as backend:
        assert backend.generate(QUESTION, Sampling(8))[0].text == "Q"
        worker = int(pid.read_text())
        assert alive(worker)
    for _ in range(100):
        if not _running(worker):
            return
        time.sleep(0.05)
    raise AssertionError("the worker is still there")


def _running(process: int) -> bool:
    """Not a zombie that nobody has waited for, either."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_error_of_the_caller_stops_the_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_command, "SECONDS_TO_STOP", 5.0)
    command = ServerCommand(f"{PROGRAM} well")
    with pytest.raises(KeyboardInterrupt), command.serving("demo:base") as backend:
        raise KeyboardInterrupt
    assert backend._client.status("/models", timeout=1) is None


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("vllm serve {model}", r"has no \{port\} in it"),
        ("vllm serve", r"has no \{model\} and no \{port\} in it"),
        ("vllm 'serve {model} {port}", "cannot be split"),
    ],
)
def test_commands_that_are_none(template: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ServerCommand(template)


def test_a_program_or_a_model_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"cannot be run \(No such file or directory\): no-such-server"),
        ServerCommand("no-such-server {model} {port}").serving("demo:base"),
    ):
        pass
    with pytest.raises(MissingInput), ServerCommand(f"{PROGRAM} well").serving(str(tmp_path / "nowhere")):
        pass
