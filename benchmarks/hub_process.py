# SPDX-License-Identifier: Apache-2.0
"""A hub of one's own for benchmarks, a process apart: model directories served by byte range over the loopback.

    python -m benchmarks.hub_process FOLDER [LATENCY]

Serves each directory in FOLDER as `org/NAME` and prints its address; each answer waits LATENCY seconds. It knows no
more of HTTP than the benchmark's clients ask for, and bytes go from the page cache to the socket by `sendfile`, so that
the server costs as little as a server can.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(StreamRequestHandler):
    """Model info, HEAD and ranged GET of files, on connections that stay open."""

    disable_nagle_algorithm = True  # as real servers do: no waiting between headers and a short body
    folder: Path
    latency = 0.0

    def handle(self) -> None:
        """Answer until the client leaves."""
        while request := self._next():
            time.sleep(self.latency)
            method, path, asked = request
            if match := re.fullmatch(r"/api/models/org/([^/?]+)(?:/revision/[^/?]+)?(?:\?.*)?", path):
                self._info(match[1])
            else:
                self._file(path, asked, body=method == "GET")

    def _next(self) -> tuple[str, str, str] | None:
        """Method, path and range of the next request; None at the end."""
        first = self.rfile.readline().decode().split()
        asked = ""
        while line := self.rfile.readline().strip():
            if line.lower().startswith(b"range:"):
                asked = line.decode().partition(":")[2].strip()
        return (first[0], first[1], asked) if first else None

    def _say(self, status: str, length: int, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", *headers, "", ""]
        self.wfile.write("\r\n".join(lines).encode())

    def _info(self, name: str) -> None:
        files = [{"rfilename": p.name, "size": p.stat().st_size} for p in sorted((self.folder / name).iterdir())]
        body = json.dumps({"id": f"org/{name}", "sha": COMMIT, "siblings": files, "tags": []}).encode()
        self._say("200 OK", len(body))
        self.wfile.write(body)

    def _file(self, path: str, asked: str, *, body: bool) -> None:
        match = re.fullmatch(rf"/org/([^/]+)/resolve/{COMMIT}/([^/?]+)", path)
        place = self.folder / match[1] / match[2] if match else None
        if place is None or not place.is_file():
            self._say("404 Not Found", 0)
            return
        size = place.stat().st_size
        names = f'ETag: "{place.name}-{size}"', f"X-Repo-Commit: {COMMIT}"
        start, stop = 0, size
        if part := re.fullmatch(r"bytes=(\d+)-(\d+)", asked):
            start, stop = int(part[1]), int(part[2]) + 1
            self._say("206 Partial Content", stop - start, f"Content-Range: bytes {start}-{stop - 1}/{size}", *names)
        else:
            self._say("200 OK", size, *names)
        if body:
            with open(place, "rb") as file:
                while start < stop:
                    start += os.sendfile(self.connection.fileno(), file.fileno(), start, stop - start)


class Server(ThreadingTCPServer):
    """A thread a connection."""

    daemon_threads = True
    request_queue_size = 128
    """Python's 5 drops the sixth connection of those that come at once; it is tried again a second later."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is no error."""

    def server_bind(self) -> None:
        """Bind, and send by plain congestion control: where a machine's default is BBR, its pacing holds the loopback
        back by a timer for each connection, and costs three times the processor time of the copies."""
        if hasattr(socket, "TCP_CONGESTION"):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        super().server_bind()


def main() -> None:
    """Serve until killed."""
    Handler.folder = Path(sys.argv[1])
    Handler.latency = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
