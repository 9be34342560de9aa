# SPDX-License-Identifier: Apache-2.0
"""The same trio on disk and on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builders import Spec, Trio, write_trio
from hub_server import HubServer

ROLES = ("base", "chat", "target")
NAMES = {role: f"org/{role}" for role in ROLES}


def put_trio(hub: HubServer, folder: Path, specs: Mapping[str, Spec] | None = None) -> Trio:
    """Write a trio to `folder` and put it on the hub as org/base, org/chat, org/target."""
    found = write_trio(folder, specs)
    for role, name in NAMES.items():
        hub.add_folder(name, getattr(found, role))
    return found
