# SPDX-License-Identifier: Apache-2.0
"""How much memory could be had here without swapping."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """What Linux says is available, or what is left of the container's limit if that is less; None on other systems."""
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
    """Control groups, version 2, as a container sees its own. Cached files count as used there, and can be given back:
    they are added again."""
    try:
        limit = (_GROUP / "memory.max").read_text("ascii").strip()
        used = int((_GROUP / "memory.current").read_text("ascii"))
        kept = dict(line.split() for line in (_GROUP / "memory.stat").read_text("ascii").splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + int(kept.get("inactive_file", 0)) + int(kept.get("active_file", 0)))
