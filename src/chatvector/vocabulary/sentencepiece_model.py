# SPDX-License-Identifier: Apache-2.0
"""Pieces of a SentencePiece model and what kind each is.

The sentencepiece library loads and checks the model and gives the strings. It does not tell user-defined pieces
from ordinary ones, so their kind is read from the file: `ModelProto.pieces` is field 1 and `SentencePiece.type`
field 3 of sentencepiece_model.proto (google/sentencepiece), in the protocol-buffer wire format.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Literal

from chatvector.errors import DamagedFile, UnsupportedFormat

Kind = Literal["normal", "unknown", "control", "user", "unused", "byte"]
KINDS: dict[int, Kind] = {1: "normal", 2: "unknown", 3: "control", 4: "user", 5: "unused", 6: "byte"}

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Piece:
    """One piece; its place in the model is its id."""

    text: str
    kind: Kind


def read_pieces(model: bytes, where: str) -> list[Piece]:
    """All pieces in id order. Raises `UnsupportedFormat` for a tiktoken file, `DamagedFile` for no model at all."""
    if _is_tiktoken(model):
        raise UnsupportedFormat(
            f"{where}: a tiktoken vocabulary, not a SentencePiece model; save the tokenizer as tokenizer.json "
            "(AutoTokenizer.from_pretrained(...).save_pretrained(...)) and put the file into the model"
        )
    import sentencepiece  # only needed for models without tokenizer.json

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
        texts: list[str] = processor.IdToPiece(list(range(processor.GetPieceSize())))
        kinds: list[Kind] = [KINDS[kind] for kind in _piece_types(model)]
    except (RuntimeError, IndexError, KeyError, ValueError) as problem:
        raise DamagedFile(f"{where}: no SentencePiece model; fetch the file again") from problem
    if len(kinds) != len(texts):
        raise DamagedFile(f"{where}: {len(texts)} pieces but {len(kinds)} kinds; fetch the file again")
    return [Piece(text, kind) for text, kind in zip(texts, kinds, strict=True)]


def _is_tiktoken(model: bytes) -> bool:
    """Whether the first line is `<base64 bytes> <rank>`."""
    token, _space, rank = model[:200].split(b"\n", 1)[0].partition(b" ")
    try:
        return bool(base64.b64decode(token, validate=True)) and rank.strip().isdigit()
    except binascii.Error:
        return False


def _piece_types(model: bytes) -> list[int]:
    """`type` of each piece, 1 (normal) where the file leaves the default out."""
    types = []
    position = 0
    while position < len(model):
        tag, position = _varint(model, position)
        if tag == (1 << 3 | BYTES):
            size, position = _varint(model, position)
            types.append(_field_three(model, position, position + size))
            position += size
        else:
            position = _skip(model, position, tag & 7)
    return types


def _field_three(model: bytes, position: int, end: int) -> int:
    kind = 1
    while position < end:
        tag, position = _varint(model, position)
        if tag == (3 << 3 | VARINT):
            kind, position = _varint(model, position)
        else:
            position = _skip(model, position, tag & 7)
    return kind


def _skip(model: bytes, position: int, wire: int) -> int:
    if wire == VARINT:
        return _varint(model, position)[1]
    if wire == FIXED64:
        return position + 8
    if wire == FIXED32:
        return position + 4
    if wire == BYTES:
        size, position = _varint(model, position)
        return position + size
    raise ValueError(f"wire type {wire}")


def _varint(model: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = model[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
