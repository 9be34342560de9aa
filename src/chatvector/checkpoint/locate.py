# SPDX-License-Identifier: Apache-2.0
"""From a name that a user wrote to the storage that holds the model."""

from __future__ import annotations

from collections.abc import Callable

from chatvector.checkpoint.storage import LocalDirectory, Storage


def open_storage(
    name: str, progress: Callable[[str], None] | None = None, *, stream: bool = False
) -> tuple[Storage, str | None]:
    """The storage behind `name`, and the commit it is pinned to (None unless it came from the hub).

    Args:
        name: a directory, a hub name, a member of the family, or a URL of an object store.
        progress: receives lines for people.
        stream: read a hub model by byte range instead of downloading it first.

    Raises MissingInput, UnsupportedFormat, UsageError, MissingExtra or HubError, each with what to do.
    """
    from chatvector.checkpoint.names import resolve

    location = resolve(name)
    if location.path is not None:
        return LocalDirectory(location.path, name), None
    if location.kind == "url":
        from chatvector.checkpoint.object_store import ObjectStorage

        return ObjectStorage(name, progress), None
    from chatvector.checkpoint import hub

    assert location.repo_id is not None
    if stream and not hub.is_offline():
        from chatvector.checkpoint.remote_hub import open_hub

        return open_hub(location.repo_id, location.revision, name, progress)
    path = hub.fetch(location.repo_id, location.revision, progress=progress)
    return LocalDirectory(path, name), path.name
