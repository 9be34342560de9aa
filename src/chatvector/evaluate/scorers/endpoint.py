# SPDX-License-Identifier: Apache-2.0
"""JSON over HTTPS to a scoring service, with patience: limits are waited out, and what is wrong is said in one line."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatvector.errors import HubError, MissingInput, UsageError

BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Status codes after which the same request may work."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to whatever host it names."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        """Not followed: the 3xx becomes an HTTPError."""


_OPENER = urllib.request.build_opener(_StayHere)


def key_from_environment(variable: str, service: str) -> str:
    """The key of a service. Raises MissingInput if the variable is not set: keys are never arguments, which other users
    of a machine can read."""
    if key := os.environ.get(variable):
        return key
    raise MissingInput(f"{service} needs a key: set {variable}")


@dataclass(frozen=True)
class Endpoint:
    """Where requests go.

    Attributes:
        url: of the request, without any key in it.
        name: for messages.
        headers: sent along; keys live here and are never printed.
        timeout: seconds for one try.
        tries: in all.
        sleep: waits so many seconds; replaced by tests.
    """

    url: str
    name: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 60.0
    tries: int = 6
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(f"{self.name}: {self.url!r} is no http:// or https:// address")

    def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request, tried again after busy signals and lost connections: 1, 2, 4 … seconds apart, at
        most 60, or as long as the service says.

        Raises UsageError for a refused key (401, 403), HubError for all else that does not work.
        """
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        for attempt in range(1, self.tries + 1):
            request = urllib.request.Request(self.url, data=data, headers=headers)
            wait = min(2.0 ** (attempt - 1), 60.0)
            try:
                with _OPENER.open(request, timeout=self.timeout) as response:
                    return self._object(response.read())
            except urllib.error.HTTPError as error:
                with error:
                    said = error.read(2000).decode("utf-8", "replace")
                if error.code in (401, 403):
                    raise UsageError(f"{self.name} refuses the key (HTTP {error.code}): {_message(said)}") from None
                if error.code not in BUSY or attempt == self.tries:
                    raise HubError(f"{self.name}: HTTP {error.code} after {attempt} tries: {_message(said)}") from None
                wait = _seconds(error.headers.get("Retry-After"), wait)
            except (OSError, http.client.HTTPException) as error:
                if attempt == self.tries:
                    raise HubError(f"{self.name} does not answer after {attempt} tries: {error}") from None
            self.sleep(wait)
        raise AssertionError("unreachable")

    def _object(self, raw: bytes) -> dict[str, Any]:
        try:
            value = json.loads(raw)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise HubError(f"{self.name} answers with something else than a JSON object: {raw[:60]!r}")
        return value


def _message(said: str) -> str:
    """What an error body says, on one line."""
    try:
        value = json.loads(said)
        said = str(value["error"]["message"])
    except (ValueError, KeyError, TypeError):
        pass
    return " ".join(said.split())[:200] or "no reason given"


def _seconds(header: str | None, otherwise: float) -> float:
    try:
        return min(max(float(header or ""), 0.0), 300.0)
    except ValueError:
        return otherwise
