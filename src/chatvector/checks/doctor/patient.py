# SPDX-License-Identifier: Apache-2.0
"""A model opened leniently: whatever can be read is read, and the rest becomes findings instead of errors.

`Checkpoint` refuses a faulty model; the doctor has to examine it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from chatvector.checkpoint.files import (
    INDEX,
    PICKLED_SUFFIXES,
    SHARD,
    SINGLE,
    choose_files,
    is_licence_file,
    is_model_file,
    is_pickled,
    is_side_file,
)
from chatvector.checkpoint.header import Header
from chatvector.checkpoint.locate import open_storage
from chatvector.checkpoint.remote import RemoteStorage
from chatvector.checkpoint.storage import ByteSource, LocalDirectory, Storage
from chatvector.checkpoint.tensor_files import TensorFiles, read_shard_header
from chatvector.checks.doctor.config_values import usable
from chatvector.errors import ChatVectorError, InputError, MissingInput
from chatvector.vocabulary.tokens import TokenTable, read_tokens


class Patient:
    """Files, headers, configuration and tokenizer of a model, as far as they can be read.

    Attributes:
        name: as the user wrote it.
        listing: file → size in bytes, of all files at the top.
        unreadable: file of the model, or about it → why it cannot be read (no permission, a broken link). `listing` has
            only the weight files of these, so that each is reported once.
        files: side files, as for a checkpoint.
        headers: weight file → header, of the readable ones.
        pickles: the weight files if they are torch's state dicts (read, never executed); else empty.
        damaged: weight file → why its header is not readable.
        weight_map: tensor → file, from the index; None without a readable index.
        index_problem: why the index is not readable.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        """Read all headers. Raises MissingInput when there are no weight files at all, or no pickle can be read."""
        self.name = name
        self.storage = storage
        self.listing, self.unreadable = _survey(storage)
        self.files: tuple[str, ...] = tuple(sorted(name for name in self.listing if is_side_file(name)))
        self._opened: dict[str, ByteSource] = {}
        self.headers: dict[str, Header] = {}
        self.damaged: dict[str, str] = {}
        self.pickles: tuple[str, ...] = ()
        self.weight_map: Mapping[str, str] | None = None
        self.index_problem: str | None = None
        self._read_index()
        self._read_headers()
        self.weights = self._weights()

    @classmethod
    def open(cls, name: str, progress: Callable[[str], None] | None = None) -> Patient:
        """Open by a name as `Checkpoint.open` takes it; a hub model is read by byte range and not stored.

        Raises the errors of `Checkpoint.open` where there is no model at all.
        """
        storage, _ = open_storage(name, progress, stream=True)
        return cls(storage, name)

    def read_file(self, name: str) -> bytes:
        """The whole of a file. Raises MissingInput."""
        if name not in self.listing:
            raise MissingInput(f"{self.name}: {name} is missing")
        return self.storage.read(name)

    def text(self, name: str) -> str | None:
        """A file as text, with invalid UTF-8 replaced; None when it is missing."""
        return self.read_file(name).decode("utf-8", "replace") if name in self.listing else None

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The parsed config.json without unusable values, which `config_values` reports.

        {} when it is missing or damaged (`config_problem` then says why).
        """
        return self._usable[0]

    @property
    def config_values(self) -> tuple[str, ...]:
        """One line for each value of config.json that no loader accepts."""
        return self._usable[1]

    @cached_property
    def _usable(self) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        return usable(self._config[0])

    @property
    def config_problem(self) -> str | None:
        """Why config.json could not be read; None if it could."""
        return self._config[1]

    @cached_property
    def _config(self) -> tuple[Mapping[str, Any], str | None]:
        if "config.json" not in self.listing:
            return {}, "config.json is missing" if "config.json" not in self.unreadable else "config.json is unreadable"
        try:
            # As in loaders, a byte-order mark or another encoding than UTF-8 is damage.
            document = json.loads(self.read_file("config.json").decode("utf-8"))
        except (ValueError, RecursionError) as error:
            return {}, f"config.json is no JSON ({error})"
        return (document, None) if isinstance(document, dict) else ({}, "config.json is no JSON object")

    @cached_property
    def generation_config(self) -> Mapping[str, Any] | None:
        """generation_config.json parsed; None when it is missing or damaged."""
        try:
            document = json.loads(self.text("generation_config.json") or "null")
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    @cached_property
    def tokens(self) -> TokenTable | None:
        """The token table; None when it cannot be read."""
        return self._tokens[0]

    @property
    def tokens_problem(self) -> ChatVectorError | None:
        """Why the tokenizer could not be read; None if it could."""
        return self._tokens[1]

    @cached_property
    def _tokens(self) -> tuple[TokenTable | None, ChatVectorError | None]:
        if self.chat_unreadable:
            return None, MissingInput(f"{self.name}: not all files of tokenizer and chat format can be read")
        try:
            return read_tokens(self), None
        except ChatVectorError as problem:
            return None, problem

    @property
    def chat_unreadable(self) -> bool:
        """Whether a file with tokenizer or chat format cannot be read."""
        others = ("config.json", INDEX, *(name for name in self.unreadable if name.endswith(".py")))
        return any(_is_loaded(name) and name not in others and name not in self.listing for name in self.unreadable)

    @property
    def unreadable_by_loaders(self) -> dict[str, str]:
        """The entries of `unreadable` that a loader would read."""
        return {name: why for name, why in self.unreadable.items() if _is_loaded(name)}

    @cached_property
    def shards(self) -> tuple[str, ...]:
        """The weight files that a loader reads: the single file, else those in the index, else the numbered set."""
        here = self.headers.keys() | self.damaged.keys()
        if self.pickles:
            return self.pickles
        if SINGLE in here:
            return (SINGLE,)
        if self.weight_map is not None and (named := sorted(set(self.weight_map.values()) & here)):
            return tuple(named)
        return tuple(sorted(name for name in here if SHARD.fullmatch(name)))

    def close(self) -> None:
        """Close every file, and the connections of a storage that is not on this machine."""
        self.weights.close()
        if isinstance(self.storage, RemoteStorage):
            self.storage.close()

    def _read_headers(self) -> None:
        found = sorted(name for name in self.listing if name.endswith(".safetensors"))
        indexed = set() if self.weight_map is None else set(self.weight_map.values())
        names = [name for name in found if "/" not in name or name in indexed]
        if not any(name == SINGLE or SHARD.fullmatch(name) for name in names) and INDEX not in self.listing:
            names = list(choose_files(self.listing, self.storage.read, self.name).shards)  # or raises
            self.pickles = tuple(name for name in names if is_pickled(name))
        if isinstance(self.storage, RemoteStorage):
            self._opened = self.storage.prefetch(self.files, names)
        for name in names:
            try:
                source = self._opened[name] if name in self._opened else self.storage.open(name)
                self._opened[name] = source
                self.headers[name] = read_shard_header(name, source)
            except InputError as problem:
                self.damaged[name] = str(problem)

    def _read_index(self) -> None:
        if INDEX not in self.listing:
            return
        try:
            weight_map = json.loads(self.read_file(INDEX))["weight_map"]
            if not all(isinstance(part, str) for pair in weight_map.items() for part in pair) or not weight_map:
                raise TypeError("weight_map is no table of tensors and files")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            self.index_problem = f"{INDEX} is no index ({problem})"
        else:
            self.weight_map = weight_map

    def _weights(self) -> TensorFiles:
        """The readable tensors of the chosen shards; if a tensor is there twice, the first."""
        good = [name for name in self.shards if name in self.headers and self.headers[name].entries]
        if not good:
            self.damaged |= {
                name: f"{self.name}/{name}: holds no tensor" for name in self.shards if name in self.headers
            }
            # A pickle may be refused for what it would execute: then the error is raised, not turned into a finding.
            if self.pickles:
                raise MissingInput(f"{self.name}: no weight file can be read: {'; '.join(self.damaged.values())}")
        return _Lenient(self.storage, tuple(good), self.name, self._opened)


def _survey(storage: Storage) -> tuple[dict[str, int], dict[str, str]]:
    """`listing` and `unreadable` of a patient. For remote storage the latter is empty: reading raises its errors."""
    if not isinstance(storage, LocalDirectory):
        return storage.listing(), {}
    found, links = storage.survey()
    unreadable = {name: f"a link that leads nowhere: {target}" for name, target in links.items()}
    for name in found:
        if "/" not in name or is_side_file(name):
            try:
                storage.open(name).close()
            except MissingInput as problem:
                unreadable[name] = str(problem).removeprefix(f"{storage.location}/{name}: ")
    readable = {name: size for name, size in found.items() if name not in unreadable}
    return readable | {name: found.get(name, 0) for name in unreadable if _is_weights(name)}, unreadable


def _is_weights(name: str) -> bool:
    return name.endswith((".safetensors", *PICKLED_SUFFIXES))


def _is_loaded(name: str) -> bool:
    return _is_weights(name) or (is_model_file(name) and not is_licence_file(name))


class _Lenient(TensorFiles):
    """Tensors of several files, or of none; a name that comes twice is taken from the first file."""

    def _collect(self) -> dict[str, Any]:
        from chatvector.checkpoint.tensor_files import TensorRef

        found: dict[str, TensorRef] = {}
        for shard, header in self.headers.items():
            for entry in header.entries:
                ref = TensorRef(entry.name, entry.dtype, entry.shape, shard, entry.offset, entry.nbytes)
                found.setdefault(entry.name, ref)
        return found
