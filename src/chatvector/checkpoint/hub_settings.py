# SPDX-License-Identifier: Apache-2.0
"""Settings of this machine that keep it from the hub, so that trying again is useless: proxies, certificates, tokens.

The environment is read as the HTTP library of huggingface_hub reads it; the variable at fault is named.
"""

from __future__ import annotations

import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from chatvector.checkpoint.hub_errors import host_of, place_of, root_of, short
from chatvector.errors import ChatVectorError, HubError, MissingExtra

_UNREAD = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@contextmanager
def settings_explained(where: str) -> Iterator[None]:
    """Turn an error caused by a setting of this machine into one that names the setting; other errors pass."""
    try:
        yield
    except ChatVectorError:
        raise
    except Exception as error:
        if (fault := _fault(error)) is not None:
            raise HubError(f"{where}: {fault}") from error
        if isinstance(error, ImportError) and "SOCKS" in str(error):
            name, _ = proxy_for(place_of(error)) or ("ALL_PROXY", "")
            raise MissingExtra("", f"{where}: the SOCKS proxy of {name}", install="socksio") from error
        raise


def proxy_for(url: str) -> tuple[str, str] | None:
    """The variable that names a proxy for `url`, and the proxy's address without user name and password."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    for kind in (parts.scheme, "all"):
        if kind in proxies:
            lower = f"{kind}_proxy"
            name = lower if lower in os.environ else lower.upper()
            return name, proxies[kind].rpartition("@")[2]
    return None


def _fault(error: Exception) -> str | None:
    from huggingface_hub import constants

    cause = root_of(error)
    kinds = {kind.__name__ for kind in type(cause).__mro__}
    place = place_of(cause)
    proxy = proxy_for(place)
    if "CERTIFICATE_VERIFY_FAILED" in str(cause):
        passed_over = " and ".join(name for name in _UNREAD if name in os.environ)
        unread = f" ({passed_over} is not read)" if passed_over else ""
        return (
            f"the certificate of {place} is not trusted here ({short(cause)}); where the network has an authority of"
            f" its own, set SSL_CERT_FILE to its certificate{unread}"
        )
    if "ConnectError" in kinds and proxy is not None:
        name, address = proxy
        return f"the proxy {address} cannot be reached ({short(cause)}); correct or unset {name}, or set NO_PROXY"
    if "UnsupportedProtocol" in kinds and "://" not in constants.ENDPOINT:
        return f"HF_ENDPOINT is {constants.ENDPOINT!r}, which is no address; set it to https://HOST, or unset it"
    if isinstance(cause, OSError) and cause.filename == constants.HF_TOKEN_PATH:
        return (
            f"the token file {cause.filename} cannot be read ({cause.strerror}); set HF_TOKEN, or HF_HOME to a"
            " directory of yours"
        )
    if isinstance(cause, OSError) and (reason := _bad_certificates()) is not None:
        return (
            f"SSL_CERT_FILE is {os.environ['SSL_CERT_FILE']!r}, where no certificates are ({reason}); set it to a PEM"
            " file, or unset it"
        )
    if isinstance(cause, UnicodeEncodeError):
        return "the token holds characters that no token has; correct HF_TOKEN, or log in with `hf auth login`"
    if isinstance(cause, json.JSONDecodeError):
        return (
            f"what answers at {host_of(constants.ENDPOINT)} is no hub but, maybe, the network's login page; open it in"
            " a browser, or check HF_ENDPOINT and the proxy"
        )
    if isinstance(cause, ValueError) and "proxy" in str(cause).lower() and proxy is not None:
        return f"{proxy[0]} is {proxy[1]!r}, which is no proxy ({short(cause)}); set it to http://HOST:PORT"
    return None


def _bad_certificates() -> str | None:
    """Why the certificates of SSL_CERT_FILE cannot be loaded; None where it is unset or they load."""
    if not (path := os.environ.get("SSL_CERT_FILE")):
        return None
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        return short(error)
    return None
