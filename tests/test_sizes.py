# SPDX-License-Identifier: Apache-2.0
"""Numbers of bytes for people."""

from __future__ import annotations

import pytest

from chatvector.sizes import disk_size, memory_size


@pytest.mark.parametrize(
    ("nbytes", "disk", "memory"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1.0 kB", "1000 B"),
        (1024, "1.0 kB", "1.0 KiB"),
        (67_300_000, "67.3 MB", "64.2 MiB"),
        (10**9, "1.0 GB", "953.7 MiB"),
        (3 << 29, "1.6 GB", "1.5 GiB"),
        (10**13, "10000.0 GB", "9313.2 GiB"),
    ],
)
def test_sizes(nbytes: int, disk: str, memory: str) -> None:
    assert (disk_size(nbytes), memory_size(nbytes)) == (disk, memory)
