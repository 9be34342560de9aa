# SPDX-License-Identifier: Apache-2.0
"""A model as headers, configuration and side files; its weights are read only range by range, on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from chatvector.checkpoint.files import ModelFiles, choose_files
from chatvector.checkpoint.remote import RemoteStorage, Transfer
from chatvector.checkpoint.storage import LocalDirectory, Storage
from chatvector.checkpoint.tensor_files import TensorFiles
from chatvector.errors import DamagedFile, MissingInput, first_five
from chatvector.sizes import disk_size

Progress = Callable[[str], None]


class Checkpoint(TensorFiles):
    """One model: named byte ranges, a parsed `config`, and side files.

    Safe to read from several threads. Use as a context manager, or call `close`.
    """

    def __init__(self, storage: Storage, name: str, *, revision: str | None = None) -> None:
        """Read headers, the index and config.json of the model in `storage`.

        Raises MissingInput, DamagedFile or UnsupportedFormat, each naming the file.
        """
        self.revision = revision
        self.listing = storage.listing()
        self.model_files: ModelFiles = choose_files(self.listing, storage.read, name)
        opened = None
        if isinstance(storage, RemoteStorage):
            opened = storage.prefetch(self.model_files.side_files, self.model_files.shards)
        super().__init__(storage, self.model_files.shards, name, opened)
        self._check_index()

    @classmethod
    def open(cls, name: str, progress: Progress | None = None, *, stream: bool = False) -> Checkpoint:
        """Open a model by its name: a directory, `org/name[@revision]` on the hub, `s3://…`, or `demo:base` and so on.

        A hub model is downloaded into huggingface_hub's cache first, only the files needed, pinned to one commit; with
        `stream` it is read by byte range and nothing is written to disk. Object stores are always read by range.
        """
        from chatvector.checkpoint.locate import open_storage

        storage, revision = open_storage(name, progress, stream=stream)
        try:
            return cls(storage, name, revision=revision)
        except BaseException:
            if isinstance(storage, RemoteStorage):
                storage.close()
            raise

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the side files that are copied with the model: configurations, tokenizer, templates, licences."""
        return self.model_files.side_files

    @property
    def local_path(self) -> str | None:
        """The model's directory on this machine; None for a remote model."""
        return str(self.storage.path) if isinstance(self.storage, LocalDirectory) else None

    @property
    def transfer(self) -> Transfer | None:
        """The transfer that reading it whole needs; None for a model on this machine."""
        return self.storage.transfer() if isinstance(self.storage, RemoteStorage) else None

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The parsed config.json. Raises MissingInput or DamagedFile."""
        if "config.json" not in self.listing:
            raise MissingInput(f"{self.name}: config.json is missing; a model directory needs one")
        return self.read_json("config.json")

    def read_json(self, name: str) -> dict[str, Any]:
        """A side file parsed as JSON. Raises DamagedFile when it is no JSON object."""
        try:
            document = json.loads(self.read_file(name))
        except (ValueError, RecursionError) as error:
            raise DamagedFile(f"{self.name}/{name}: no valid JSON ({error})") from None
        if not isinstance(document, dict):
            raise DamagedFile(f"{self.name}/{name}: must be a JSON object, is a {type(document).__name__}")
        return document

    def read_file(self, name: str) -> bytes:
        """The whole of a side file. Raises MissingInput."""
        return self.storage.read(name)

    def __repr__(self) -> str:
        return f"Checkpoint({self.name!r}, {len(self.tensors)} tensors, {disk_size(self.nbytes)})"

    def _check_index(self) -> None:
        index = self.model_files.index
        if index is None:
            return
        weight_map = self.read_json(index).get("weight_map", {})
        absent = [
            name for name, file in weight_map.items() if name not in self.tensors or self.tensors[name].file != file
        ]
        if absent:
            raise DamagedFile(
                f"{self.name}/{index}: {len(absent)} tensors are not in the file it names: {first_five(absent)}"
            )
        unlisted = sorted(self.tensors.keys() - weight_map.keys())
        if unlisted:
            raise DamagedFile(f"{self.name}/{index}: {len(unlisted)} tensors are not listed: {first_five(unlisted)}")
