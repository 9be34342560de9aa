# SPDX-License-Identifier: Apache-2.0
"""Lines for people while something runs: the library hands them to a `Say` and prints nothing itself."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def silent(_line: str) -> None:
    """A `Say` that drops every line."""
