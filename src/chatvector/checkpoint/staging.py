# SPDX-License-Identifier: Apache-2.0
"""An output that appears whole or not at all, and that an interrupted run continues.

Everything is written to a sibling directory `.OUT.<plan hash>.partial`, with a lock and a journal of finished units
and their checksums. The end is fsync, then one rename. What a killed run left is checked before it is trusted.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.storage import MAX_TRANSFER
from chatvector.errors import NotEnoughSpace, OutputRefused
from chatvector.messages import Say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOCK = ".lock"
JOURNAL = ".journal"
UPLOADED = ".sent"
"""File with a line of JSON for each file that was, or was about to be, sent to an object store.

`restart` keeps it, because the objects in the store stay too.
"""
FULL = (errno.ENOSPC, errno.EDQUOT)


def checksum(block: NDArray[np.uint8]) -> int:
    """A 64-bit checksum that detects lost or zeroed pages in a block.

    It combines the sum and the exclusive or of the 64-bit words, and runs at memory speed. It protects against power
    loss, not against malice; for that outputs can be hashed with SHA-256.
    """
    import numpy as np

    whole = len(block) // 8 * 8
    words = block[:whole].view(np.uint64)
    tail = int.from_bytes(block[whole:].tobytes(), "little")
    total = int(np.add.reduce(words, dtype=np.uint64)) + tail
    return finish_checksum(total, int(np.bitwise_xor.reduce(words, initial=np.uint64(0))), len(block))


def finish_checksum(total: int, mixed: int, nbytes: int) -> int:
    """The checksum of a block of `nbytes` from the sum of its words (an odd tail included) and their exclusive or."""
    # Rotated by one bit: otherwise a flip of one of the two highest bits could cancel out between sum and exclusive or.
    turned = mixed << 1 | mixed >> 63
    return ((total + nbytes) * 0x9E3779B97F4A7C15 ^ turned) & 0xFFFFFFFFFFFFFFFF


def unwritable(error: OSError, place: Path, refused: str) -> NotEnoughSpace | OutputRefused:
    """The error for files in `place` that could not be written: NotEnoughSpace for a full disk, else OutputRefused with
    the text `refused` and the system's reason."""
    if error.errno in FULL:
        return NotEnoughSpace(f"{place}: the disk is full; free space and run the same command again")
    return OutputRefused(f"{refused}: {error.strerror or error}")


def output_path(name: str) -> Path:
    """The output that a user named, absolute, `~` expanded. Raises OutputRefused where it cannot be a path."""
    if "\0" in name:
        raise OutputRefused(f"{name!r}: is no path; choose another output")
    if "://" in name:
        raise OutputRefused(f"{name}: is a URL; only apply and run write to one, and only to object stores (s3://…)")
    try:
        path = Path(name).expanduser().absolute()
        path.exists()  # raises where a name is too long
    except RuntimeError as error:  # `~name` of a user unknown on this machine
        raise OutputRefused(f"{name}: {error}; choose another output") from None
    except OSError as error:
        raise OutputRefused(f"{name}: {error.strerror}; choose another output") from None
    return path


def temporary_folder() -> str:
    """The folder for temporary directories. Raises OutputRefused where the system has none that can be used."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        raise OutputRefused(
            "no place for temporary files can be written (TMPDIR, /tmp, /var/tmp, the working directory): no right, or"
            " no room; set TMPDIR to a directory of yours"
        ) from None


def check_output_place(output: Path, inputs: list[Path]) -> None:
    """Refuse an output that exists, or that equals, lies in, or contains an input. Raises OutputRefused."""
    real = Path(os.path.realpath(output))
    for source in inputs:
        place = Path(os.path.realpath(source))
        if real == place or place in real.parents or real in place.parents:
            raise OutputRefused(
                f"{output}: overlaps the input {source}; inputs are never written to, choose another output"
            )
    if output.is_symlink() or (output.exists() and (not output.is_dir() or any(output.iterdir()))):
        raise OutputRefused(f"{output}: exists already; choose another output or remove it first")
    if os.path.ismount(output):
        raise OutputRefused(f"{output}: is a mount point, nothing can be renamed to it; name a directory in it")


class Staging:
    """The directory in which one output is being made. `open_staging` creates this object."""

    def __init__(self, path: Path, output: Path) -> None:
        self.path = path
        self.output = output
        self._files: dict[str, int] = {}
        self._lock = threading.Lock()
        self._journal = -1

    def finished_units(self) -> dict[int, tuple[int, dict[str, float]]]:
        """Units that an earlier run of this plan finished: number → (checksum, sums). Damaged lines are ignored."""
        path = self.path / JOURNAL
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        units: dict[int, tuple[int, dict[str, float]]] = {}
        for line in lines:
            match _parsed(line):
                case [int(number), int(digest), dict(sums)]:
                    units[number] = digest, sums
        return units

    def create(self, name: str, size: int, header: bytes) -> None:
        """Make a file of `size` bytes that begins with `header`, and reserve its space. Raises NotEnoughSpace."""
        path = self.path / name
        with self._failures_are_clear():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            self._files[name] = descriptor
            _reserve(descriptor, size)
            self.write(name, 0, memoryview(header))

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Write all of `data` at byte `offset` of a created file. Raises NotEnoughSpace."""
        descriptor = self._files[name]
        done = 0
        with self._failures_are_clear():
            while done < len(data):
                done += os.pwrite(descriptor, data[done : done + MAX_TRANSFER], offset + done)

    def read_into(self, name: str, offset: int, buffer: memoryview) -> bool:
        """Read back what was written; False when the file is too short or cannot be read."""
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._files[name], [buffer[done : done + MAX_TRANSFER]], offset + done)
            except OSError:
                return False
            if count == 0:
                return False
            done += count
        return True

    def record(self, unit: int, digest: int, sums: Mapping[str, float]) -> None:
        """Add a line of JSON to the journal: the unit is written, with its checksum and sums."""
        line = json.dumps([unit, digest, dict(sums)]).encode() + b"\n"
        with self._lock, self._failures_are_clear():
            if self._journal < 0:
                self._journal = os.open(self.path / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                # The journal of a killed run may end within a line; the newline separates this entry from it.
                line = b"\n" + line
            while line:
                line = line[os.write(self._journal, line) :]

    def write_file(self, name: str, data: bytes) -> None:
        """Write a small side file whole; `publish` syncs it to the disk with all the others."""
        path = self.path / name
        with self._failures_are_clear():
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)

    def descriptor(self, name: str) -> int:
        """Descriptor of the open file, for writing without `write`. After a failure the caller repeats the write by
        `write`, which reports a full disk."""
        return self._files[name]

    def flush(self) -> None:
        """Sync what was written so far to the disk; other threads may write meanwhile."""
        with self._failures_are_clear():
            for descriptor in list(self._files.values()):
                getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS has only fsync

    def close_files(self) -> None:
        """Flush and close the weight files."""
        with self._failures_are_clear():
            for descriptor in self._files.values():
                os.fsync(descriptor)
        self._release()

    def discard(self) -> None:
        """Remove the directory and all that is in it, the lock last."""
        self._release()
        with suppress(OSError):
            _empty(self.path)
            (self.path / LOCK).unlink(missing_ok=True)
            self.path.rmdir()

    def publish(self) -> None:
        """Drop the journal and rename the directory to the output: the one moment at which it appears.

        The lock moves with it and is removed afterwards: without it another run could take over the staging
        directory before the rename.
        """
        (self.path / JOURNAL).unlink(missing_ok=True)
        with self._failures_are_clear():
            for entry in (*sorted(self.path.rglob("*"), reverse=True), self.path):  # contents before their folder
                if entry.name != LOCK:
                    _sync(entry)
        try:
            os.rename(self.path, self.output)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise OutputRefused(
                    f"{self.output}: appeared while this run was writing; the result is in {self.path}"
                ) from None
            raise OutputRefused(
                f"{self.output}: nothing can be renamed to it ({error.strerror}); the result is in {self.path}"
            ) from error
        (self.output / LOCK).unlink(missing_ok=True)
        for folder in (self.output, self.output.parent):
            _sync(folder)

    def _release(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    @contextmanager
    def _failures_are_clear(self) -> Iterator[None]:
        """Turn an OSError of writing into NotEnoughSpace or OutputRefused, in one line; the staging directory stays."""
        place, left = self.output.parent, self.path.name
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise NotEnoughSpace(
                    f"{place}: the disk is full; free space and run the same command again, it continues from {left}"
                ) from error
            if error.errno == errno.EFBIG:
                raise NotEnoughSpace(
                    f"{place}: its file system takes no file of this size; choose another disk, and remove {left} here"
                ) from error
            raise OutputRefused(
                f"{place}: writing failed ({error.strerror}); check the disk and run the same command again, it"
                f" continues from {left}"
            ) from error


@contextmanager
def open_staging(output: Path, plan_hash: str, *, restart: bool, on_resume: Say) -> Iterator[Staging]:
    """Make or continue the staging directory of `output`; the lock is held inside the block.

    Raises OutputRefused when another run holds it or has just ended, when another plan's staging is in the way (unless
    `restart`, which discards it), or when the place cannot be written.
    """
    from filelock import FileLock, Timeout

    path = output.parent / f".{output.name}.{plan_hash}.partial"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        others = [other for other in stagings_of(output) if other != path]
        for other in others:
            _discard(other, output, restart)
        path.mkdir(exist_ok=True)
        lock = FileLock(path / LOCK)
        lock.acquire(blocking=False)
    except Timeout:
        raise OutputRefused(
            f"{output}: another run is writing it; wait for that run or choose another output"
        ) from None
    except OSError as error:
        if error.errno in FULL:
            raise NotEnoughSpace(
                f"{output.parent}: the disk is full; free space and run the same command again"
            ) from error
        raise OutputRefused(f"{output}: cannot be written ({error.strerror}); choose another output") from error
    staging = Staging(path, output)
    try:
        try:
            # Checked under the lock: the run that held it until now may have made the output.
            check_output_place(output, [])
        except OutputRefused:
            if not _holds_work(path):  # by any run: its maker may have been refused the lock held here
                staging.discard()
            raise
        if _holds_work(path):
            if restart:
                _empty(path, but=(LOCK, UPLOADED))
            else:
                on_resume(f"continuing {path.name}")
        yield staging
    finally:
        staging._release()
        lock.release()


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def stagings_of(output: Path) -> list[Path]:
    """Staging directories that interrupted runs left beside `output`, whose parent directory must exist."""
    prefix, suffix = f".{output.name}.", ".partial"
    return sorted(
        entry
        for entry in output.parent.iterdir()
        if entry.name.startswith(prefix)
        and entry.name.endswith(suffix)
        and "." not in entry.name[len(prefix) : -len(suffix)]
    )


def _discard(other: Path, output: Path, restart: bool) -> None:
    from filelock import FileLock, Timeout

    try:
        with FileLock(other / LOCK, blocking=False):
            if not restart:
                raise OutputRefused(
                    f"{output}: an unfinished run of another plan is in the way ({other.name});"
                    " finish that one, or discard it with --restart"
                )
            Staging(other, output).discard()
    except Timeout:
        raise OutputRefused(f"{output}: another run is writing it ({other.name}); wait for that run") from None


def _holds_work(path: Path) -> bool:
    return any(entry.name != LOCK for entry in path.iterdir())


def _empty(path: Path, *, but: Collection[str] = (LOCK,)) -> None:
    for entry in path.iterdir():
        if entry.name in but:
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _reserve(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(output: Path) -> int:
    """Bytes free where `output` will be (its first existing parent)."""
    place = output.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def allocated_bytes(output: Path, plan_hash: str) -> int:
    """Bytes that an earlier run of the same plan has reserved already."""
    path = output.parent / f".{output.name}.{plan_hash}.partial"
    if not os.path.isdir(path):  # False, too, where the name is too long: `open_staging` says so
        return 0
    return sum(_blocks(entry.stat()) for entry in path.rglob("*") if entry.is_file())


def _blocks(status: Any) -> int:
    return getattr(status, "st_blocks", 0) * 512
