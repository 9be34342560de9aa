# SPDX-License-Identifier: Apache-2.0
"""A cache of replies and likelihoods, keyed by the request: a run that was killed goes on where it stopped, and marking
again asks no model.

One append-only file of JSON lines, so that it can be read, searched and copied with ordinary tools, and so that a run
that was killed and went on leaves the same bytes as one that was not (a database file would not):

    {"chatvector_cache": 1}                      the first line
    {"key": "…", "value": {…}}                   entries of a batch
    {"commit": 64, "sha256": "…"}                their number, and the hash of their lines

A batch counts once its commit line is complete. Lines after the last commit were being written when a run was killed:
they are dropped, with a message, so at most one batch is lost. A commit that does not fit the lines before it means
that the file was damaged later, which is an error. Several processes may use one file: each appends under a lock
(`FILE.lock`) after it has read what the others added. The first value written for a key is the one that all of them
use.

A key is the SHA-256 of everything that decides a reply. A server's weights cannot be seen, so its replies are kept only
if it is `identified` (`runtime.backend.BackendInfo`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatvector.errors import DamagedFile, NotEnoughSpace, OutputRefused
from chatvector.messages import Say
from chatvector.runtime.backend import BackendInfo, Prompt, Sampling

FORMAT = 1
_HEADER = b'{"chatvector_cache": 1}\n'
_READ_BYTES = 1 << 20


def generation_key(info: BackendInfo, prompt: Prompt, sampling: Sampling) -> str:
    """Cache key of one reply. Greedy replies do not depend on seed, sample number or `top_p`, so their keys do not
    either."""
    drawn = sampling.temperature > 0
    return _key(
        "generate",
        info.digest,
        [list(message) for message in prompt.messages] if prompt.text is None else prompt.text,
        sorted(sampling.template_arguments) if prompt.text is None else [],
        sampling.max_new_tokens,
        [sampling.temperature, sampling.top_p, sampling.seed, prompt.sample] if drawn else [],
    )


def likelihood_key(info: BackendInfo, context: str, continuation: str) -> str:
    """Cache key of the likelihood of `continuation` after `context`."""
    return _key("likelihood", info.digest, context, continuation)


def _key(*parts: Any) -> str:
    text = json.dumps([FORMAT, *parts], ensure_ascii=False, sort_keys=True)
    # A text may hold a lone surrogate, which strict UTF-8 refuses.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Cache:
    """JSON values by key, on disk. Memory holds only each key's place in the file; values are read when asked for."""

    def __init__(self, path: str | os.PathLike[str], note: Say | None = None) -> None:
        """Open the file, or create it. `note` is called with messages for the user, such as how many bytes were
        dropped.

        Raises DamagedFile if the file is not a cache or is damaged, OutputRefused if it cannot be opened for writing.
        """
        from filelock import FileLock

        self.path = Path(path)
        self._note = note or (lambda _: None)
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise OutputRefused(
                f"{self.path}: the cache cannot be opened ({error.strerror}); choose another"
            ) from error
        self._lock = FileLock(f"{self.path}.lock")
        try:
            self._read_on()
            if self._end != os.fstat(self._file).st_size:
                with self._writing():
                    pass
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Release the file. Nothing is pending: every `put` is on the disk when it returns."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def get(self, key: str) -> Any | None:
        """The value of a key; None if it has none. Raises DamagedFile if entries that other processes added are
        damaged."""
        if key not in self._places:
            self._read_on()
        place = self._places.get(key)
        return None if place is None else json.loads(self._read(*place))["value"]

    def put(self, entries: Mapping[str, Any]) -> None:
        """Append a batch. When this returns, all of it is on the disk. Keys that already have a value keep it.

        Raises NotEnoughSpace when the disk is full.
        """
        with self._writing():
            new = {key: value for key, value in entries.items() if key not in self._places}
            if not new:
                return
            lines = [_line({"key": key, "value": value}) for key, value in new.items()]
            body = b"".join(lines)
            commit = _line({"commit": len(lines), "sha256": hashlib.sha256(body).hexdigest()})
            self._append((_HEADER if self._end == 0 else b"") + body + commit)
            self._read_on()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock, with the other processes' entries read in and any unfinished batch cut off the end of the
        file."""
        with self._lock:
            self._read_on()
            left = os.fstat(self._file).st_size - self._end
            if left:
                if self._end == 0 and not _HEADER.startswith(self._read(0, len(_HEADER))):
                    raise DamagedFile(f"{self.path}: is no cache of this version; choose another file")
                os.ftruncate(self._file, self._end)
                self._note(f"{self.path}: dropped {left} bytes of a batch that an interrupted run did not finish")
            yield

    def _append(self, data: bytes) -> None:
        try:
            view, at = memoryview(data), self._end
            while view:
                done = os.pwrite(self._file, view[: 1 << 30], at)
                view, at = view[done:], at + done
            os.fsync(self._file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NotEnoughSpace(
                    f"{self.path}: the disk is full; free space, and the same command goes on"
                ) from error
            raise

    def _read_on(self) -> None:
        """Read in the batches after the last known one. An unfinished batch at the end is left for `_writing` to cut
        off."""
        size = os.fstat(self._file).st_size
        if size < self._end:
            raise DamagedFile(f"{self.path}: the cache became shorter while it was in use; start the command again")
        batch: list[tuple[str, int, int]] = []
        digest, at = hashlib.sha256(), self._end
        for line in self._lines(self._end, size):
            start, at = at, at + len(line)
            if start == 0:
                if line != _HEADER:
                    raise DamagedFile(f"{self.path}: is no cache of this version; choose another file")
                self._end = at
                continue
            row = _parsed(line)
            if row is not None and "key" in row:
                batch.append((row["key"], start, len(line)))
            if row is None or "commit" not in row:
                digest.update(line)
                continue
            if row != {"commit": len(batch), "sha256": digest.hexdigest()}:
                raise DamagedFile(
                    f"{self.path}: the batch that ends at byte {at} is damaged (behind byte {self._end}); "
                    f"move the file away, or cut it there: head -c {self._end}"
                )
            for key, place, length in batch:
                self._places.setdefault(key, (place, length))
            self._end = at
            batch, digest = [], hashlib.sha256()

    def _lines(self, start: int, stop: int) -> Iterator[bytes]:
        """The complete lines of the byte range [start, stop). An incomplete last line is left out."""
        rest = b""
        while start < stop:
            part = self._read(start, min(_READ_BYTES, stop - start))
            if not part:
                return
            start += len(part)
            *lines, rest = (rest + part).split(b"\n")
            yield from (line + b"\n" for line in lines)

    def _read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)


def _line(row: Mapping[str, Any]) -> bytes:
    # ASCII, because a text may hold a lone surrogate, which UTF-8 cannot encode.
    return json.dumps(row, sort_keys=True).encode("ascii") + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
