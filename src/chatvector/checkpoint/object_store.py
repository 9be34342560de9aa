# SPDX-License-Identifier: Apache-2.0
"""Models in object stores (`s3://`, `gs://`, `az://`), read by byte range through obstore; extra `[cloud]`.

Keys, regions and endpoints come from the environment, as obstore reads them (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
`AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_…`), or from the machine's role. Each object's
ETag is noted when it is first listed and asked for with every read: an object that is replaced meanwhile is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from chatvector.checkpoint.files import choose_files
from chatvector.checkpoint.remote import BLOCK_BYTES, RemoteFile, RemoteStorage, Transfer
from chatvector.errors import ChatVectorError, DamagedFile, HubError, MissingExtra, MissingInput, NotEnoughSpace

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

ATTEMPTS = 7
FIRST_WAIT = 1.0
_STATUS = re.compile(r"status code: (\d{3})")
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_ADVICE = {
    301: "the bucket is in another region; set AWS_REGION",
    400: "the request was refused as malformed (400); check the endpoint and the region",
    401: "the store does not know these keys (401); check AWS_ACCESS_KEY_ID and the like",
    403: "access is forbidden (403); check the keys, their rights and the region",
    404: "there is no such bucket or object (404); check the name",
    429: "too many requests (429); wait some minutes, the same command goes on",
}


def open_store(url: str, *, retries: int = 0) -> ObjectStore:
    """The store and prefix of `url`. Raises MissingExtra without obstore, HubError when the settings do not do."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise MissingExtra("cloud", f"reading and writing {url}") from error
    # Over plain HTTP only where the user's own endpoint is.
    plain = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
    try:
        return from_url(url, client_options={"allow_http": plain}, retry_config={"max_retries": retries})
    except (BaseError, ValueError) as error:
        raise HubError(
            f"{url}: the store cannot be opened ({_short(error)}); check the URL and its settings"
        ) from error


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Turn what obstore raises into one HubError or MissingInput, the cause kept."""
    from obstore.exceptions import BaseError, NotFoundError, PreconditionError

    try:
        yield
    except ChatVectorError:
        raise
    except (NotFoundError, FileNotFoundError) as error:
        raise MissingInput(f"{where}: no such object") from error
    except PreconditionError as error:
        raise HubError(f"{where}: changed in the store while it was read; run the command again") from error
    except (BaseError, OSError, ValueError) as error:
        status = status_of(error)
        advice = _ADVICE.get(status) if status else None
        raise HubError(
            f"{where}: {advice or f'the store failed ({_short(error)}); the same command goes on'}"
        ) from error


def status_of(error: BaseException) -> int | None:
    """The HTTP status in an error of obstore, which gives it in words only."""
    match = _STATUS.search(str(error))
    return int(match[1]) if match else None


class ObjectStorage(RemoteStorage):
    """The objects under one prefix."""

    def __init__(self, url: str) -> None:
        """List the objects. Raises MissingExtra, MissingInput, HubError."""
        self._store = open_store(url)
        self._etags: dict[str, str | None] = {}
        listing: dict[str, int] = {}
        for entry in _again(lambda: list_objects(self._store, url)):
            listing[entry["path"]] = entry["size"]
            self._etags[entry["path"]] = entry["e_tag"]
        if not listing:
            raise MissingInput(f"{url}: there are no objects under this name")
        super().__init__(url, listing)

    def open(self, name: str) -> RemoteFile:
        """An object. Raises MissingInput."""
        if name not in self._listing:
            raise MissingInput(f"{self.location}/{name}: no such object")
        label = f"{self.location}/{name}"
        return RemoteFile(label, self._listing[name], _Object(self._store, name, self._etags[name], label), self._ahead)

    def transfer(self) -> Transfer:
        """What reading the whole model costs."""
        needed = choose_files(self._listing, self.read, self.location).needed
        return Transfer(self.location, sum(self._listing[name] for name in needed), 0, by_range_only=True)

    def download(self, stack: ExitStack, say: Callable[[str], None]) -> Path:
        """A temporary directory, as stores have no cache on this machine."""
        needed = choose_files(self._listing, self.read, self.location).needed
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="chatvector-")))
        nbytes = sum(self._listing[name] for name in needed)
        if (free := shutil.disk_usage(folder).free) < nbytes:
            raise NotEnoughSpace(
                f"{self.location}: {nbytes / 1e9:.2f} GB to download, {folder.parent} has {free / 1e9:.2f} GB free;"
                " free some, or set TMPDIR to a larger disk"
            )
        say(f"{self.location}: downloading {len(needed)} files, {nbytes / 1e6:.1f} MB, for a while")
        for name in needed:
            self._copy(name, folder / name)
        return folder

    def _copy(self, name: str, path: Path) -> None:
        """An object to a file, in blocks that are fetched ahead."""
        if ".." in PurePosixPath(name).parts:
            raise DamagedFile(f"{self.location}: the object {name!r} would lie outside of the model's directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        source, buffer = self.open(name), memoryview(bytearray(BLOCK_BYTES))
        with path.open("wb") as file:
            for start in range(0, source.size, BLOCK_BYTES):
                part = buffer[: min(BLOCK_BYTES, source.size - start)]
                source.read_into(start, part)
                file.write(part)


class _Object:
    """One object, as `RangeFetcher`."""

    def __init__(self, store: ObjectStore, path: str, etag: str | None, label: str) -> None:
        self._store = store
        self._path = path
        self._etag = etag
        self._label = label

    def fetch(self, start: int, buffer: memoryview) -> None:
        """Fill `buffer` from byte `start`. Raises HubError, MissingInput."""

        def once() -> None:
            with one_line(self._label):
                answer = obstore.get(self._store, self._path, options=options)
                at = 0
                for piece in answer.stream(min_chunk_size=1 << 20):
                    view = memoryview(piece)
                    buffer[at : at + len(view)] = view
                    at += len(view)
                if at != len(buffer):
                    raise HubError(f"{self._label}: the store gave {at} of {len(buffer)} bytes")

        import obstore

        options: Any = {"range": (start, start + len(buffer))}
        if self._etag is not None:
            options["if_match"] = self._etag
        _again(once)


def list_objects(store: ObjectStore, url: str) -> list[Any]:
    """All objects under the store's prefix: path, size, e_tag. Raises HubError."""
    import obstore

    with one_line(url):
        return [entry for part in obstore.list(store) for entry in part]


def _again(work: Callable[[], T]) -> T:
    """Do `work`, again after a wait where the store was only busy or the connection broke."""
    wait = FIRST_WAIT
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except HubError as error:
            if not _passes(error):
                raise
        time.sleep(wait)
        wait *= 2
    return work()


def _passes(error: HubError) -> bool:
    from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError

    lasting = PreconditionError, PermissionDeniedError, UnauthenticatedError
    status = None if error.__cause__ is None else status_of(error.__cause__)
    return not isinstance(error.__cause__, lasting) and (status is None or status in _AGAIN)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split("\n\nDebug source")[0].split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "…"
