# SPDX-License-Identifier: Apache-2.0
"""A server on this machine that answers POST requests as a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class JsonServer:
    url: str
    asked: list[Asked] = field(default_factory=list)


Answerer = Callable[[int, Asked], tuple[int, Any] | tuple[int, Any, Mapping[str, str]]]
"""From the number of the request, counted from 0, and the request, to status, JSON value (bytes: sent as they are) and
headers."""


@contextmanager
def json_server(answer: Answerer) -> Iterator[JsonServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            asked = Asked(self.path, dict(self.headers.items()), json.loads(raw))
            served.asked.append(asked)
            status, value, *more = answer(len(served.asked) - 1, asked)
            said = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, content in (more[0] if more else {}).items():
                self.send_header(name, content)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = JsonServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
