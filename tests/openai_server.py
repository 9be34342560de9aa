# SPDX-License-Identifier: Apache-2.0
"""A server on this machine that speaks OpenAI's protocol as a test tells it to, errors included."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chatvector.runtime.backend import Prompt
from chatvector.runtime.http_json import JsonClient
from chatvector.runtime.openai_backend import OpenAIBackend


@dataclass(frozen=True)
class Answer:
    """What comes back. `body` is sent as JSON, bytes as they are; `cut` breaks the connection after so many bytes,
    `wait` keeps silent before, in seconds."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    wait: float = 0.0


@dataclass(frozen=True)
class Asked:
    path: str
    body: dict[str, Any] | None
    headers: Mapping[str, str]


MODELS = Answer({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "tests"}]})
MISSING = Answer({"error": {"message": "not found"}}, status=404)
Say = Callable[[Asked], Answer]


def chat_answer(text: str | None, reason: str = "stop", *, tokens: int = 3, **message: Any) -> Answer:
    return Answer(
        {
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": tokens},
        }
    )


class FakeServer:
    """Answers `/v1/models` by itself and everything else by `say`; what `say` is asked is kept."""

    def __init__(self, say: Say, *, port: int = 0, models: Answer = MODELS) -> None:
        self.say, self.models = say, models
        self.asked: list[Asked] = []
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(owner._answer(Asked(self.path, None, dict(self.headers))))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._send(owner._answer(Asked(self.path, body, dict(self.headers))))

            def _send(self, answer: Answer) -> None:
                time.sleep(answer.wait)
                data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                try:
                    self.send_response(answer.status)
                    for name, value in {"content-length": str(len(data)), **answer.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data[: answer.cut])
                except OSError:  # the client had enough
                    return

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    @property
    def posts(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.body is not None]

    def _answer(self, asked: Asked) -> Answer:
        if asked.path == "/v1/models":
            return self.models
        with self._lock:
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self.say(asked)
        finally:
            with self._lock:
                self._at_once -= 1


@contextmanager
def running(say: Say, models: Answer = MODELS) -> Iterator[FakeServer]:
    fake = FakeServer(say, models=models)
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        fake.server.server_close()
        thread.join()


def user(text: str, sample: int = 0) -> Prompt:
    return Prompt(messages=(("user", text),), sample=sample)


def connect(server: FakeServer, **options: Any) -> tuple[OpenAIBackend, list[float]]:
    """A backend that does not really wait, and the seconds that it would have waited."""
    waits: list[float] = []
    key = options.pop("key_variable", None)
    timeout = options.pop("timeout", 5.0)
    client = JsonClient(server.url, key_variable=key, timeout=timeout, sleep=waits.append)
    return OpenAIBackend(server.url, client=client, **{"canary": False, **options}), waits


def one_by_one(*answers: Answer) -> Say:
    """Each question gets the next answer, and the last one for good."""
    left = list(answers)

    def say(asked: Asked) -> Answer:
        if asked.body is None:
            return MISSING
        return left.pop(0) if len(left) > 1 else left[0]

    return say


def echo(asked: Asked) -> Answer:
    """Says the last user message in capitals; no other path is there."""
    if asked.path != "/v1/chat/completions" or asked.body is None:
        return MISSING
    return chat_answer(asked.body["messages"][-1]["content"].upper())


def main(model: str, port: int, how: str) -> None:
    """As a program, for tests of server commands: `well`, `late` (503 first), `dead` (ends at once), `deaf` (never
    ready), `dies` (at its second question)."""
    print(f"loading {model}", flush=True)
    if how == "dead":
        print("CUDA error: no device\nthat was all", flush=True)
        raise SystemExit(3)
    began = time.monotonic()

    def say(asked: Asked) -> Answer:
        if asked.path == "/health":
            ready = how != "deaf" and (how != "late" or time.monotonic() - began > 0.3)
            return Answer(b"", status=200 if ready else 503)
        if how == "dies" and len(fake.posts) > 1:
            print("Segmentation fault", flush=True)
            os._exit(139)
        return echo(asked)

    fake = FakeServer(say, port=port)
    fake.server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
