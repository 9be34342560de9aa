# SPDX-License-Identifier: Apache-2.0
"""A model on the hub, read by byte range at one commit; nothing is written to disk.

Files in huggingface_hub's cache are read from there, and a model that is whole in the cache is opened as a directory.
The commit is looked up once and every later read names it, so a branch that moves in between changes nothing; a file
that changes under a commit is an error.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from chatvector.checkpoint.files import choose_files
from chatvector.checkpoint.http_transport import Transports
from chatvector.checkpoint.hub import (
    Progress,
    called,
    client,
    fetch,
    is_cached,
    list_files,
    one_line,
    patience,
    snapshot_place,
)
from chatvector.checkpoint.remote import RemoteStorage, Transfer
from chatvector.checkpoint.remote_file import RemoteFile
from chatvector.checkpoint.remote_http import Address, HttpFile
from chatvector.checkpoint.storage import ByteSource, LocalDirectory, LocalFile
from chatvector.errors import MissingInput


class HubStorage(RemoteStorage):
    """The files of one commit of a hub model."""

    def __init__(self, repo_id: str, commit: str, listing: dict[str, int], name: str, say: Progress | None) -> None:
        super().__init__(name, listing)
        self.repo_id = repo_id
        self.commit = commit
        self._snapshot = snapshot_place(repo_id, commit)
        self._transports = Transports()
        self._say = say

    def open(self, name: str) -> ByteSource:
        """A file of the commit, from the cache if it is there. Raises MissingInput."""
        return self._open(name, None)

    def open_once(self, name: str) -> ByteSource:
        """A file to be read by one request. Its address is not looked up before: the request follows redirections."""
        # Marked as signed, so that after a refusal huggingface_hub looks the address up and explains the error.
        return self._open(name, replace(self._resolved(name), signed=True))

    def _open(self, name: str, address: Address | None) -> ByteSource:
        label = f"{self.location}/{name}"
        if name not in self._listing:
            raise MissingInput(f"{label}: no such file")
        if (path := self._cached(name)) is not None:
            return LocalFile(path, label)
        size = self._listing[name]
        fetcher = HttpFile(
            label, size, self.commit, lambda: self._locate(name), self._transports, self._say, address=address
        )
        return RemoteFile(label, size, fetcher, self._side_by_side)

    def close(self) -> None:
        """Stop the threads and close the connections."""
        super().close()
        self._transports.close()

    def transfer(self) -> Transfer:
        """The transfer that reading the whole model needs."""
        needed = choose_files(self._listing, self.read, self.location).needed
        cached = sum(self._listing[name] for name in needed if self._cached(name) is not None)
        return Transfer(self.location, sum(self._listing[name] for name in needed), cached)

    def download(self, stack: ExitStack, say: Progress) -> Path:
        """Download the commit into the cache that all tools share, where it stays."""
        del stack
        return fetch(self.repo_id, self.commit, progress=say)

    def _cached(self, name: str) -> Path | None:
        path = self._snapshot / name
        return path if path.is_file() and path.stat().st_size == self._listing[name] else None

    def _resolved(self, name: str) -> Address:
        """The hub's own address of a file, which answers with the bytes or with a redirection."""
        from huggingface_hub import constants, hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        with one_line(f"{self.location}/{name}"):
            client()  # its telemetry is off before the first request
            url = hf_hub_url(self.repo_id, name, revision=self.commit, endpoint=constants.ENDPOINT)
            return Address(url, build_hf_headers(), None, None, None, signed=False)

    def _locate(self, name: str) -> Address:
        """The address of a file's bytes, looked up by huggingface_hub."""
        from huggingface_hub import get_hf_file_metadata

        asked = self._resolved(name)
        with one_line(f"{self.location}/{name}"):
            found = get_hf_file_metadata(asked.url, timeout=patience(), retry_on_errors=True)
        signed = urlsplit(found.location).netloc != urlsplit(asked.url).netloc
        headers = asked.headers
        if signed:  # only the hub may get the token
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        return Address(found.location, headers, found.etag, found.commit_hash, found.size, signed)


def open_hub(
    repo_id: str, revision: str | None, name: str, say: Progress | None = None
) -> tuple[HubStorage | LocalDirectory, str]:
    """The storage of a hub model, and its commit: the cache if it holds all files, else byte ranges over the network.

    Raises HubError.
    """
    if revision is not None and is_cached(repo_id, revision):
        return LocalDirectory(snapshot_place(repo_id, revision), name), revision
    commit, listing = list_files(repo_id, revision)
    if is_cached(repo_id, commit):
        return LocalDirectory(snapshot_place(repo_id, commit), name), commit
    return HubStorage(repo_id, commit, listing, called(repo_id, revision), say), commit
