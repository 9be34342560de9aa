# SPDX-License-Identifier: Apache-2.0
"""Public data sets that lie beside the project, never in it: integration tests read them and skip where they are not.

`CHATVECTOR_DATA` names the folder; without it, `shared/data` beside the project's own folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def data_folder() -> Path:
    return Path(os.environ.get("CHATVECTOR_DATA") or ROOT.parent / "shared" / "data")


def public_data(name: str) -> Path:
    """The path of a file such as `sentiment/nsmc.ko.test.jsonl`; skips the test that asks where it is absent."""
    path = data_folder() / name
    if not path.exists():
        pytest.skip(f"needs the public data {name}; set CHATVECTOR_DATA to the folder that has it")
    return path
