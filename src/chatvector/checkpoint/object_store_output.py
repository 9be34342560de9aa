# SPDX-License-Identifier: Apache-2.0
"""Outputs in an object store, which has no rename: weights come first, the manifest last, as the commit mark.

The output is made in a staging directory on this machine, with the checks and the resuming of any run, so the disk
needs room for one output during the run. Then it is uploaded file by file, large ones in parts, and
the staging directory goes away. A reader that accepts whole models only looks for `chat_vector.json`.

An upload that was cut continues: files that the store has already, with the ETag it gave then, are not sent again.
The SHA-256 of each file is recorded before it is sent, so that an object whose answer was not received is recognised by
its content. An upload that ends in the middle may leave parts of one file behind, which no listing shows. obstore has
no call to remove them (0.12: its `put` does not return the upload's id); a lifecycle rule of the bucket does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatvector.checkpoint.object_store import again, heard, list_objects, one_line, open_store
from chatvector.checkpoint.staging import UPLOADED
from chatvector.checkpoint.waiting import Heartbeat, Waits
from chatvector.errors import OutputRefused, first_five
from chatvector.messages import Say
from chatvector.sizes import disk_size

PART_BYTES = 16 << 20
PARTS_AT_ONCE = 4
RETRIES = 8


def staging_place(url: str) -> Path:
    """The local path beside which an output for `url` is staged: one per URL, always the same.

    Under `CHATVECTOR_STAGING`, else under the user's cache directory.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "chatvector" / "staging"
    folder = Path(os.environ.get("CHATVECTOR_STAGING") or cache).expanduser()
    label = url.rstrip("/").rpartition("/")[2] or "model"
    return folder.absolute() / f"{label}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


class ObjectOutput:
    """Where an output goes in an object store."""

    def __init__(self, url: str, mark: str, say: Say) -> None:
        """`mark`: the file that is written last; `say` receives lines about waits. Raises what `open_store` raises."""
        self.url = url
        self._mark = mark
        self._store = open_store(url, retries=RETRIES)
        self._listed, self._waits = open_store(url), Waits(say)

    def refuse_existing(self, unfinished: Iterable[Path], *, restart: bool = False) -> None:
        """Raise OutputRefused when the mark is in the store, unless an upload from one of the staging directories
        `unfinished` had begun to send it and `restart` is not set."""
        unfinished = list(unfinished)
        if self._mark not in self._found():
            return
        if not any(self._mark in _Record.of(one).begun for one in unfinished):
            raise self._exists(unfinished)
        if restart:
            raise OutputRefused(
                f"{self.url}: the interrupted run had sent its last file, and --restart replaces no model; the same"
                " command without it looks whether all is there and tidies up"
            )

    def continue_from(self, staging: Path) -> bool:
        """Find out what an earlier upload from `staging` left in the store; True when that is the whole model.

        Raises OutputRefused when the store holds objects that it did not send, HubError.
        """
        found, record = self._found(), _Record.of(staging)
        for name in sorted(found.keys() & record.begun.keys()):
            if not record.has(name, found[name]) and self._sha256(name) == record.begun[name]:
                record.sent[name] = found[name]
                _note(staging, {"name": name, "etag": found[name]})
        foreign = sorted(name for name, etag in found.items() if not record.has(name, etag))
        whole = staging / self._mark
        if self._mark in found:
            if foreign or not whole.exists():
                raise self._exists([staging])
            return True
        if foreign:
            left = f"; the finished model lies in {staging}" if whole.exists() else ""
            raise OutputRefused(
                f"{self.url}: holds {len(foreign)} objects that are not of this run ({first_five(foreign)});"
                f" choose another output or remove them first{left}"
            )
        return False

    def _found(self) -> dict[str, str | None]:
        return {
            entry["path"]: entry["e_tag"] for entry in again(lambda: list_objects(self._listed, self.url), self._waits)
        }

    def _exists(self, unfinished: list[Path]) -> OutputRefused:
        left = f"; an interrupted run has left {first_five(map(str, unfinished))}" if unfinished else ""
        return OutputRefused(f"{self.url}: exists already; choose another output or remove it first{left}")

    def refuse_overlap(self, inputs: Iterable[str]) -> None:
        """Raise OutputRefused when the output equals, lies in, or holds one of the `inputs` (names as written)."""
        own = f"{self.url.rstrip('/')}/"
        for name in inputs:
            other = f"{name.rstrip('/')}/"
            if own.startswith(other) or other.startswith(own):
                raise OutputRefused(
                    f"{self.url}: overlaps the input {name}; inputs are never written to, choose another output"
                )

    def upload(self, staging: Path, say: Say) -> None:
        """Send every file of `staging` but weight files sent before; the mark comes last. Raises HubError."""
        record = _Record.of(staging)
        names = sorted(
            (path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()), key=self._order
        )
        for name in (name for name in names if not name.startswith(".")):
            weights, path = name.endswith(".safetensors"), staging / name
            if weights and name in record.sent:
                continue
            if weights:
                say(f"{self.url}: sending {name}, {disk_size(path.stat().st_size)}")
            waiting = Heartbeat(say, f"{self.url}: still sending {name}")
            with path.open("rb") as file:
                _note(staging, {"name": name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()})
            _note(staging, {"name": name, "etag": self._send(name, path, waiting)})

    def _order(self, name: str) -> tuple[int, str]:
        if name == self._mark:
            return 3, name
        if name.endswith(".index.json"):
            return 2, name
        return (0 if name.endswith(".safetensors") else 1), name

    def _send(self, name: str, path: Path, waiting: Heartbeat) -> str | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        last: dict[str, Any] = {"mode": "create"} if name == self._mark else {}
        with one_line(f"{self.url}/{name}"):
            try:
                answer = heard(
                    lambda: obstore.put(
                        self._store, name, path, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE, **last
                    ),
                    waiting,
                )
            except AlreadyExistsError as error:
                raise OutputRefused(f"{self.url}: another run finished it first; choose another output") from error
        return answer["e_tag"]

    def _sha256(self, name: str) -> str:
        """SHA-256 of an object as the store has it, in hex."""
        import obstore

        def read() -> str:
            digest = hashlib.sha256()
            for piece in obstore.get(self._store, name).stream(min_chunk_size=PART_BYTES):
                digest.update(piece)
            return digest.hexdigest()

        with one_line(f"{self.url}/{name}"):
            return heard(read)


@dataclass
class _Record:
    """Record of the uploads from one staging directory.

    Attributes:
        begun: name → SHA-256 of the content that was last about to be sent.
        sent: name → ETag of the object that the store accepted last.
    """

    begun: dict[str, str] = field(default_factory=dict)
    sent: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, staging: Path) -> _Record:
        """Read the record in `staging`. Torn lines are ignored."""
        record, path = cls(), staging / UPLOADED
        for line in path.read_text("utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
                name = entry["name"]
                if "sha256" in entry:
                    record.begun[name] = entry["sha256"]
                else:
                    record.sent[name] = entry["etag"]
            except (ValueError, KeyError, TypeError):
                continue
        return record

    def has(self, name: str, etag: str | None) -> bool:
        """Whether the store accepted the object `name` with this ETag."""
        return name in self.sent and self.sent[name] == etag


def _note(staging: Path, entry: Mapping[str, str | None]) -> None:
    """Append a line to the record and close the file, so that the line outlives this process."""
    with open(staging / UPLOADED, "a", encoding="utf-8") as journal:
        journal.write(json.dumps(entry) + "\n")
