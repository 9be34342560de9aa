# SPDX-License-Identifier: Apache-2.0
"""Models in object stores (`s3://`, `gs://`, `az://`), read by byte range through obstore; extra `[cloud]`.

Keys, regions and endpoints come from the environment, as obstore reads them (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
`AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_…`), or from the machine's role. Each object's
ETag is noted when it is first listed and asked for with every read: an object that was replaced meanwhile is an error.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from chatvector.checkpoint.files import choose_files
from chatvector.checkpoint.object_store_address import literal_url, require_endpoints
from chatvector.checkpoint.remote import RemoteStorage, Transfer
from chatvector.checkpoint.remote_file import RemoteFile
from chatvector.checkpoint.waiting import Heartbeat, Waits
from chatvector.errors import (
    ChatVectorError,
    DamagedFile,
    HubError,
    MissingExtra,
    MissingInput,
    NotEnoughSpace,
)
from chatvector.messages import Say
from chatvector.sizes import disk_size

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")

ASKING_THREADS = 32
"""Threads that wait for answers of one store: obstore cannot send a request without waiting for its answer."""
COPIED_BYTES = 1 << 20
"""Bytes of an object held in memory while it is copied."""
ATTEMPTS = 7
FIRST_WAIT = 1.0
_STATUS = re.compile(r"status code: (\d{3})")
_ELSEWHERE = "redirect without LOCATION"
"""Text of obstore's error for the 301 of a bucket in another region."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_ADVICE = {
    301: "the bucket is in another region (301); set AWS_REGION to the bucket's",
    400: "the request was refused as malformed (400); check the endpoint and the region",
    401: "the store does not know these keys (401); check AWS_ACCESS_KEY_ID and the like",
    403: "access is forbidden (403); check the keys, their rights and the region",
    404: "there is no such bucket or object (404); check the name",
    429: "too many requests (429); wait some minutes, the same command goes on",
}


def open_store(url: str, *, retries: int = 0) -> ObjectStore:
    """The store and prefix of `url`.

    Raises UsageError where it names no bucket or an endpoint is no address, MissingExtra without obstore, HubError
    where the settings are unusable.
    """
    address = literal_url(url)
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise MissingExtra("cloud", f"reading and writing {url}") from error
    # Plain HTTP is allowed only if the user's own endpoint uses it.
    plain = require_endpoints(url)
    try:
        return from_url(address, client_options={"allow_http": plain}, retry_config={"max_retries": retries})
    except (BaseError, ValueError) as error:
        raise HubError(
            f"{url}: the store cannot be opened ({_short(error)}); check the URL and its settings"
        ) from error


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Turn what obstore raises into one HubError or MissingInput; the cause is kept."""
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
    """The HTTP status in an error of obstore, which has it only in its text; None if there is none."""
    if _ELSEWHERE in str(error):
        return 301
    match = _STATUS.search(str(error))
    return int(match[1]) if match else None


class ObjectStorage(RemoteStorage):
    """The objects under one prefix."""

    def __init__(self, url: str, say: Say | None = None) -> None:
        """List the objects; `say` is told of waits. Raises UsageError, MissingExtra, MissingInput, HubError."""
        self._store = open_store(url)
        self._waits = Waits(say)
        self._etags: dict[str, str | None] = {}
        self._asking = ThreadPoolExecutor(ASKING_THREADS, "chatvector-ask")
        listing: dict[str, int] = {}
        for entry in again(lambda: list_objects(self._store, url), self._waits):
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
        content = _Object(self._store, name, self._etags[name], label, self._asking, self._waits)
        return RemoteFile(label, self._listing[name], content, self._side_by_side)

    def close(self) -> None:
        """Stop the threads and drop the kept files."""
        super().close()
        self._asking.shutdown(wait=True, cancel_futures=True)

    def transfer(self) -> Transfer:
        """The transfer that reading the whole model needs."""
        needed = choose_files(self._listing, self.read, self.location).needed
        return Transfer(self.location, sum(self._listing[name] for name in needed), 0, by_range_only=True)

    def download(self, stack: ExitStack, say: Say) -> Path:
        """Download into a temporary directory, as there is no local cache for object stores."""
        needed = choose_files(self._listing, self.read, self.location).needed
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="chatvector-")))
        nbytes = sum(self._listing[name] for name in needed)
        if (free := shutil.disk_usage(folder).free) < nbytes:
            raise NotEnoughSpace(
                f"{self.location}: {disk_size(nbytes)} to download, {folder.parent} has {disk_size(free)} free;"
                " free some, or set TMPDIR to a larger disk"
            )
        say(f"{self.location}: downloading {len(needed)} files, {disk_size(nbytes)}, for a while")
        for name in needed:
            self._copy(name, folder / name)
        return folder

    def _copy(self, name: str, path: Path) -> None:
        """Copy an object to a file, piece by piece."""
        if ".." in PurePosixPath(name).parts:
            raise DamagedFile(f"{self.location}: the object {name!r} would lie outside of the model's directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        source, buffer = self.open(name), memoryview(bytearray(COPIED_BYTES))
        with path.open("wb") as file:
            for start in range(0, source.size, COPIED_BYTES):
                part = buffer[: min(COPIED_BYTES, source.size - start)]
                source.read_into(start, part)
                file.write(part)


class _Object:
    """One object, as `RangeOpener`."""

    def __init__(
        self, store: ObjectStore, path: str, etag: str | None, label: str, asking: Executor, waits: Waits
    ) -> None:
        self._store, self._path, self._etag, self._asking = store, path, etag, asking
        self.label, self.waits = label, waits

    def open(self, start: int, length: int) -> _ObjectRange:
        """Request `length` bytes from byte `start`, without waiting for them."""
        return _ObjectRange(self, start, length)

    def ask(self, start: int, stop: int) -> Future[Iterator[Any]]:
        """The pieces of bytes `start` to `stop`, requested on another thread."""
        import obstore

        options: Any = {"range": (start, stop)}
        if self._etag is not None:
            options["if_match"] = self._etag
        return self._asking.submit(
            lambda: iter(obstore.get(self._store, self._path, options=options).stream(min_chunk_size=1 << 20))
        )


class _ObjectRange:
    """Some bytes of an object, read in order."""

    def __init__(self, content: _Object, start: int, length: int) -> None:
        self._content = content
        self._at, self._stop = start, start + length
        self._pieces: Future[Iterator[Any]] | None = content.ask(self._at, self._stop)
        self._piece = memoryview(b"")

    def read_into(self, buffer: memoryview) -> None:
        """Fill all of `buffer` with the next bytes. Raises HubError, MissingInput."""
        done = 0

        def rest() -> None:
            nonlocal done
            while done < len(buffer):
                piece = self._next()
                count = min(len(buffer) - done, len(piece))
                buffer[done : done + count], self._piece = piece[:count], piece[count:]
                done += count
                self._at += count

        again(rest, self._content.waits)

    def lend(self, nbytes: int) -> int | None:
        """None: obstore does not give its sockets away."""
        del nbytes

    def break_off(self) -> None:
        """Give up what was not read."""
        self.close()

    def close(self) -> None:
        """Give up what was not read."""
        self._pieces = None

    def _next(self) -> memoryview:
        """The next bytes, at least one."""
        if self._piece:
            return self._piece
        pieces, self._pieces = self._pieces or self._content.ask(self._at, self._stop), None
        with one_line(self._content.label):
            piece = next(pieces.result(), None)
            if piece is None:
                raise HubError(f"{self._content.label}: the store's answer ended {self._stop - self._at} bytes early")
        self._pieces = pieces  # only after success: else the next call requests the rest anew
        return memoryview(piece)


def list_objects(store: ObjectStore, url: str) -> list[Any]:
    """All objects under the store's prefix: path, size, e_tag. Raises HubError."""
    import obstore

    with one_line(url):
        return heard(lambda: [entry for part in obstore.list(store) for entry in part])


def heard(work: Callable[[], T], waiting: Heartbeat | None = None) -> T:
    """Do `work` on a thread of its own, so that signals are handled while obstore works.

    After an interruption the thread ends with the process. `waiting` reports that the work goes on.
    """
    outcome: Future[T] = Future()

    def finish() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=finish, name="chatvector-store", daemon=True).start()
    if waiting is not None:
        waiting.until(outcome)
    return outcome.result()


def again(work: Callable[[], T], waits: Waits) -> T:
    """Do `work`; repeat it after a wait where the store was only busy or the connection broke."""
    wait = FIRST_WAIT
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except HubError as error:
            if not _passes(error):
                raise
            waits.tell(error, wait)
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
