# SPDX-License-Identifier: Apache-2.0
"""Check URLs of objects, and endpoints in the environment, before obstore sees them.

obstore reads a URL as browsers do, so that `#`, `?` and `%20` in a name lead to another place, and an endpoint that is
no address makes it panic. Here names are taken literally, as other tools for object stores do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from chatvector.errors import UsageError

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "ab": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""First two letters of the scheme → environment variables that hold a whole address."""
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_BUCKET = re.compile(r"[^?#%\s]+")


def literal_url(url: str) -> str:
    """The URL for obstore under which `url` is taken literally: every character is part of the name.

    Raises UsageError where it names no bucket, or a part of the name is not possible in object stores.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, name = rest.partition("/")
    if not bucket:
        raise UsageError(f"{url}: names no bucket; write {scheme}://BUCKET/NAME")
    if _BUCKET.fullmatch(bucket) is None:
        raise UsageError(f"{url}: {bucket!r} is no bucket; write {scheme}://BUCKET/NAME")
    empty = "" in name.strip("/").split("/") and name.strip("/")
    if empty or name.startswith("/") or {".", ".."} & set(name.split("/")):
        raise UsageError(f"{url}: has an empty part, `.` or `..` in its name; write {scheme}://BUCKET/NAME")
    return f"{scheme}://{bucket}/{quote(name)}"


def require_endpoints(url: str) -> bool:
    """Check the endpoints in the environment for this kind of store; return whether one is plain HTTP.

    Raises UsageError for an endpoint that is no address.
    """
    plain = False
    for name, value in _endpoints(url):
        if not _is_address(value):
            wanted = f"http://{value}" if _HOST.fullmatch(value) else "https://HOST or http://HOST:PORT"
            raise UsageError(
                f"{url}: {name} is {value!r}, which is no address; set it to {wanted}, or unset it for the store's own"
            )
        plain = plain or value.lower().startswith("http://")
    return plain


def _endpoints(url: str) -> Iterator[tuple[str, str]]:
    for name in _ENDPOINTS.get(url[:2].lower(), ()):
        if (value := os.environ.get(name)) is not None:
            yield name, value


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc) is not None and parts.port != 0
    except ValueError:
        return False
