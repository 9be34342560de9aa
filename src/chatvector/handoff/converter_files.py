# SPDX-License-Identifier: Apache-2.0
"""Side files of a model as llama.cpp's converter needs them, so that the GGUF file says what the model's files say.

What the converter makes of a directory was read in its code and tried on small models (llama.cpp of llama-cpp-python
0.3.36; docs/serving.md). Four things need help:

* **tokens**: a tokenizer like SentencePiece's needs its `tokenizer.model`, see `sentencepiece_file`. Byte-level BPE is
  read from tokenizer.json as it is.
* **types**: a token is *control* (never printed, found in prompts) if `added_tokens_decoder` or tokenizer.json calls it
  special. What ends a turn has to be.
* **the end**: one `eos` is stored, and llama.cpp stops there and at `KNOWN_ENDS`. A turn's end that is none of these is
  made the eos.
* **blank and beginning**: whether a blank precedes the text, and whether the engine puts bos before a prompt. Unsaid,
  llama.cpp does both for a SentencePiece vocabulary. Here: as the chat format has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatvector.errors import MissingInput, UnsupportedFormat
from chatvector.handoff.sentencepiece_file import (
    SPACE,
    agreement,
    is_byte_level,
    is_like_sentencepiece,
    sentencepiece_bytes,
)
from chatvector.vocabulary.chat_format import ChatFormat, read_chat_format
from chatvector.vocabulary.files import Edits
from chatvector.vocabulary.probes import probe
from chatvector.vocabulary.selfcheck import load_tokenizer
from chatvector.vocabulary.sentencepiece_model import read_pieces
from chatvector.vocabulary.side_files import SideFiles, read_json_object, read_text
from chatvector.vocabulary.template import Template, compile_template
from chatvector.vocabulary.tokens import SENTENCEPIECE, TOKENIZER_CONFIG, TOKENIZER_JSON, TokenTable, read_tokens

TOKENIZER_MODEL = SENTENCEPIECE[0]
"""The name under which the converter looks for a SentencePiece model."""

KNOWN_ENDS = frozenset(
    {
        *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>"),
        *("<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>"),
        *("<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~["),
    }
)
"""Tokens at which llama.cpp ends a reply by their names (src/llama-vocab.cpp)."""


@dataclass(frozen=True)
class ConverterFiles:
    """What the converter gets.

    Attributes:
        files: side files that differ from the model's, by name.
        kind: `SentencePiece` or `byte-level BPE`.
        made: whether its tokenizer.model was written from tokenizer.json.
        agree, compared: in how many of how many texts the tokenizer.model and tokenizer.json give the same tokens; of 0
            where there are not both.
        end: what ends the assistant's turn, where that is a token.
        engine_bos: the token that the engine will put before each prompt; "" where it puts none.
        unheard: stop tokens at which llama.cpp does not end a reply.
        notes: what a person should know, a sentence each.
    """

    files: Mapping[str, bytes]
    kind: str
    made: bool
    agree: int
    compared: int
    end: str | None
    engine_bos: str
    unheard: tuple[str, ...]
    notes: tuple[str, ...]
    template: Template
    chat_format: ChatFormat
    tokens: TokenTable


def converter_files(model: SideFiles, texts: Sequence[str]) -> ConverterFiles:
    """The files for a chat model.

    Args:
        model: its side files.
        texts: what is cut into tokens in both ways, to be compared.

    Raises `MissingInput` without a chat template, `UnsupportedFormat` for a tokenizer that the converter does not read,
    and what reading the model's format raises.
    """
    tokens = read_tokens(model)
    found = read_chat_format(model, tokens)
    if found is None:
        raise MissingInput(
            f"{model.name}: has no chat template, so there is nothing to be spoken to; `chatvector apply` brings the"
            " chat model's along, also with --scale 0"
        )
    template = compile_template(found.templates["default"], found.source, found.special_tokens)
    edits = Edits(model)
    notes: list[str] = []
    made, agree, compared = False, 0, 0
    bos = found.special_tokens.get("bos_token", "")
    renderings = probe(template)
    begins = bool(bos) and renderings["user"].startswith(bos)
    document = json.loads(read_text(model, TOKENIZER_JSON)) if TOKENIZER_JSON in model.files else None
    kind = _kind(model, document, tokens)
    if kind == "SentencePiece":
        blank, at_start = _blanks(model, tokens)
        pieces = _kept_model(model, tokens)
        if pieces is None:
            assert document is not None
            eos = found.special_tokens.get("eos_token")
            where = f"{model.name}/{TOKENIZER_JSON}"
            pieces = sentencepiece_bytes(document, tokens, where, bos=bos or None, eos=eos, blank=at_start)
            made = True
        if document is not None:
            agree, compared = agreement(pieces, load_tokenizer(model), texts)
        edits.put(TOKENIZER_MODEL, pieces)
        edits.json(TOKENIZER_CONFIG).set(blank, "add_prefix_space")
        edits.json(TOKENIZER_CONFIG).set(begins, "add_bos_token")
        engine_bos = bos if begins else ""
    else:
        engine_bos = bos if bos and _adds(model, tokens, bos) else ""
        if engine_bos and not begins:
            notes.append(
                f"llama.cpp will put {bos} before each prompt and the chat format does not: give llama-server"
                " --override-kv tokenizer.ggml.add_bos_token=bool:false"
            )
    end = found.turn_ends[0] if found.turn_ends else None
    stops = [token for token in found.stop_tokens if token in tokens.ids]
    _make_special(edits, tokens, stops, every=kind == "SentencePiece")
    heard = set(KNOWN_ENDS)
    eos = found.special_tokens.get("eos_token")
    if end is not None and end not in KNOWN_ENDS and end != eos:
        edits.json(TOKENIZER_CONFIG).set(end, "eos_token")
        notes.append(f"{end} is the eos of the GGUF file, not {eos}: llama.cpp does not know it by its name")
        eos = end
    heard |= {eos} if eos else set()
    changed = {name: data for name, data in edits.changed().items() if data is not None}
    unheard = tuple(token for token in stops if token not in heard)
    return ConverterFiles(
        changed, kind, made, agree, compared, end, engine_bos, unheard, tuple(notes), template, found, tokens
    )


def _kind(model: SideFiles, document: Any, tokens: TokenTable) -> str:
    if document is None:
        if tokens.source in SENTENCEPIECE:
            return "SentencePiece"
        raise UnsupportedFormat(
            f"{model.name}/{tokens.source}: llama.cpp's converter is not known to read it; save the tokenizer as"
            " tokenizer.json (AutoTokenizer.from_pretrained(...).save_pretrained(...)) and put it into the model"
        )
    if is_byte_level(document):
        return "byte-level BPE"
    if is_like_sentencepiece(document):
        return "SentencePiece"
    what = document["model"].get("type", "BPE")
    raise UnsupportedFormat(
        f"{model.name}/{TOKENIZER_JSON}: a {what} tokenizer that is neither byte-level BPE nor BPE with byte_fallback;"
        " llama.cpp would cut text into other tokens than the model knows"
    )


def _kept_model(model: SideFiles, tokens: TokenTable) -> bytes | None:
    """The model's own SentencePiece file, where it has one with the ids and the tokens of its tokenizer."""
    name = next((name for name in SENTENCEPIECE if name in model.files), None)
    if name is None:
        return None
    content = model.read_file(name)
    if tokens.source == name:
        return content
    pieces = read_pieces(content, f"{model.name}/{name}")
    names = tokens.names()
    same = all(names.get(row) == piece.text or names.get(row) in tokens.added for row, piece in enumerate(pieces))
    known = {piece.text for piece in pieces}
    return content if same and all(token in known or token in tokens.added for token in tokens.ids) else None


def _blanks(model: SideFiles, tokens: TokenTable) -> tuple[bool, bool]:
    """Whether a blank is put before text behind a special token, and at the start of a text.

    Read off the tokenizer where it can be loaded; a SentencePiece file alone puts one in both places (its
    `add_dummy_prefix`, which its own models have, and `legacy` tokenizers of transformers).
    """
    if tokens.source != TOKENIZER_JSON:
        return True, True
    tokenizer = load_tokenizer(model)
    marks = [token for token, added in tokens.added.items() if added.special and not added.rstrip]

    def begins_blank(text: str, skip: int) -> bool:
        return "".join(tokenizer.encode(text, add_special_tokens=False).tokens[skip:]).startswith(SPACE)

    return bool(marks) and begins_blank(f"{marks[0]}a", 1), begins_blank("a", 0)


def _adds(model: SideFiles, tokens: TokenTable, bos: str) -> bool:
    """Whether a tokenizer puts bos before a text by itself."""
    return load_tokenizer(model).encode("a").ids[:1] == [tokens.ids.get(bos)]


def _make_special(edits: Edits, tokens: TokenTable, stops: Sequence[str], *, every: bool) -> None:
    """Call stop tokens special in all files that say so of tokens; `every` added token is listed in
    `added_tokens_decoder`, which is where the converter looks beside a SentencePiece model."""
    config = edits.json(TOKENIZER_CONFIG)
    if every and not config.has("added_tokens_decoder"):
        config.set({}, "added_tokens_decoder")
    listed = config.get("added_tokens_decoder") or {}
    for token, added in sorted(tokens.added.items(), key=lambda item: tokens.ids[item[0]]):
        row = str(tokens.ids[token])
        special = added.special or token in stops
        if row in listed:
            if listed[row].get("special", False) != special:
                config.set({**listed[row], "special": special}, "added_tokens_decoder", row)
        elif every:
            config.set({**added.as_json(), "special": special}, "added_tokens_decoder", row)
    if tokens.source == TOKENIZER_JSON:
        document = edits.json(TOKENIZER_JSON)
        for place, entry in enumerate(document.get("added_tokens") or []):
            if entry["content"] in stops and not entry.get("special", False):
                document.replace_item(place, {**entry, "special": True}, "added_tokens")


def rows_match(model: SideFiles, rows: int, tokens: TokenTable) -> str | None:
    """Why a converter would refuse the number of rows, None where it would not."""
    config = read_json_object(model, "config.json")
    text = config.get("text_config")
    size = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    if size != rows:
        return f"config.json says vocab_size {size} and the embedding has {rows} rows"
    if tokens.size > rows:
        return f"the tokenizer has ids up to {tokens.size - 1} and the embedding {rows} rows"
    return None
