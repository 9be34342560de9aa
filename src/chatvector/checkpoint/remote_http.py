# SPDX-License-Identifier: Apache-2.0
"""Byte ranges over HTTP: huggingface_hub gives a file's address and access, this module reads the bytes directly.

`locate` asks huggingface_hub for a file's address, ETag and commit (its token, its endpoint, its redirects). The bytes
come by http_transport.py, because over huggingface_hub's own HTTP client a gigabyte costs 1.3 s of interpreter time.

After 408, 429, 5xx and broken connections the request is repeated, at most `ATTEMPTS` tries in all. The wait is that of
Retry-After, or doubles each time. Bytes that arrived before a connection broke are kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from chatvector.checkpoint.http_transport import Answer, Broken, Request, Transports
from chatvector.checkpoint.hub_errors import explain_broken, explain_status
from chatvector.checkpoint.waiting import Waits
from chatvector.errors import HubError
from chatvector.messages import Say

ATTEMPTS = 7
"""Tries of one range. The waits between them add up to 63 s where the server names none."""
FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0
"""Seconds. Where a server asks for a longer wait, the run stops and says so."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Address:
    """Address of a file for reading.

    Attributes:
        url: address of its bytes; for large files a signed one, valid for a limited time.
        headers: headers of each request, with the token if the host may get it.
        etag: identifies the content; None where the server gives none.
        commit: the commit that the server names; None where it names none.
        size: bytes; None where the server did not say.
        signed: whether `url` is on another host, so that a 401 or 403 may just mean that it expired.
    """

    url: str
    headers: Mapping[str, str]
    etag: str | None
    commit: str | None
    size: int | None
    signed: bool


class HttpFile:
    """A file on an HTTP server, as `RangeOpener`; it must stay the same from the first read to the last."""

    def __init__(
        self,
        name: str,
        size: int,
        commit: str | None,
        locate: Callable[[], Address],
        transports: Transports,
        say: Say | None = None,
        *,
        address: Address | None = None,
    ) -> None:
        """`locate` finds the file's address: at the first read unless `address` is given, and again when a signed one
        expired. It raises HubError.

        `say` is told of long waits.
        """
        self.name = name
        self._size = size
        self._commit = commit
        self._locate = locate
        self._lock = threading.Lock()
        self._address = address
        self._etag: str | None = None
        self.transports = transports
        self.waits = Waits(say)

    def open(self, start: int, length: int) -> HttpRange:
        """Request `length` bytes from byte `start`, without waiting for them."""
        return HttpRange(self, start, length)

    def current(self) -> Address:
        """The file's address, found on first use. Raises HubError."""
        with self._lock:
            if self._address is None:
                self._address = self._checked(self._locate())
            return self._address

    def renew(self, old: Address) -> None:
        """Find a new address, once for all threads that found `old` expired."""
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

    def is_whole(self, answer: Answer, start: int, length: int) -> bool:
        """Whether a server without support for ranges sent the whole file, and the whole file was wanted."""
        whole = start == 0 and length == self._size
        return answer.status == 200 and whole and answer.headers.get("content-length", str(length)) == str(length)

    def check_same(self, answer: Answer, start: int) -> None:
        """Raise HubError unless the answer belongs to the same file as earlier ones and begins at byte `start`."""
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

    def refusal(self, answer: Answer, address: Address) -> HubError:
        """The error for an answer that does not hold the bytes."""
        if answer.status == 200:
            return HubError(f"{self.name}: the server serves no byte ranges; leave out --stream")
        if answer.status == 416:
            return self._changed()
        return explain_status(answer.status, self.name, address.url, retry_after(answer.headers))

    def _changed(self) -> HubError:
        return HubError(f"{self.name}: changed on the server while it was read; run the command again")


class HttpRange:
    """Some bytes of a file, requested at once on construction; read in order, by one thread at a time."""

    def __init__(self, file: HttpFile, start: int, length: int) -> None:
        self._file = file
        self._at, self._stop = start, start + length
        self._address: Address | None = None
        self._request: Request | None = None
        self._is_body = False  # whether the head of a good answer was read, so that its body comes next
        self._goes_on = True  # whether to resume a broken answer, which needs a server with ranges
        # Errors are ignored here: they occur again, and are raised, when the bytes are read.
        with suppress(Broken, HubError):
            self._ask()

    def read_into(self, buffer: memoryview) -> None:
        """Fill all of `buffer` with the next bytes.

        Raises HubError when the server keeps refusing, or the file changed; no changed byte is then returned.
        """
        wait, renewed = FIRST_WAIT, False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                refused = self._begin()
                if refused is None:
                    assert self._request is not None
                    self._request.read_into(buffer)
                    self._at += len(buffer)
                    return
            except Broken as broken:
                if self._goes_on:
                    self._at += broken.received
                    buffer = buffer[broken.received :]
                address = self._file.current()
                failure, pause, passes = explain_broken(str(broken), self._file.name, address.url), None, True
            else:
                address = self._address
                assert address is not None
                if refused.status in (401, 403) and address.signed and not renewed:
                    renewed = True
                    self.close()
                    self._file.renew(address)
                    continue
                failure, pause = self._file.refusal(refused, address), retry_after(refused.headers)
                passes = refused.status in _AGAIN and (pause or 0.0) <= LONGEST_WAIT
            self.close()
            if attempt == ATTEMPTS or not passes:
                raise failure
            pause = wait if pause is None else pause
            self._file.waits.tell(failure, pause)
            time.sleep(pause)
            wait *= 2

    def lend(self, nbytes: int) -> int | None:
        """A socket whose next `nbytes` are this range's; None before the body, and where no plain socket is used."""
        if self._request is None or not self._is_body:
            return None
        descriptor = self._request.lend(nbytes)
        if descriptor is not None:
            self._at += nbytes
        return descriptor

    def break_off(self) -> None:
        """Give up the whole range: how much was read from the lent socket is unknown."""
        if self._request is not None:
            self._request.break_off()
        self.close()

    def close(self) -> None:
        """Give up what was not read."""
        request, self._request, self._is_body = self._request, None, False
        if request is not None:
            request.close()

    def _begin(self) -> Answer | None:
        """Read the answer's head, so that the body comes next. Returns the answer if it is a refusal, else None."""
        if self._is_body:
            return None
        if self._request is None:
            self._ask()
        answer = self._answer()
        if answer.status != 206 and not self._file.is_whole(answer, self._at, self._stop - self._at):
            return answer
        self._file.check_same(answer, self._at)
        self._is_body, self._goes_on = True, answer.status == 206
        return None

    def _ask(self) -> None:
        self._address = self._file.current()
        self._send(self._address.url, self._address.headers)

    def _send(self, url: str, headers: Mapping[str, str]) -> None:
        span = {"Range": f"bytes={self._at}-{self._stop - 1}", "Accept-Encoding": "identity"}
        self._request = self._file.transports.of(url).ask(url, {**headers, **span})

    def _answer(self) -> Answer:
        """The head of the answer, after following redirections."""
        assert self._address is not None
        url, headers = self._address.url, self._address.headers
        for _ in range(5):
            assert self._request is not None
            answer = self._request.answer()
            if answer.status not in _MOVED or "location" not in answer.headers:
                return answer
            target = urljoin(url, answer.headers["location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            url = target
            self.close()
            self._send(url, headers)
        raise HubError(f"{self._file.name}: the server redirects in a circle; leave out --stream")


def normal_etag(etag: str | None) -> str | None:
    """An ETag without quotes and without the mark of a weak one."""
    return None if etag is None else etag.removeprefix("W/").strip('"')


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; its header holds a number or a date. None where it does not ask."""
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
