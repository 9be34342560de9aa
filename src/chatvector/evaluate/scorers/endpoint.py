# SPDX-License-Identifier: Apache-2.0
"""One request to a scoring service, with one-line errors for what is wrong with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatvector.errors import HubError
from chatvector.runtime.http_json import JsonClient, Refused


def ask(client: JsonClient, path: str, body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The JSON object that the service answers with. `name` is the service's name for messages. Raises HubError for any
    other answer."""
    try:
        answer = client.post(path, body)
    except Refused as refused:
        have = f"the key in {client.key_variable}" if refused.status in (401, 403) and client.key_variable else "this"
        raise HubError(f"{name} refuses {have} ({refused.status}: {refused.message})") from None
    if not isinstance(answer, dict):
        raise HubError(f"{name} answers with {type(answer).__name__}, expected a JSON object")
    return answer
