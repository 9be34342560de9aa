# SPDX-License-Identifier: Apache-2.0
"""Files of data sets on the hub, by address: `hf://datasets/ORG/NAME/FILE` or `hf://datasets/ORG/NAME@REVISION/FILE`.

huggingface_hub uses the same addresses. Only the named file is fetched, into the cache that all tools share, and no
code of the data set is run. The file's place in the cache tells the commit, which is recorded with the results.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from chatvector.checkpoint.hub import client, is_offline, one_line
from chatvector.errors import HubError, UsageError

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?/(?P<file>[^@]+)")


@dataclass(frozen=True)
class HubFile:
    """A fetched file: its local path, its name, and the commit (40 digits) that it belongs to."""

    path: Path
    name: str
    commit: str


def is_address(name: object) -> bool:
    """Whether `name` begins like an address."""
    return isinstance(name, str) and name.startswith(SCHEME)


def fetch(address: str) -> HubFile:
    """The file, from the cache or the hub.

    Raises UsageError where `address` names no file of a data set, HubError where the hub does not deliver the file (or,
    with HF_HUB_OFFLINE, the cache does not have it).
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address}: no file of a data set; write hf://datasets/ORG/NAME/FILE or …/NAME@REVISION/FILE")
    place = {"repo_id": match["repo"], "filename": match["file"], "revision": match["revision"] or "main"}
    with one_line(address):
        path = _cached(place, address) if is_offline() else client().hf_hub_download(**place, repo_type="dataset")
    path = Path(path)
    commit = path.parts[path.parts.index("snapshots") + 1]
    return HubFile(path, f"{match['repo']}/{match['file']}", commit)


def _cached(place: dict[str, str], address: str) -> str:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(**place, repo_type="dataset")
    if not isinstance(found, str):
        raise HubError(f"{address}: is not in the cache and HF_HUB_OFFLINE is set; unset it to download")
    return found
