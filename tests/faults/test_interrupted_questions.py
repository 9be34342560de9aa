# SPDX-License-Identifier: Apache-2.0
"""What `eval` says when it is interrupted: that it continues only where it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from openai_server import MISSING, Answer, Asked, chat_answer, running

SECONDS = 240
CONTINUES = "the same command continues"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "the same command asks servers again (their weights have no name: --server-revision) and continues"),
        (("--server-revision", "v1"), f"{CONTINUES}\n"),
        (("--server-revision", "v1", "--no-cache"), "the same command begins again: --no-cache keeps no replies\n"),
    ],
    ids=["unnamed", "named", "nothing kept"],
)
def test_what_is_said_of_a_server(arguments: tuple[str, ...], line: str, tmp_path: Path) -> None:
    asked_something, go_on = threading.Event(), threading.Event()

    def say(asked: Asked) -> Answer:
        if asked.body is None:
            return MISSING
        asked_something.set()
        go_on.wait(SECONDS)
        return chat_answer("흰색")

    with running(say) as server:
        command = [sys.executable, "-m", "chatvector", "eval", server.url, "-l", "ko", "--limit", "1", "--quiet"]
        own = {**os.environ, "CHATVECTOR_CACHE": str(tmp_path / "replies.jsonl")}
        with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, env=own, text=True) as process:
            try:
                assert asked_something.wait(SECONDS)
                process.send_signal(signal.SIGINT)
                go_on.set()
                _, said = process.communicate(timeout=SECONDS)
            finally:
                go_on.set()
                process.kill()
    assert process.returncode == 130
    assert said.startswith("chatvector: interrupted; ")
    assert said.removeprefix("chatvector: interrupted; ").startswith(line)
