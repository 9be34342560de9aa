# SPDX-License-Identifier: Apache-2.0
"""Description of one kind of fault; `catalogue` lists all kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["fault", "warning", "note"]


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        code: stable, for scripts.
        level: severity.
        consequence: effect for the user of the model.
        cure: what to do.
        mended: whether `--fix` writes a file that cures it.
    """

    code: str
    level: Level
    consequence: str
    cure: str
    mended: bool = False
