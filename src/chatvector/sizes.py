# SPDX-License-Identifier: Apache-2.0
"""Byte counts as text: sizes on disks and networks in powers of ten, sizes in memory in powers of two."""

from __future__ import annotations


def disk_size(nbytes: float) -> str:
    """`12 B`, `5.0 kB`, `61.8 MB`, `2.2 GB`."""
    return _in_units(nbytes, 1000, ("B", "kB", "MB", "GB"))


def memory_size(nbytes: float) -> str:
    """`12 B`, `5.0 KiB`, `61.8 MiB`, `2.2 GiB`."""
    return _in_units(nbytes, 1024, ("B", "KiB", "MiB", "GiB"))


def _in_units(nbytes: float, step: int, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if nbytes < step:
            return f"{nbytes:.0f} {unit}" if unit == units[0] else f"{nbytes:.1f} {unit}"
        nbytes /= step
    return f"{nbytes:.1f} {units[-1]}"
