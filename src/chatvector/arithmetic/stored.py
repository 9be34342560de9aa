# SPDX-License-Identifier: Apache-2.0
"""A chat vector on disk: self-sufficient, so that it can be applied, shared and kept without its parents.

    VEC/
      chat_vector.json                 manifest: kind "vector", fingerprints, dtype, parents' dtypes, rows
      vector.safetensors               chat − base under the chat model's names; several shards have an index
      chat_rows.safetensors            raw rows of the chat model: template tokens, and tokens that only chat has
      base/ …  chat/ …                 both parents' configurations, tokenizers (token → row), templates, licences

Embedding and head have the chat model's rows; rows of tokens that base lacks are zero there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.plan import Slice
from chatvector.arithmetic.roles import find_vocabulary
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.dtypes import DTYPES, DType
from chatvector.checkpoint.files import VECTOR_FILE, VECTOR_INDEX
from chatvector.checkpoint.fingerprint import Sample
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.checkpoint.tensor_files import TensorFiles, TensorRef
from chatvector.errors import DamagedFile, InputError, MissingInput, first_five
from chatvector.provenance.manifest import MANIFEST, read_manifest
from chatvector.vocabulary.rows import RowMap
from chatvector.vocabulary.side_files import read_json_object
from chatvector.vocabulary.untrained import RowHealth

if TYPE_CHECKING:
    from chatvector.arithmetic.stored_facts import Origin

ROWS_FILE = "chat_rows.safetensors"


class StoredParent:
    """Configuration and side files of base or chat, stored with the vector."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self._storage = LocalDirectory(directory, name)
        self.files: tuple[str, ...] = tuple(self._storage.listing())

    def read_file(self, name: str) -> bytes:
        """The whole of a side file. Raises MissingInput."""
        return self._storage.read(name)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The parsed config.json. Raises MissingInput or DamagedFile."""
        if "config.json" not in self.files:
            raise MissingInput(f"{self.name}: config.json is missing; extract the vector again")
        return read_json_object(self, "config.json")


class StoredVector:
    """A chat vector read from its directory."""

    def __init__(self, path: Path, name: str) -> None:
        """Read manifest and headers. Raises MissingInput, DamagedFile, or InputError when it is no vector.

        Different row counts in manifest and files are damage: bytes beyond a tensor would be read.
        """
        self.name, self.path = name, path
        storage = LocalDirectory(path, name)
        self.manifest = read_manifest(path / MANIFEST)
        if self.manifest["kind"] != "vector":
            raise InputError(f"{name}: is a merged model, not a chat vector; `chatvector extract` writes vectors")
        from chatvector.arithmetic.stored_facts import read_facts  # pydantic models: only where there is a vector

        self._facts = read_facts(self.manifest, f"{name}/{MANIFEST}")
        self.base = StoredParent(path / "base", f"{name}/base")
        self.chat = StoredParent(path / "chat", f"{name}/chat")
        self._files = TensorFiles(storage, _shards(storage, name), name)
        self._rows = TensorFiles(storage, (ROWS_FILE,), f"{name}/{ROWS_FILE}") if self._has_rows(storage) else None
        self.tensors: Mapping[str, TensorRef] = self._files.tensors
        self._row_place = {row: place for place, row in enumerate(self._facts.chat_row_ids)}
        self._check_rows()

    def rows(self) -> tuple[int, int]:
        """Rows of the embeddings of base and chat."""
        return self._facts.rows

    def difference(self, name: str, rows: RowMap | None) -> tuple[Slice, Slice | None]:
        """The stored difference, seen through the chat model's rows."""
        mapped = None if rows is None else np.where(rows.base >= 0, rows.chat, -1)
        return Slice(self._files, self._tensor(self._files, name), mapped), None

    def raw_rows(self, name: str, rows: NDArray[np.int64]) -> Slice:
        """The stored raw rows. Raises InputError when the vector does not hold one of them."""
        absent = [int(row) for row in rows[rows >= 0] if int(row) not in self._row_place]
        if absent or self._rows is None:
            raise InputError(
                f"{self.name}: does not hold the chat model's rows {first_five(absent)}, which this chat format"
                " needs; extract it again with its template, or use --base and --chat"
            )
        places = np.array([self._row_place.get(int(row), -1) for row in rows], np.int64)
        return Slice(self._rows, self._tensor(self._rows, name), places)

    def parent_dtypes(self, name: str) -> tuple[DType, ...]:
        """Dtypes of chat's and base's tensor at extraction."""
        known = self._facts.parent_dtypes
        codes = known.get(self._tensor(self._files, name).name, known["*"])
        return tuple(DTYPES[code] for code in codes)

    def inputs(self) -> Iterable[Checkpoint]:
        """Empty: no checkpoint of a parent is read."""
        return ()

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the vector: digests of headers, sampled blocks, rows and manifest.

        The origins of its parents and the machine that made it do not count.
        """
        meaning = {key: value for key, value in self.manifest.items() if key not in ("run", "origins")}
        digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
        headers = hashlib.sha256(b"".join(header.raw for header in self._files.headers.values()))
        rows = None if self._rows is None else Sample(self._rows).digest()
        return {
            "manifest": digest.hexdigest(),
            "headers": headers.hexdigest(),
            "samples": Sample(self._files).digest(),
            "rows": rows,
        }

    def origin(self, side: Literal["base", "chat"]) -> Origin:
        """Public name, commit and card facts of a parent, as far as known."""
        from chatvector.arithmetic.stored_facts import Origin

        return self._facts.origins.get(side, Origin())

    def row_health(self) -> dict[str, RowHealth]:
        """Whether base's rows of template tokens are trained, judged when the vector was extracted."""
        return {entry.token: entry for entry in self._facts.row_health}

    def close(self) -> None:
        """Close every file."""
        self._files.close()
        if self._rows is not None:
            self._rows.close()

    def _tensor(self, files: TensorFiles, name: str) -> TensorRef:
        if name in files.tensors:
            return files.tensors[name]
        embedding = find_vocabulary(self.tensors, self.chat.config).embedding
        if embedding is None or embedding not in files.tensors:
            raise DamagedFile(f"{self.name}: has neither {name} nor an embedding that it could be tied to")
        return files.tensors[embedding]

    def _check_rows(self) -> None:
        embedding = find_vocabulary(self.tensors, self.chat.config).embedding
        held = None if embedding is None else self.tensors[embedding].shape[0]
        said = self._facts.rows[1]
        if held is not None and held != said:
            raise DamagedFile(f"{self.name}: {MANIFEST} says {said} rows of chat's embedding, the file holds {held}")
        for ref in () if self._rows is None else self._rows.tensors.values():
            if ref.shape[:1] != (len(self._facts.chat_row_ids),):
                raise DamagedFile(
                    f"{self.name}/{ROWS_FILE}: {ref.name} has shape {list(ref.shape)}, {MANIFEST} names"
                    f" {len(self._facts.chat_row_ids)} rows"
                )

    @staticmethod
    def _has_rows(storage: LocalDirectory) -> bool:
        return ROWS_FILE in storage.listing()


def _shards(storage: LocalDirectory, name: str) -> tuple[str, ...]:
    listing = storage.listing()
    if VECTOR_FILE in listing:
        return (VECTOR_FILE,)
    if VECTOR_INDEX not in listing:
        raise MissingInput(f"{name}: neither {VECTOR_FILE} nor {VECTOR_INDEX}; the vector is incomplete")
    try:
        files = sorted(set(json.loads(storage.read(VECTOR_INDEX))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise DamagedFile(f"{name}/{VECTOR_INDEX}: no valid index ({error})") from None
    absent = [file for file in files if file not in listing]
    if absent:
        raise MissingInput(f"{name}: {len(absent)} of {len(files)} shards are missing: {first_five(absent)}")
    return tuple(files)
