# SPDX-License-Identifier: Apache-2.0
"""The command line without waiting for the disk: `python -m benchmarks.nosync apply …`.

Only for benchmarks. Programs that never call fsync are compared with this as well, so that what durability costs is
seen apart from what the merge costs.
"""

from __future__ import annotations

import os

from chatvector.cli.main import main


def _skip(_descriptor: object) -> None:
    """Stands for fsync and fdatasync."""


if __name__ == "__main__":
    os.fsync = os.fdatasync = _skip
    main()
