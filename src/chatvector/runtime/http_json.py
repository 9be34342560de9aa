# SPDX-License-Identifier: Apache-2.0
"""JSON over HTTP to a server of models: requests are repeated where that may help, and the key stays secret.

Repeated after: 408, 425, 429, 5xx, connections that were refused, cut or silent too long, answers that are no JSON. The
waits are those of Retry-After, or double from one second, with a random part so that parallel requests do not return
at the same time. Redirects are not followed, because the key would be sent along.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from chatvector.checkpoint.remote_http import retry_after
from chatvector.errors import HubError, UsageError

ATTEMPTS = 6
"""Tries of one request. The waits between them add up to about half a minute."""
FIRST_WAIT = 1.0
SILENCE = 600.0
"""Default for the seconds without a byte after which a try fails."""
LONGEST_WAIT = 300.0
"""Seconds. Where a server asks for a longer wait, the run stops and says so."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504, 529)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SHOWN = 300


class Refused(Exception):
    """The server refused the request: a status from 400 on for which another try does not help."""

    def __init__(self, status: int, message: str, body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.body = status, message, body


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        """Do not follow the redirect: it is reported as a refusal."""


class JsonClient:
    """Requests to one server. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        key_variable: str | None = None,
        key_header: str | None = None,
        timeout: float = SILENCE,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`key_variable` names the environment variable that holds the key; it is read at each request, and goes into
        `key_header` as it is, or without one as `Authorization: Bearer`. `timeout` is the longest silence in seconds: a
        long reply is sent in one piece at its end.

        Raises UsageError for a URL that is not http(s), or a variable that is not set.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url}: is no address of a server; write http://HOST:PORT/v1")
        if parts.username or parts.password:
            raise UsageError("the server's address holds a password; name an environment variable for the key instead")
        if key_variable is not None and not _key(key_variable):
            raise UsageError(f"{url}: the environment variable {key_variable}, which holds its key, is not set")
        self.url, self.key_variable, self.timeout = url.rstrip("/"), key_variable, timeout
        self.key_header = key_header
        self.attempts, self._sleep = attempts, sleep
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if parts.hostname in _LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, *, attempts: int, timeout: float) -> Any:
        """The JSON at a path below the URL. Raises Refused or HubError."""
        return self._ask(path, None, attempts, timeout, lambda _: False)

    def status(self, path: str, timeout: float) -> int | None:
        """The status that a path answers with, whatever its body; None where nothing answers."""
        try:
            with self._opener.open(f"{self.url}{path}", timeout=timeout) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except (OSError, http.client.HTTPException):
            return None

    def post(self, path: str, payload: Mapping[str, Any], is_final: Callable[[Refused], bool] = lambda _: False) -> Any:
        """The JSON that answers a payload. `is_final` tells whether another try after a refusal would be useless,
        whatever its status. Raises Refused or HubError."""
        return self._ask(path, json.dumps(payload).encode(), self.attempts, self.timeout, is_final)

    def _ask(
        self, path: str, body: bytes | None, attempts: int, timeout: float, is_final: Callable[[Refused], bool]
    ) -> Any:
        wait = FIRST_WAIT
        for left in range(attempts - 1, -1, -1):
            pause: float | None = None
            try:
                return self._once(path, body, timeout)
            except urllib.error.HTTPError as error:
                refusal = self._refusal(error)
                if refusal.status not in _AGAIN or is_final(refusal):
                    raise refusal from None
                problem, pause = f"answered {refusal.status}: {refusal.message}", _retry_after(error)
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
                problem = f"did not answer ({reason or type(reason).__name__})"
            except (ValueError, RecursionError) as error:
                problem = f"answered with what is no JSON ({error})"
            if pause is not None and pause > LONGEST_WAIT:
                self._give_up(f"{problem}; it asks to wait {pause:.0f} s", 0)
            if not left:
                self._give_up(problem, attempts)
            self._sleep(pause if pause is not None else wait * random.uniform(0.75, 1.25))
            wait *= 2
        raise AssertionError("unreachable")

    def _once(self, path: str, body: bytes | None, timeout: float) -> Any:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.key_variable is not None:
            key = _key(self.key_variable)
            headers |= {self.key_header: key} if self.key_header else {"Authorization": f"Bearer {key}"}
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers)
        with self._opener.open(request, timeout=timeout) as answer:
            return json.loads(answer.read())

    def _refusal(self, error: urllib.error.HTTPError) -> Refused:
        """Status, message and body of an answer from 300 on, without the key if the server repeats it."""
        with error:
            try:
                text = error.read().decode("utf-8", "replace")
            except (OSError, http.client.HTTPException):
                text = ""
        if self.key_variable is not None and (key := _key(self.key_variable)):
            text = text.replace(key, "…")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        if error.code < 400:
            text = f"it redirects to {error.headers.get('location', 'elsewhere')}; write that address"
        return Refused(error.code, _message(body) or " ".join(text.split())[:_SHOWN] or str(error.reason), body)

    def _give_up(self, problem: str, attempts: int) -> NoReturn:
        tries = f" in {attempts} attempts" if attempts > 1 else ""
        # Does not promise that the run continues: replies of a server with unnamed weights are kept for no other run.
        raise HubError(
            f"{self.url}: the server {problem}{tries}; look after it and run the same command again, which asks for no"
            " reply that was kept"
        )


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    return retry_after({name.lower(): value for name, value in error.headers.items()})


def _key(variable: str) -> str:
    """The key, "" if there is none. Raises UsageError for one that no header can hold: the library would print it."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"the environment variable {variable} holds characters that no key has")
    return key


def _message(body: Any) -> str | None:
    """The text of an error in the forms that servers give it: `error.message`, `error`, `message`, `detail`."""
    for key in ("error", "message", "detail"):
        found = body.get(key) if isinstance(body, dict) else None
        if isinstance(found, dict):
            return _message(found)
        if isinstance(found, str):
            return " ".join(found.split())[:_SHOWN]
    return None
