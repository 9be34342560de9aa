# SPDX-License-Identifier: Apache-2.0
"""GET requests whose bodies are read straight into the caller's memory, as it asks for them.

The direct transport is a connection of the standard library. After the head of an answer the body is read from the
socket, by one system call that waits for all bytes without the interpreter lock (over TLS by one for each record).
Where a proxy is configured, huggingface_hub's own client is used, because it supports proxies.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from chatvector.checkpoint.hub_errors import short

CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0
_HEAD_BUFFER_BYTES = 8192  # buffer of `http.client`, which may hold this much of the body after the head is read


@dataclass(frozen=True)
class Answer:
    """The head of an answer: status and headers (lower-case names)."""

    status: int
    headers: Mapping[str, str]


class Broken(Exception):
    """The connection broke after `received` bytes had been written to the buffer."""

    def __init__(self, reason: str, received: int = 0) -> None:
        super().__init__(reason)
        self.received = received


class Request(Protocol):
    """A request that was sent; for one thread at a time."""

    def answer(self) -> Answer:
        """Wait for the head of the answer. Raises Broken."""
        ...

    def read_into(self, buffer: memoryview) -> None:
        """Fill all of `buffer` with the next bytes of the body. Raises Broken."""
        ...

    def lend(self, nbytes: int) -> int | None:
        """A socket whose next `nbytes` belong to the body; None where the body does not come from a plain socket.

        The caller has to read exactly these bytes, or to call `break_off`. `answer` must have returned before.
        """
        ...

    def break_off(self) -> None:
        """Give up a request whose socket was lent and stopped at an unknown place in the body."""
        ...

    def close(self) -> None:
        """Give up what was not read."""
        ...


class Transport(Protocol):
    """Makes requests. Safe to use from several threads."""

    def ask(self, url: str, headers: Mapping[str, str]) -> Request:
        """Send a GET request without waiting for the answer. Raises Broken."""
        ...


class DirectTransport:
    """Connections of the standard library, kept open between requests and shared by all threads."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def ask(self, url: str, headers: Mapping[str, str]) -> Request:
        """Send a GET request on an idle connection, or on a new one."""
        parts = urlsplit(url)
        place = parts.scheme, parts.netloc
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with self._lock:
            idle = self._idle.get(place)
            connection = idle.pop() if idle else self._new(*place)
        with _told_as_broken(connection.close):
            return _DirectRequest(connection, path, headers, lambda: self._keep(place, connection))

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            for connection in (one for idle in self._idle.values() for one in idle):
                connection.close()
            self._idle.clear()

    def _keep(self, place: tuple[str, str], connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.setdefault(place, []).append(connection)

    def _new(self, scheme: str, host: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, timeout=CONNECT_SECONDS)
        if self._context is None:
            self._context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, timeout=CONNECT_SECONDS, context=self._context)


class _DirectRequest:
    def __init__(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        headers: Mapping[str, str],
        keep: Callable[[], None],
    ) -> None:
        """`keep` returns the connection to the idle ones; called when the body was read to its end."""
        self._connection = connection
        self._path, self._headers, self._keep = path, headers, keep
        self._response: http.client.HTTPResponse | None = None
        self._begun = memoryview(b"")  # the part of the body that was read with the head
        self._left: int | None = None  # bytes of the body to read; None where `http.client` finds its end
        try:
            self._send(anew=connection.sock is None)
        except (ConnectionResetError, BrokenPipeError):  # an open connection that the server closed meanwhile
            self._send(anew=True)

    def answer(self) -> Answer:
        """Wait for the head. A kept connection that the server has closed is made anew, once."""
        with _told_as_broken(self._connection.close):
            try:
                response = self._connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self._send(anew=True)
                response = self._connection.getresponse()
            self._response = response
            if response.length is not None and self._connection.sock is not None:
                self._begun = memoryview(response.read1(min(_HEAD_BUFFER_BYTES, response.length)))
                self._left = response.length
                self._connection.sock.settimeout(None if self._is_plain else READ_SECONDS)
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()})

    def read_into(self, buffer: memoryview) -> None:
        """Fill all of `buffer`."""
        done, length = 0, len(buffer)
        with _told_as_broken(self._connection.close, lambda: done):
            while done < length:
                count = self._some(buffer[done:])
                if count == 0:
                    raise Broken("the answer ended early")
                done += count

    def lend(self, nbytes: int) -> int | None:
        """The connection's socket, where it is a plain one and nothing of the body was read ahead."""
        if not self._is_plain or self._begun or self._left is None or self._left < nbytes:
            return None
        self._left -= nbytes
        return self._connection.sock.fileno()

    def break_off(self) -> None:
        """Close the connection."""
        self._left = None
        self.close()

    def close(self) -> None:
        """Keep the connection for the next request where the body is at its end, else close it."""
        if self._left == 0 and not self._begun and self._response is not None and self._connection.sock is not None:
            self._response.close()
            self._connection.sock.settimeout(READ_SECONDS)
            self._keep()
        else:
            self._connection.close()
        self._left, self._response = None, None

    @property
    def _is_plain(self) -> bool:
        return not isinstance(self._connection.sock, ssl.SSLSocket)

    def _send(self, *, anew: bool) -> None:
        if anew:
            self._connection.close()
            self._connection.connect()
            self._connection.sock.settimeout(READ_SECONDS)
            # This timeout also works where Python's own does not: in system calls that wait for all bytes.
            limit = struct.pack("@ll", int(READ_SECONDS), 0)
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._connection.request("GET", self._path, headers=dict(self._headers))

    def _some(self, buffer: memoryview) -> int:
        """At least one more byte of the body, 0 at its end."""
        assert self._response is not None
        if self._begun:
            count = min(len(buffer), len(self._begun))
            buffer[:count], self._begun = self._begun[:count], self._begun[count:]
            return count
        if self._left is None:
            return self._response.readinto(buffer)
        wanted = min(len(buffer), self._left)
        if wanted == 0:
            return 0
        # TLS sockets do not support MSG_WAITALL.
        count = self._connection.sock.recv_into(buffer, wanted, socket.MSG_WAITALL if self._is_plain else 0)
        self._left -= count
        return count


@contextmanager
def _told_as_broken(
    close: Callable[[], None] = lambda: None, received: Callable[[], int] = lambda: 0, *kinds: type[Exception]
) -> Iterator[None]:
    """Turn errors of a connection (`kinds`, and those of the system and library) into Broken, and close it."""
    try:
        yield
    except BlockingIOError as error:
        close()
        raise Broken("timed out", received()) from error
    except (OSError, http.client.HTTPException, Broken, *kinds) as error:
        close()
        raise Broken(short(error), received()) from error
    except BaseException:
        close()
        raise


class ClientTransport:
    """Requests by huggingface_hub's own HTTP client, for networks with a proxy."""

    def ask(self, url: str, headers: Mapping[str, str]) -> Request:
        """A request that is sent when `answer` is called."""
        return _ClientRequest(url, headers)


class _ClientRequest:
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, headers
        self._stack = ExitStack()
        self._pieces: Iterator[bytes] = iter(())
        self._piece = memoryview(b"")

    def answer(self) -> Answer:
        """Send, and wait for the head."""
        from huggingface_hub import errors, get_session

        self._errors: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
        with _told_as_broken(self.close, lambda: 0, self._errors):
            stream = get_session().stream("GET", self._url, headers=dict(self._headers), timeout=READ_SECONDS)
            answer = self._stack.enter_context(stream)
            self._pieces = answer.iter_raw()
            return Answer(answer.status_code, {name.lower(): value for name, value in answer.headers.items()})

    def read_into(self, buffer: memoryview) -> None:
        """Fill all of `buffer`, piece by piece."""
        done = 0
        with _told_as_broken(self.close, lambda: done, self._errors):
            while done < len(buffer):
                self._piece = self._piece or memoryview(next(self._pieces, b""))
                if not self._piece:
                    raise Broken("the answer ended early")
                count = min(len(buffer) - done, len(self._piece))
                buffer[done : done + count], self._piece = self._piece[:count], self._piece[count:]
                done += count

    def lend(self, nbytes: int) -> int | None:
        """None: the client does not give its sockets away."""
        del nbytes

    def break_off(self) -> None:
        """End the answer."""
        self.close()

    def close(self) -> None:
        """End the answer."""
        self._stack.close()


class Transports:
    """The transports that one model's files share: the direct one, unless a proxy is configured for the host."""

    def __init__(self) -> None:
        self._direct = DirectTransport()
        self._client = ClientTransport()
        self._ways: dict[tuple[str, str], Transport] = {}

    def of(self, url: str) -> Transport:
        """The transport for `url`, chosen once per host: reading the environment costs more than a request."""
        parts = urlsplit(url)
        host = parts.scheme, parts.netloc
        if host not in self._ways:
            proxies = urllib.request.getproxies()
            proxied = (parts.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(parts.netloc)
            self._ways[host] = self._client if proxied else self._direct
        return self._ways[host]

    def close(self) -> None:
        """Close the connections."""
        self._direct.close()
