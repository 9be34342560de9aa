# SPDX-License-Identifier: Apache-2.0
"""Byte ranges over HTTP: where a file lies and who may read it is huggingface_hub's answer, the bytes come straight.

`locate` asks huggingface_hub for a file's address, ETag and commit (its token, its endpoint, its redirects). The ranges
then go through a plain connection of the standard library, which reads into the caller's buffer: over huggingface_hub's
own HTTP client a gigabyte costs 1.3 s of interpreter time, this way 0.3 s. Where a proxy is configured its client is
used all the same, as it knows the proxy's ways.

An answer that does not help is asked for again: 408, 429, 5xx and broken connections, at most `ATTEMPTS` times, waiting
as Retry-After says or twice as long each time. What arrived before a connection broke is kept.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from chatvector.checkpoint.hub_errors import explain_broken, explain_status
from chatvector.errors import HubError

ATTEMPTS = 7
"""Tries of one range. The waits between them add up to 63 s where the server names none."""
FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0
"""Seconds. A server that asks for more is taken at its word: the run stops and says so."""
WAIT_TO_TELL = 4.0
CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Address:
    """Where a file can be read.

    Attributes:
        url: its bytes; for large files an address signed for a limited time.
        headers: what to send with each request, the token among them where the host may have it.
        etag: names the content; None where the server gives none.
        commit: the commit that the server says it serves; None where it says none.
        size: bytes; None where the server did not say.
        signed: whether `url` is on another host, so that a 401 or 403 may only mean that its time is over.
    """

    url: str
    headers: Mapping[str, str]
    etag: str | None
    commit: str | None
    size: int | None
    signed: bool


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower-case names) and how many bytes went into the buffer."""

    status: int
    headers: Mapping[str, str]
    received: int


class Broken(Exception):
    """The connection broke. `answer` is what was read until then; None where there was no answer yet."""

    def __init__(self, reason: str, answer: Answer | None = None) -> None:
        super().__init__(reason)
        self.answer = answer


class Transport(Protocol):
    """Something that makes one GET request. Safe to use from several threads."""

    def get(self, url: str, headers: Mapping[str, str], buffer: memoryview) -> Answer:
        """Read the body of a good answer into `buffer`. Raises Broken."""
        ...


class DirectTransport:
    """Connections of the standard library, kept open between requests, whichever thread asks next."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def get(self, url: str, headers: Mapping[str, str], buffer: memoryview) -> Answer:
        """Read the body of a 200 or 206 straight into `buffer`."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        answer: Answer | None = None
        try:
            connection = self._take(parts.scheme, parts.netloc)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(_short(error)) from error
        try:
            response = self._ask(connection, path, headers)
            answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, 0)
            if answer.status not in (200, 206):
                connection.close()
                return answer
            while answer.received < len(buffer):
                count = response.readinto(buffer[answer.received :])
                if count == 0:
                    raise Broken("the answer ended early", answer)
                answer = replace(answer, received=answer.received + count)
            if not response.isclosed():
                connection.close()  # more than was asked for, or an end that is still to be read
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Broken(_short(error), answer) from error
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            with self._lock:
                self._idle.setdefault((parts.scheme, parts.netloc), []).append(connection)
        return answer

    def close(self) -> None:
        """Close the connections that wait for the next request."""
        with self._lock:
            for connection in (one for idle in self._idle.values() for one in idle):
                connection.close()
            self._idle.clear()

    def _take(self, scheme: str, host: str) -> http.client.HTTPConnection:
        """A connection that nobody uses, or a new one that is still to be made."""
        with self._lock:
            idle = self._idle.get((scheme, host))
            return idle.pop() if idle else self._new(scheme, host)

    def _ask(self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> Any:
        """Send a request and read the head of its answer, an `http.client.HTTPResponse`."""
        try:
            if connection.sock is None:
                _connect(connection)
            connection.request("GET", path, headers=dict(headers))
            return connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # An open connection that the server closed meanwhile; once more on a new one.
            connection.close()
            _connect(connection)
            connection.request("GET", path, headers=dict(headers))
            return connection.getresponse()

    def _new(self, scheme: str, host: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, timeout=CONNECT_SECONDS)
        if self._context is None:
            self._context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, timeout=CONNECT_SECONDS, context=self._context)


def _connect(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    connection.sock.settimeout(READ_SECONDS)


class ClientTransport:
    """huggingface_hub's own HTTP client, for networks with a proxy."""

    def get(self, url: str, headers: Mapping[str, str], buffer: memoryview) -> Answer:
        """Read the body of a 200 or 206 into `buffer`, piece by piece."""
        from huggingface_hub import errors, get_session

        http_error: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
        found: Answer | None = None
        try:
            with get_session().stream("GET", url, headers=dict(headers), timeout=READ_SECONDS) as answer:
                found = Answer(answer.status_code, {name.lower(): v for name, v in answer.headers.items()}, 0)
                if found.status not in (200, 206):
                    return found
                for piece in answer.iter_raw():
                    start = found.received
                    piece = piece[: len(buffer) - start]
                    buffer[start : start + len(piece)] = piece
                    found = replace(found, received=start + len(piece))
                    if found.received == len(buffer):
                        break
        except (http_error, OSError) as error:
            raise Broken(_short(error), found) from error
        if found.received < len(buffer):
            raise Broken("the answer ended early", found)
        return found


class Transports:
    """The ways that one model's files share: the straight one, unless a proxy is configured for the host."""

    def __init__(self) -> None:
        self._direct = DirectTransport()
        self._client = ClientTransport()
        self._ways: dict[tuple[str, str], Transport] = {}

    def of(self, url: str) -> Transport:
        """The way to `url`, looked for once a host: reading the environment costs more than asking for a range."""
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


class HttpFile:
    """A file on an HTTP server, as `RangeFetcher`; it must stay the same from the first read to the last."""

    def __init__(
        self,
        name: str,
        size: int,
        commit: str | None,
        locate: Callable[[], Address],
        transports: Transports,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """`locate` finds the file's address, now or again when a signed one has run out; it raises HubError.

        `say` is told of waits that a person would wonder about.
        """
        self._name = name
        self._size = size
        self._commit = commit
        self._locate = locate
        self._lock = threading.Lock()
        self._address: Address | None = None
        self._etag: str | None = None
        self._transports = transports
        self._say = say

    def fetch(self, start: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `start`. Raises HubError when the server keeps refusing, or the file changed."""
        done, wait, renewed = 0, FIRST_WAIT, False
        for attempt in range(1, ATTEMPTS + 1):
            address = self._current()
            try:
                answer = self._ask(address, start + done, buffer[done:])
            except Broken as broken:
                if broken.answer is not None and broken.answer.status == 206:
                    self._check_same(broken.answer, start + done)
                    done += broken.answer.received
                failure, pause = explain_broken(str(broken), self._name, address.url), None
            else:
                if answer.status == 206 or self._is_whole(answer, start + done, len(buffer) - done):
                    self._check_same(answer, start + done)
                    return
                if answer.status in (401, 403) and address.signed and not renewed:
                    renewed = True
                    self._renew(address)
                    continue
                failure, pause = self._refusal(answer, address), retry_after(answer.headers)
                if answer.status not in _AGAIN or (pause or 0.0) > LONGEST_WAIT:
                    raise failure
            if attempt == ATTEMPTS:
                raise failure
            pause = wait if pause is None else pause
            if self._say is not None and pause >= WAIT_TO_TELL:
                self._say(f"{failure}; trying again in {pause:.0f} s")
            time.sleep(pause)
            wait *= 2

    def _current(self) -> Address:
        with self._lock:
            if self._address is None:
                self._address = self._checked(self._locate())
            return self._address

    def _renew(self, old: Address) -> None:
        """Ask for a new address, once for all threads that found the old one expired."""
        with self._lock:
            if self._address is old:
                self._address = self._checked(self._locate())

    def _checked(self, address: Address) -> Address:
        if self._etag is None:
            self._etag = address.etag
        same_content = address.etag is None or address.etag == self._etag
        same_commit = self._commit is None or address.commit in (None, self._commit)
        if not same_content or not same_commit or address.size not in (None, self._size):
            raise self._changed()
        return address

    def _ask(self, address: Address, start: int, buffer: memoryview) -> Answer:
        headers = {
            **address.headers,
            "Range": f"bytes={start}-{start + len(buffer) - 1}",
            "Accept-Encoding": "identity",
        }
        url = address.url
        for _ in range(5):
            answer = self._transports.of(url).get(url, headers, buffer)
            if answer.status not in _MOVED or "location" not in answer.headers:
                return answer
            target = urljoin(url, answer.headers["location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            url = target
        raise HubError(f"{self._name}: the server redirects in a circle; leave out --stream")

    def _is_whole(self, answer: Answer, start: int, length: int) -> bool:
        """Whether a server that knows no ranges gave the whole file where the whole was wanted."""
        whole = start == 0 and length == self._size
        return answer.status == 200 and whole and answer.headers.get("content-length", str(length)) == str(length)

    def _check_same(self, answer: Answer, start: int) -> None:
        if answer.status == 206:
            span = answer.headers.get("content-range", "")
            given, _, total = span.removeprefix("bytes ").partition("/")
            if total != str(self._size) or not given.startswith(f"{start}-"):
                raise self._changed()
        commit = answer.headers.get("x-repo-commit")
        if commit is not None and self._commit is not None and commit != self._commit:
            raise self._changed()
        address = self._address
        if address is not None and not address.signed and self._etag is not None:
            etag = normal_etag(answer.headers.get("x-linked-etag") or answer.headers.get("etag"))
            if etag is not None and etag != self._etag:
                raise self._changed()

    def _refusal(self, answer: Answer, address: Address) -> HubError:
        if answer.status == 200:
            return HubError(f"{self._name}: the server serves no byte ranges; leave out --stream")
        if answer.status == 416:
            return self._changed()
        return explain_status(answer.status, self._name, address.url)

    def _changed(self) -> HubError:
        return HubError(f"{self._name}: changed on the server while it was read; run the command again")


def normal_etag(etag: str | None) -> str | None:
    """An ETag without quotes and without the mark of a weak one."""
    return None if etag is None else etag.removeprefix("W/").strip('"')


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number, or until a date."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _short(error: Any) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "…"
