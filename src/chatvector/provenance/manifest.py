# SPDX-License-Identifier: Apache-2.0
"""`chat_vector.json`: the recipe resolved, the parents' fingerprints, what was done, what was measured.

Only the `run` section may hold paths, times and names of this machine; publishing strips it. Everything else is equal
whenever the same recipe meets the same parents.

    {"format": 1, "kind": "model" | "vector", "chatvector": version, "recipe": {...}, "parents": {role: fingerprint},
     "origins": {role: hub name and commit}, "vocabulary": {...}, "chat_format": {...}, "scales": {...},
     "lineage": [...], "statistics": {...}, "licences": {...}, "warnings": [...], "files": {...},
     "run": {"inputs": {...}, "output", "started", "seconds", "bytes_read", …}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatvector.errors import DamagedFile, InputError, MissingInput

MANIFEST = "chat_vector.json"
FORMAT = 1


def to_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as indented JSON, keys in the order given, numbers exact."""
    return (json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def publishable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without its `run` section: no path, time or name of this machine is left."""
    return {key: value for key, value in manifest.items() if key != "run"}


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest from its file. Raises MissingInput, DamagedFile, or InputError for another format version."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such manifest") from None
    except OSError as error:
        raise MissingInput(f"{path}: cannot be read ({error.strerror})") from error
    return parse_manifest(data, str(path))


def parse_manifest(data: bytes, path: str) -> dict[str, Any]:
    """Check the bytes of a manifest, of a model's all that anything reads; `path` names it in messages. Raises as
    `read_manifest`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: no valid JSON ({error})") from None
    if not isinstance(document, dict) or document.get("kind") not in ("model", "vector"):
        raise DamagedFile(f"{path}: is no manifest of chatvector")
    if document.get("format") != FORMAT:
        raise InputError(
            f"{path}: manifest format {document.get('format')!r}, this version reads {FORMAT};"
            " use the chatvector that wrote it, or run its recipe again"
        )
    if document["kind"] == "model":
        from chatvector.provenance.model_manifest import require_whole  # pydantic models: made only where there is one

        require_whole(document, path)
    return document


OF_THE_VOCABULARY = frozenset({"embedding", "head"})
"""Roles of the tensors that have a row a token."""


def adds_to_rows(manifest: Mapping[str, Any]) -> bool:
    """Whether a vector adds to the vocabulary's rows. The manifest counts those that have a difference, whose factor is
    the scale of embedding and head; tensors of scale 0 are in no statistics."""
    return not OF_THE_VOCABULARY.isdisjoint(manifest["statistics"]["roles"])
