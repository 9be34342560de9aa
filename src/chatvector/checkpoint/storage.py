# SPDX-License-Identifier: Apache-2.0
"""Storage as a protocol of byte ranges, and its first implementation: a directory on this machine.

Everything above this file reads models through `Storage` and `ByteSource` only, so that a hub or an object
store is one more implementation and no other change.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from chatvector.checkpoint.files import is_model_file
from chatvector.errors import DamagedFile, MissingInput, ReadFailed, first_five

# Linux moves at most 2 GiB − 4 KiB in one read or write, and may move less at any time.
MAX_TRANSFER = 1 << 30


class ByteSource(Protocol):
    """One file, read by byte range; safe to use from several threads at once."""

    @property
    def name(self) -> str:
        """The file's name in messages."""
        ...

    @property
    def size(self) -> int:
        """Bytes in the file."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill all of `buffer` from byte `offset`.

        Raises DamagedFile when the file is too short, ReadFailed when its storage does not answer.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Storage(Protocol):
    """The files of one model."""

    @property
    def location(self) -> str:
        """The place's name in messages."""
        ...

    def listing(self) -> dict[str, int]:
        """Relative posix names of all files, with their sizes in bytes."""
        ...

    def read(self, name: str) -> bytes:
        """The whole of a small file. Raises MissingInput."""
        ...

    def open(self, name: str) -> ByteSource:
        """Open a file for reading by range. Raises MissingInput."""
        ...


class LocalFile:
    """A file on this machine, read with `pread` (not mmap: memory stays bounded and network file systems fast).

    `descriptor` is the open file, −1 when closed.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        try:
            self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            raise MissingInput(f"{name}: no such file") from None
        except OSError as error:
            raise MissingInput(f"{name}: cannot be read ({error.strerror})") from error
        self.size = os.fstat(self.descriptor).st_size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill all of `buffer` from byte `offset`, in as many reads as it takes."""
        wanted = len(buffer)
        done = 0
        while done < wanted:
            part = buffer[done : done + MAX_TRANSFER]
            try:
                count = os.preadv(self.descriptor, [part], offset + done)
            except OSError as error:
                raise ReadFailed(
                    f"{self.name}: reading at byte {offset + done} failed ({error.strerror}); check the disk or the"
                    " mount and run the same command again"
                ) from error
            if count == 0:
                raise DamagedFile(
                    f"{self.name}: truncated, it ends at byte {offset + done} where {offset + wanted} are needed;"
                    " download it again"
                )
            done += count

    def close(self) -> None:
        """Close the descriptor; closing twice is harmless."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LocalDirectory:
    """A model directory on this machine. Symbolic links are followed, as the hub's cache is made of them."""

    def __init__(self, path: Path, location: str | None = None) -> None:
        if not path.is_dir():
            what = "is a file, not a model directory" if path.exists() else "no such directory"
            raise MissingInput(f"{location or path}: {what}")
        self.path = path
        self.location = location or str(path)

    def listing(self) -> dict[str, int]:
        """Files at the top, in the visible folders there, and in the folders of `licences`; name → size in bytes.

        It goes no deeper: a model's files lie there, and a directory of training runs may hold very many files.
        Raises MissingInput when the directory cannot be read, or a file of the model is a broken link.
        """
        found, lost = self.survey()
        if lost:
            said = first_five(f"{name} → {target}" for name, target in lost.items())
            raise MissingInput(
                f"{self.location}: {len(lost)} files of the model are links to something that is not there"
                f" ({said}); bring it back, or remove the links where the model goes without"
            )
        return found

    def survey(self) -> tuple[dict[str, int], dict[str, str]]:
        """As `listing`, and the broken links of the model: name → target.

        Raises MissingInput when the directory cannot be read.
        """
        lost: dict[str, str] = {}
        try:
            found, folders = self._files_in(self.path, lost)
        except OSError as error:
            raise MissingInput(f"{self.location}: cannot be read ({error.strerror})") from error
        for folder in folders:
            # Folders that may not be entered (`lost+found`) hold no model; a shard in one is reported as missing.
            with suppress(OSError):
                files, below = self._files_in(folder, lost)
                found |= files
                for deeper in below if folder.name == "licences" else ():
                    found |= self._files_in(deeper, lost)[0]
        return found, lost

    def _files_in(self, folder: Path, lost: dict[str, str]) -> tuple[dict[str, int], list[Path]]:
        """Files of a folder with their sizes, and the folders in it that are not hidden. Links are followed.

        Links that belong to a model and cannot be followed are added to `lost`: name → target.
        """
        entries = sorted(folder.iterdir())
        names = {entry: entry.relative_to(self.path).as_posix() for entry in entries}
        lost |= {
            name: os.readlink(entry)
            for entry, name in names.items()
            if is_model_file(name) and entry.is_symlink() and not entry.exists()
        }
        files = {name: entry.stat().st_size for entry, name in names.items() if entry.is_file()}
        return files, [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]

    def read(self, name: str) -> bytes:
        """The whole of a small file."""
        with self.open(name) as source:
            data = bytearray(source.size)
            source.read_into(0, memoryview(data))
        return bytes(data)

    def open(self, name: str) -> LocalFile:
        """Open a file of the directory."""
        return LocalFile(self.path / name, f"{self.location}/{name}")
