# SPDX-License-Identifier: Apache-2.0
"""Memory that is available on this machine without swapping."""

from __future__ import annotations

from pathlib import Path

from chatvector.errors import NotEnoughSpace
from chatvector.sizes import memory_size

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Bytes available according to Linux, or left of the container's limit if less; None on other systems."""
    found = [count for count in (_of_machine(), _of_group()) if count is not None]
    return min(found, default=None)


def _of_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text("ascii").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else int(found.split()[1]) * 1024


def _of_group() -> int | None:
    """Bytes left of the limit of a container's control group (version 2). Cached files count as used there but can be
    freed, so they are added."""
    try:
        limit = (_GROUP / "memory.max").read_text("ascii").strip()
        used = int((_GROUP / "memory.current").read_text("ascii"))
        kept = dict(line.split() for line in (_GROUP / "memory.stat").read_text("ascii").splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + int(kept.get("inactive_file", 0)) + int(kept.get("active_file", 0)))


def require_memory(nbytes: int, what: str) -> str:
    """A sentence on what is needed and free. Raises NotEnoughSpace if this machine has less; not where the
    free memory is unknown."""
    free = available_bytes()
    need = f"{what} takes {memory_size(nbytes)}"
    if free is None:
        return need
    if nbytes > free:
        raise NotEnoughSpace(
            f"{need}; {memory_size(free)} of memory are free: load it in less (bf16), or take a larger one"
        )
    return f"{need} of {memory_size(free)} that are free"
