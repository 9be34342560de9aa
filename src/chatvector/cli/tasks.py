# SPDX-License-Identifier: Apache-2.0
"""The tasks that the command line knows: those of the evaluation, and the micro-world's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatvector.evaluate.registry import Registry


def known() -> Registry:
    """All of them."""
    from chatvector.evaluate.catalogue import STANDARD
    from chatvector.lab.tasks import WORLD

    return STANDARD + WORLD
