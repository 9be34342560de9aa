# SPDX-License-Identifier: Apache-2.0
"""A hub of one's own for benchmarks, a process apart: model directories served by byte range over the loopback.

    python -m benchmarks.hub_process FOLDER [LATENCY]

Serves each directory in FOLDER as `org/NAME` and prints its address; each answer waits LATENCY seconds. Bytes go from
the page cache to the socket by `sendfile`, so that the server costs as little as a server can.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Model info, HEAD and ranged GET of files."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as real servers do: no waiting between headers and a short body
    folder: Path
    latency = 0.0

    def do_GET(self) -> None:
        time.sleep(self.latency)
        if match := re.fullmatch(r"/api/models/org/([^/?]+)(?:/revision/[^/?]+)?(?:\?.*)?", self.path):
            self._info(match[1])
        else:
            self._file(body=True)

    def do_HEAD(self) -> None:
        time.sleep(self.latency)
        self._file(body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _info(self, name: str) -> None:
        files = [{"rfilename": p.name, "size": p.stat().st_size} for p in sorted((self.folder / name).iterdir())]
        body = json.dumps({"id": f"org/{name}", "sha": COMMIT, "siblings": files, "tags": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, *, body: bool) -> None:
        match = re.fullmatch(rf"/org/([^/]+)/resolve/{COMMIT}/([^/?]+)", self.path)
        path = self.folder / match[1] / match[2] if match else None
        if path is None or not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = path.stat().st_size
        start, stop = 0, size
        if asked := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, stop = int(asked[1]), int(asked[2]) + 1
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", f'"{path.name}-{size}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.flush()
            with open(path, "rb") as file:
                while start < stop:
                    start += os.sendfile(self.connection.fileno(), file.fileno(), start, stop - start)


class Server(ThreadingHTTPServer):
    """A thread a connection."""

    daemon_threads = True
    request_queue_size = 128
    """Python's 5 drops the sixth connection of those that come at once; it is tried again a second later."""


def main() -> None:
    """Serve until killed."""
    Handler.folder = Path(sys.argv[1])
    Handler.latency = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
