# SPDX-License-Identifier: Apache-2.0
"""Start a server for one model by the user's own command, wait until it answers, and stop it.

    vllm serve {model} --port {port} --max-model-len 4096
    llama-server -m {model} --port {port} -c 4096
    python -m sglang.launch_server --model-path {model} --port {port}

The command is split as by a shell, then `{model}` and `{port}` are filled in, so that a path with blanks stays one
argument; no shell runs. The server is local and its weights are known, so its replies are cached by their hash.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.names import resolve
from chatvector.checkpoint.staging import temporary_folder
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.errors import HubError, InputError, UsageError
from chatvector.messages import Say
from chatvector.runtime.http_json import JsonClient
from chatvector.runtime.loading import checkpoint_digest
from chatvector.runtime.openai_backend import OpenAIBackend
from chatvector.vocabulary.side_files import text_config
from chatvector.vocabulary.template_files import read_template_files

SECONDS_TO_START = 1800.0
"""Enough for a large model that is loaded from a slow disk and compiled."""
SECONDS_TO_STOP = 30.0
SECONDS_BETWEEN_LOOKS = 0.5
SHOWN_LINES = 12
QUIET: Mapping[str, str] = {"HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""Environment variables for every server that switch telemetry off."""


class ServerCommand:
    """A command that serves one model."""

    def __init__(
        self,
        template: str,
        *,
        seconds_to_start: float = SECONDS_TO_START,
        note: Say | None = None,
    ) -> None:
        """`template` contains `{model}` and `{port}`; `note` receives lines for people.

        Raises UsageError for a command without them, or one that a shell could not split.
        """
        try:
            self.parts = shlex.split(template)
        except ValueError as error:
            raise UsageError(f"the server command cannot be split ({error}): {template}") from None
        missing = [place for place in ("{model}", "{port}") if not any(place in part for part in self.parts)]
        if missing:
            raise UsageError(f"the server command has no {' and no '.join(missing)} in it: {template}")
        self.template, self.seconds_to_start = template, seconds_to_start
        self._note = note or (lambda _: None)

    @contextmanager
    def serving(self, model: str, **options: Any) -> Iterator[OpenAIBackend]:
        """A backend for `model` (a directory, `demo:…`, a file such as a GGUF, or a hub name that the server loads by
        itself) while the block runs. `options` go to `OpenAIBackend`.

        Raises HubError with the server's last lines if it ends or does not answer in time.
        """
        place, known = _locate(model)
        if "fingerprint" in known:
            known["fingerprint"] = hashlib.sha256(f"{known['fingerprint']}\0{self.template}".encode()).hexdigest()
        if "chat-template" in self.template:
            known["prompt_form"] = "template of the server command"
        port = _free_port()
        command = [part.replace("{model}", place).replace("{port}", str(port)) for part in self.parts]
        with tempfile.TemporaryDirectory(prefix="chatvector-server-", dir=temporary_folder()) as scratch:
            log = Path(scratch) / "log"
            self._note(f"starting: {shlex.join(command)}")
            process = _start(command, log)
            try:
                url = f"http://127.0.0.1:{port}"
                self._wait(process, url, log)
                with _last_words(process, log):
                    yield OpenAIBackend(f"{url}/v1", **{"name": model, "otherwise": place, **known, **options})
                self._note(f"stopping the server of {model}")
            finally:
                end_session(process)

    def _wait(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        client = JsonClient(url)
        end = time.monotonic() + self.seconds_to_start
        while time.monotonic() < end:
            if process.poll() is not None:
                _ended(process, log, "it did not come to answer")
            if is_ready(client):
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
        raise HubError(
            f"the server does not answer after {self.seconds_to_start:.0f} s; its last lines:\n{_last_lines(log)}"
        )


@contextmanager
def _last_words(process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
    """Add the server's last output to an error inside the block, if the server has ended."""
    try:
        yield
    except HubError as error:
        time.sleep(SECONDS_BETWEEN_LOOKS)  # the process is seen to end a moment after its connection broke
        if process.poll() is None:
            raise
        _ended(process, log, str(error))


def is_ready(client: JsonClient) -> bool:
    """Whether a server answers on `/health` or, where there is none, lists its models. While loading, llama.cpp answers
    503."""
    healthy = client.status("/health", timeout=5)
    return healthy == 200 or (healthy == 404 and client.status("/v1/models", timeout=5) == 200)


def _locate(model: str) -> tuple[str, dict[str, Any]]:
    """The value of `{model}` for a model, and the known facts about it as options of `OpenAIBackend`."""
    path = Path(model).expanduser()
    if path.is_file():
        with path.open("rb") as file:
            return str(path.absolute()), {"fingerprint": hashlib.file_digest(file, "sha256").hexdigest()}
    location = resolve(model)
    if location.path is None:
        return model, {}
    known: dict[str, Any] = {}
    with suppress(InputError), Checkpoint(LocalDirectory(location.path, model), model) as checkpoint:
        # Left as far as it got for a format that only the server reads.
        known["context"] = text_config(checkpoint.config).get("max_position_embeddings")
        known["prompt_form"] = "own template" if read_template_files(checkpoint).sources else "raw"
        known["fingerprint"] = checkpoint_digest(checkpoint)
    return str(location.path.absolute()), known


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the command in a session of its own, so that its workers stop with it and Ctrl-C reaches us first."""
    try:
        with log.open("wb") as out:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **QUIET},
            )
    except OSError as error:
        raise UsageError(f"the server command cannot be run ({error.strerror}): {command[0]}") from error


def end_session(process: subprocess.Popen[bytes], seconds: float | None = None) -> None:
    """Ask the whole session of a process to end. Kill it after `seconds`, or when we are interrupted again
    meanwhile."""
    patience = SECONDS_TO_STOP if seconds is None else seconds
    for name in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, name)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    process.wait()


def _ended(process: subprocess.Popen[bytes], log: Path, what: str) -> NoReturn:
    raise HubError(f"the server ended with status {process.returncode} ({what}); its last lines:\n{_last_lines(log)}")


def _last_lines(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(f"    {line.rstrip()[:200]}" for line in lines[-SHOWN_LINES:]) or "    (it wrote none)"
