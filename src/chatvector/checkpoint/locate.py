# SPDX-License-Identifier: Apache-2.0
"""From a name that a user wrote to the storage that holds the model."""

from __future__ import annotations

from collections.abc import Callable

from chatvector.checkpoint.storage import LocalDirectory, Storage


def open_storage(name: str, progress: Callable[[str], None] | None = None) -> tuple[Storage, str | None]:
    """The storage behind `name`, and the commit it is pinned to (None unless it came from the hub).

    Raises MissingInput, UnsupportedFormat, UsageError or HubError, each with what to do.
    """
    from chatvector.checkpoint.names import resolve

    location = resolve(name)
    if location.kind != "hub":
        assert location.path is not None
        return LocalDirectory(location.path, name), None
    from chatvector.checkpoint.hub import fetch

    assert location.repo_id is not None
    path = fetch(location.repo_id, location.revision, progress=progress)
    return LocalDirectory(path, name), path.name
