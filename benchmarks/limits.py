# SPDX-License-Identifier: Apache-2.0
"""A limit on memory that the kernel enforces: a memory control group, where this process may make one.

A control group limits what really is resident, the page cache of the group included. Where none may be made, there is
no honest substitute (limits on address space or data do not limit residence), so the case is left out and said so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    """A control group: the directory to join, and where the kernel tells its largest use in bytes (or None)."""

    place: Path
    peak_file: Path | None

    def peak(self) -> int | None:
        """Bytes that the group held at most, page cache included; None where the kernel does not tell."""
        return int(self.peak_file.read_text()) if self.peak_file is not None and self.peak_file.exists() else None


@contextmanager
def memory_group(limit: int) -> Iterator[Group | None]:
    """A fresh group limited to `limit` bytes, swap included, below the one this process is in; None without it."""
    found = _own_group()
    if found is None:
        yield None
        return
    parent, limit_name, peak_name = found
    place = parent / f"chatvector-bench-{os.getpid()}"
    try:
        place.mkdir()
        (place / limit_name).write_text(str(limit))
    except OSError:
        with suppress(OSError):
            place.rmdir()
        yield None
        return
    try:
        yield Group(place, place / peak_name)
    finally:
        place.rmdir()


def _own_group() -> tuple[Path, str, str] | None:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return ROOT / "memory" / path.lstrip("/"), "memory.limit_in_bytes", "memory.max_usage_in_bytes"
        if controllers == "" and (ROOT / path.lstrip("/") / "memory.max").exists():
            return ROOT / path.lstrip("/"), "memory.max", "memory.peak"
    return None
