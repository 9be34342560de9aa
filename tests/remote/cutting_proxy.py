# SPDX-License-Identifier: Apache-2.0
"""A TCP relay on the loopback that closes some connections in the middle of the answer, or keeps answers back."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Relays to `endpoint`. While `cuts` is above 0, long answers are cut after 1,500 bytes, and `cuts` counts down.

    What is put under a name that ends with `unanswered` arrives; its answer, and what follows it on the connection,
    does not come back.
    """

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._to = (parts.hostname, parts.port)
        self.cuts = 0
        self.unanswered: str | None = None
        self._silent: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", 0))

    @property
    def endpoint(self) -> str:
        """Its own address."""
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._server, *self._open):
            _shut(one)
        for thread in self._threads:
            thread.join()
        for one in (self._server, *self._open):
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            self._open += [near, far]
            for way in ((near, far, False), (far, near, True)):
                self._threads.append(threading.Thread(target=self._relay, args=way))
                self._threads[-1].start()

    def _relay(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if not answers and self._is_put(data):
                    self._silent.add(source)
                if answers and sink in self._silent:
                    continue
                if answers and len(data) > 3000 and self._cut():
                    sink.sendall(data[:1500])
                    break
                sink.sendall(data)
        except OSError:
            pass  # the other side left
        _shut(source)
        _shut(sink)

    def _is_put(self, data: bytes) -> bool:
        return (
            self.unanswered is not None
            and f"{self.unanswered} HTTP/1.1\r\n".encode() in data.partition(b"\n")[0] + b"\n"
        )

    def _cut(self) -> bool:
        with self._lock:
            if self.cuts <= 0:
                return False
            self.cuts -= 1
            return True


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
