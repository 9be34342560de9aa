# SPDX-License-Identifier: Apache-2.0
"""A SentencePiece model written from a tokenizer.json that works like one: BPE, bytes for what it does not know.

llama.cpp's converter reads such a tokenizer.json too, but not its merges: all tokens get one score, text is cut from
left to right, and of 300 English texts 134 came out as other tokens than the model's (docs/log.md). A `tokenizer.model`
it reads whole, and fills its vocabulary up to the rows of the embedding.

The format: `ModelProto` of sentencepiece_model.proto (google/sentencepiece), in the protocol-buffer wire format. BPE of
that kind merges, of all neighbours that make a piece, those of the highest score first, so a piece's score is its
merge's place, negative. That is not all that a list of merges can say (it may name one way to make a piece and not
another), so the outcome is compared: `agreement`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chatvector.errors import DamagedFile, UnsupportedFormat
from chatvector.vocabulary.sentencepiece_model import BYTES, FIXED32, KINDS, VARINT, Kind
from chatvector.vocabulary.tokens import TokenTable

if TYPE_CHECKING:
    import tokenizers

SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_NUMBERS: Mapping[Kind, int] = {kind: number for number, kind in KINDS.items()}
BPE = 2
"""`TrainerSpec.ModelType`."""


def is_byte_level(document: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json cuts bytes (GPT-2 and after) and not characters."""
    return '"ByteLevel"' in _kinds(document.get("decoder")) + _kinds(document.get("pre_tokenizer"))


def is_like_sentencepiece(document: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json is BPE over characters, with bytes for those it does not know."""
    model = document["model"]
    return (
        model.get("type", "BPE") == "BPE"
        and isinstance(model.get("merges"), list)
        and model.get("byte_fallback") is True
        and not is_byte_level(document)
    )


def sentencepiece_bytes(
    document: Mapping[str, Any], table: TokenTable, where: str, *, bos: str | None, eos: str | None, blank: bool
) -> bytes:
    """The model file.

    Args:
        document: tokenizer.json, parsed; `is_like_sentencepiece`.
        table: its tokens. Rows without a token become unused pieces.
        where: the file, for messages.
        bos, eos: tokens that begin and end a sequence, where there are any.
        blank: whether a blank is put before a text.

    Raises `DamagedFile` for merges that are none, `UnsupportedFormat` where no special token can stand for what is
    unknown: the format demands one.
    """
    scores = _scores(document["model"]["merges"], where)
    names = table.names()
    unknown = document["model"].get("unk_token")
    if unknown not in table.ids:
        special = [token for token, added in table.added.items() if added.special]
        if not special:
            raise UnsupportedFormat(
                f"{where}: has no special token at all, and a SentencePiece model needs one for what is unknown"
            )
        unknown = min(special, key=table.ids.__getitem__)  # never produced: every character has its bytes
    pieces = []
    for row in range(table.size):
        name = names.get(row)
        if name is None:
            pieces.append(_piece(f"[unused {row}]", 0.0, "unused"))
        else:
            kind = _kind(name, table, unknown)
            # What no merge makes is a character; below all merges, as SentencePiece's own models have it.
            usual = float(-len(scores) - row) if kind == "normal" else 0.0
            pieces.append(_piece(name, scores.get(name, usual) if kind == "normal" else 0.0, kind))
    trainer = _number(3, BPE) + _number(4, table.size) + _number(35, 1) + _text(45, unknown)
    trainer += _text(46, bos) if bos else b""
    trainer += _text(47, eos) if eos else b""
    normalizer = _text(1, "identity") + _number(3, int(blank)) + _number(4, 0) + _number(5, 1)
    return b"".join([*pieces, _bytes(2, trainer), _bytes(3, normalizer)])


def agreement(model: bytes, tokenizer: tokenizers.Tokenizer, texts: Iterable[str]) -> tuple[int, int]:
    """In how many texts a SentencePiece model and a tokenizer give the same ids, and of how many."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model)
    same = [list(processor.EncodeAsIds(text)) == tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    return sum(same), len(same)


def _kinds(part: object) -> str:
    """The types that a part of a tokenizer is made of, in a string; parts nest in lists."""
    if isinstance(part, Mapping):
        own = part.get("type")
        inside = (value for value in part.values() if isinstance(value, list | Mapping))
        return f'"{own}"' + "".join(_kinds(value) for value in inside)
    return "".join(_kinds(value) for value in part) if isinstance(part, list) else ""


def _scores(merges: Sequence[Any], where: str) -> dict[str, float]:
    """Piece → minus the place of the first merge that makes it, from 1. Whole numbers up to 2²⁴ are exact in fp32."""
    scores: dict[str, float] = {}
    for place, merge in enumerate(merges, 1):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise DamagedFile(f"{where}: merge {place} is no pair of tokens")
        scores.setdefault("".join(parts), float(-place))
    return scores


def _kind(name: str, table: TokenTable, unknown: str) -> Kind:
    if name == unknown:
        return "unknown"
    if name in table.added:
        return "control" if table.added[name].special else "user"
    return "byte" if _BYTE.fullmatch(name) else "normal"


def _piece(text: str, score: float, kind: Kind) -> bytes:
    weight = _varint(2 << 3 | FIXED32) + struct.pack("<f", score)
    return _bytes(1, _text(1, text) + weight + _number(3, _NUMBERS[kind]))


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
