# SPDX-License-Identifier: Apache-2.0
"""Outputs in an object store, which knows no rename: weights first, the manifest last, as the commit mark.

The output is made in a staging directory on this machine, with the checks and the resuming of any run, so the disk
needs the room of one output for as long as the run takes. Then it is uploaded file by file, large ones in parts, and
the staging directory goes away. Readers that want whole models only look for `chat_vector.json`.

An upload that was cut continues: files that the store has already, with the ETag it gave then, are not sent again. A
process that is killed may leave parts of one file behind, which no listing shows; a lifecycle rule of the bucket
removes them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chatvector.checkpoint.object_store import list_objects, one_line, open_store
from chatvector.errors import OutputRefused, first_five
from chatvector.sizes import disk_size

SENT = ".sent"
"""In the staging directory: a line of JSON for each file that the store has."""
PART_BYTES = 16 << 20
PARTS_AT_ONCE = 4
RETRIES = 8


def staging_place(url: str) -> Path:
    """The local directory beside which an output for `url` is staged: one per URL, always the same.

    Under `CHATVECTOR_STAGING`, else under the user's cache directory.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "chatvector" / "staging"
    folder = Path(os.environ.get("CHATVECTOR_STAGING") or cache).expanduser()
    label = url.rstrip("/").rpartition("/")[2] or "model"
    return folder.absolute() / f"{label}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


class ObjectOutput:
    """Where an output goes in an object store."""

    def __init__(self, url: str, mark: str) -> None:
        """`mark`: the file that is written last. Raises what `open_store` raises."""
        self.url = url
        self._mark = mark
        self._store = open_store(url, retries=RETRIES)

    def refuse_existing(self, staging: Path | None = None) -> None:
        """Raise OutputRefused when objects are there that no unfinished upload from `staging` has left."""
        sent = {} if staging is None else _sent(staging)
        found = {entry["path"]: entry["e_tag"] for entry in list_objects(self._store, self.url)}
        if self._mark in found:
            raise OutputRefused(f"{self.url}: exists already; choose another output or remove it first")
        foreign = sorted(name for name, etag in found.items() if sent.get(name) != etag)
        if staging is not None and foreign:
            raise OutputRefused(
                f"{self.url}: holds {len(foreign)} objects that are not of this run ({first_five(foreign)});"
                " choose another output or remove them first"
            )

    def refuse_overlap(self, inputs: Iterable[str]) -> None:
        """Raise OutputRefused when the output equals, lies in, or holds one of the `inputs` (names as written)."""
        own = f"{self.url.rstrip('/')}/"
        for name in inputs:
            other = f"{name.rstrip('/')}/"
            if own.startswith(other) or other.startswith(own):
                raise OutputRefused(
                    f"{self.url}: overlaps the input {name}; inputs are never written to, choose another output"
                )

    def upload(self, staging: Path, say: Callable[[str], None]) -> None:
        """Send every file of `staging` that the store lacks, the mark last. Raises HubError."""
        sent = _sent(staging)
        names = sorted(
            (path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()), key=self._order
        )
        names = [name for name in names if not name.startswith(".")]
        with open(staging / SENT, "a", encoding="utf-8") as journal:
            for name in names:
                weights = name.endswith(".safetensors")
                if weights and name in sent:
                    continue
                size = (staging / name).stat().st_size
                if weights:
                    say(f"{self.url}: sending {name}, {disk_size(size)}")
                etag = self._send(name, staging / name)
                journal.write(json.dumps({"name": name, "etag": etag}) + "\n")
                journal.flush()

    def _order(self, name: str) -> tuple[int, str]:
        if name == self._mark:
            return 3, name
        if name.endswith(".index.json"):
            return 2, name
        return (0 if name.endswith(".safetensors") else 1), name

    def _send(self, name: str, path: Path) -> str | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        last: dict[str, Any] = {"mode": "create"} if name == self._mark else {}
        with one_line(f"{self.url}/{name}"):
            try:
                answer = obstore.put(
                    self._store, name, path, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE, **last
                )
            except AlreadyExistsError as error:
                raise OutputRefused(f"{self.url}: another run finished it first; choose another output") from error
        return answer["e_tag"]


def _sent(staging: Path) -> dict[str, str | None]:
    """What an earlier upload from this directory sent: name → ETag. Torn lines are ignored."""
    found: dict[str, str | None] = {}
    path = staging / SENT
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
            found[entry["name"]] = entry["etag"]
        except (ValueError, KeyError, TypeError):
            continue
    return found
