# SPDX-License-Identifier: Apache-2.0
"""Explain failures on the way to the hub in one line: what, where, what to do.

huggingface_hub changed its HTTP library from httpx (1.x) to httpx2 (2.x); both have the same classes. They are
told apart here by class name, so that neither is imported.
"""

from __future__ import annotations

import errno
import math
from urllib.parse import urlsplit

from chatvector.errors import HubError, NotEnoughSpace

# Seconds. A longer requested wait than a month is not credible.
_LONGEST_PAUSE = 30 * 24 * 3600.0
_LOGIN = "log in with `hf auth login` or set HF_TOKEN"

# Status -> what it means and what to do. `{wait}` is how long the server asks to wait, or "some minutes".
_STATUS = {
    400: "the request was refused as malformed (400); check the name and the revision",
    401: "there is no such model, or it is private (401); check the name, or " + _LOGIN,
    403: "access is forbidden (403); your token lacks the right to read it, " + _LOGIN + " as someone who has it",
    404: "there is no such model or file (404); check the name and the revision",
    407: "the proxy asks for a name and a password (407); write HTTP_PROXY and HTTPS_PROXY as"
    " http://NAME:PASSWORD@HOST:PORT",
    408: "the hub timed out (408); the same command goes on",
    416: "the hub refused to resume a download (416); delete the *.incomplete files in the cache and repeat",
    429: "too many requests (429); wait {wait}, or " + _LOGIN + " for a higher limit; the same command goes on",
}


def explain_http(error: BaseException, where: str) -> HubError:
    """A HubError for what huggingface_hub raised about a request, `where` being the model's name."""
    cause = root_of(error)
    kinds = {kind.__name__ for kind in type(cause).__mro__}
    place = place_of(cause)
    repo_id = where.partition("@")[0]
    if "GatedRepoError" in kinds:
        return HubError(f"{where}: the model is gated; accept its terms at {place}/{repo_id}, then {_LOGIN}")
    if "DisabledRepoError" in kinds:
        return HubError(f"{where}: the hub has disabled access to this model")
    if "RevisionNotFoundError" in kinds:
        return HubError(f"{where}: the model has no such branch, tag or commit (404); check what follows the @")
    response = getattr(cause, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        from chatvector.checkpoint.remote_http import retry_after  # here, as remote_http imports this module

        pause = retry_after({name.lower(): value for name, value in getattr(response, "headers", {}).items()})
        return explain_status(status, where, place, pause)
    if "OfflineModeIsEnabled" in kinds:
        return HubError(f"{where}: HF_HUB_OFFLINE is set and the cache lacks it; unset it to download")
    if "HFValidationError" in kinds:
        return HubError(f"{where}: is no valid hub name; write org/name or org/name@revision")
    if "TimeoutException" in kinds:
        return HubError(f"{where}: {place} does not answer in time; check the network, the same command goes on")
    if "ProxyError" in kinds:
        return HubError(f"{where}: the proxy refuses the connection to {place} ({short(cause)}); check HTTPS_PROXY")
    if "ConnectError" in kinds:
        return HubError(
            f"{where}: {place} cannot be reached ({short(cause)}); check the network and HF_ENDPOINT, or set "
            f"HF_HUB_OFFLINE=1 to use what is cached"
        )
    return HubError(f"{where}: the connection to {place} broke off ({short(cause)}); the same command goes on")


def explain_status(status: int, where: str, url: str, pause: float | None = None) -> HubError:
    """A HubError for a status. `url`: the requested address; `pause`: seconds that the server asks to wait."""
    wait = None if pause is None or not 1 <= pause <= _LONGEST_PAUSE else _duration(pause)
    later = "later" if wait is None else f"in {wait}"
    text = _STATUS.get(status) or f"the hub has trouble ({status}); try again {later}, the same command goes on"
    return HubError(f"{where}: {text.format(wait=wait or 'some minutes')} [{host_of(url)}]")


def _duration(seconds: float) -> str:
    """`90 seconds`, `67 minutes`, `13 hours`: rounded up, so that the wait is not too short."""
    size, unit = (1, "seconds") if seconds < 120 else (60, "minutes") if seconds < 7200 else (3600, "hours")
    return f"{math.ceil(seconds / size)} {unit}"


def explain_broken(reason: str, where: str, url: str) -> HubError:
    """A HubError for a connection that broke or could not be made."""
    return HubError(f"{where}: the connection to {host_of(url)} broke off ({reason}); the same command goes on")


def explain_os(error: OSError, where: str) -> HubError | NotEnoughSpace:
    """The error for an OSError that is no answer of the hub: of the disk, or for an incomplete download."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NotEnoughSpace(
            f"{where}: the disk is full ({error.filename or 'the hub cache'}); free some or set HF_HUB_CACHE to a "
            f"larger disk, the same command goes on"
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return HubError(
            f"{where}: the cache cannot be written ({error.filename}: {error.strerror}); set HF_HUB_CACHE to a "
            f"directory of yours"
        )
    if any(kind.__name__ == "HTTPError" for kind in type(root_of(error)).__mro__):
        return explain_http(error, where)
    return HubError(f"{where}: the download failed ({short(error)}); the same command goes on")


def root_of(error: BaseException) -> BaseException:
    """The original error, below the wrappers that huggingface_hub puts around it."""
    wrappers = {"LocalEntryNotFoundError", "IncompleteSnapshotError", "RevisionResolutionError", "FileMetadataError"}
    while type(error).__name__ in wrappers and error.__cause__ is not None:
        error = error.__cause__
    return error


def place_of(error: BaseException) -> str:
    """The host of the request, as `https://host`; the configured endpoint where the error does not tell."""
    from huggingface_hub import constants

    request = getattr(getattr(error, "response", None), "request", None)
    if request is None:
        request = getattr(error, "_request", None)  # set by the HTTP library once a request was made
    return host_of(constants.ENDPOINT if request is None else str(request.url))


def host_of(url: str) -> str:
    """Scheme and host of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def short(error: BaseException) -> str:
    """An error's text in one line of at most 160 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "…"
