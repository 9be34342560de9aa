# SPDX-License-Identifier: Apache-2.0
"""Which token string owns which row: the tables of tokenizer.json, SentencePiece models and vocab.json.

Read with the JSON of the standard library, not through a tokenizer object: only names, ids and flags are
needed, and a file of 128 k tokens (20 MB) took 0.14 s of processor time where parsing it whole took 0.30 s.

Rules where files disagree, in the order of the sources (the tokenizer's own file, `added_tokens.json`,
`tokenizer_config.json:added_tokens_decoder`):

* **one string, two ids**: the first source wins. In tokenizer.json the model's vocabulary wins over
  `added_tokens`, as it does in the tokenizers library.
* **two strings, one id**. Within one vocabulary both strings name the row. An added token of tokenizer.json on
  the row of another token is damage: the tokenizers library would move it. A string of a later source on a taken
  row: beside a SentencePiece model or vocab.json both name the row (configurations rename placeholder pieces in
  this way, and loaders follow them); beside tokenizer.json, which loaders believe, the later string is left out
  and listed in `TokenTable.conflicts`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatvector.errors import DamagedFile, MissingInput, UnsupportedFormat, brief, first_five
from chatvector.vocabulary.sentencepiece_model import read_pieces
from chatvector.vocabulary.side_files import SideFiles, parse_json, read_json_object, read_text

TOKENIZER_JSON = "tokenizer.json"
SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
VOCAB_JSON = "vocab.json"
ADDED_TOKENS = "added_tokens.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

# Files that hold a vocabulary in a form this room does not read, and what people call it.
UNREAD_FORMATS = {
    "tekken.json": "Tekken",
    "tiktoken.model": "tiktoken",
    "qwen.tiktoken": "tiktoken",
    "vocab.txt": "plain word list",
}

# Slow tokenizers whose ids are not the ids of their SentencePiece model (an offset, or words added in code).
SHIFTED_CLASSES = {
    "XGLMTokenizer",
    "XLMRobertaTokenizer",
    "CamembertTokenizer",
    "BarthezTokenizer",
    "MBartTokenizer",
    "MBart50Tokenizer",
    "NllbTokenizer",
    "PegasusTokenizer",
    "XLMProphetNetTokenizer",
    "DebertaV2Tokenizer",
}


# Where the merges begin, outside of any string: a quote inside a JSON string would be escaped.
_MERGES = re.compile(r',\s*"merges"\s*:\s*\[')
_END = re.compile(r"\]\s*\}\s*\}\s*$")


@dataclass(frozen=True)
class AddedToken:
    """A token that is cut out of text before the model's own splitting, with the flags of the tokenizers library."""

    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    single_word: bool = False

    def as_json(self) -> dict[str, Any]:
        """The spelling of `added_tokens_decoder` and, with an id before it, of tokenizer.json."""
        return {
            "content": self.content,
            "lstrip": self.lstrip,
            "normalized": self.normalized,
            "rstrip": self.rstrip,
            "single_word": self.single_word,
            "special": self.special,
        }


@dataclass(frozen=True)
class TokenTable:
    """Token string → row, and which tokens are added ones.

    Byte-fallback and space spellings (`<0x0A>`, `▁the`, `Ġthe`) are strings like any other and are never
    normalised: two tokenizers that spell a space differently share no such token here, because nothing shows
    that their rows mean the same.
    """

    ids: dict[str, int]
    """Every token string and its row; V ≥ len(ids) rows are needed when ids have gaps."""
    added: Mapping[str, AddedToken]
    """Added tokens by their text; a subset of `ids`."""
    source: str
    """The file that the vocabulary was read from."""
    size: int
    """Highest id + 1: how many rows the embedding must have."""
    conflicts: tuple[tuple[str, int], ...] = field(default=())
    """(string, id) of configuration entries left out because tokenizer.json gives that id to another string."""

    def names(self) -> dict[int, str]:
        """Row → token string. Where a row has several names, an added token's wins, then the first."""
        names = {row: token for token, row in reversed(self.ids.items())}
        names.update({self.ids[token]: token for token in self.added})
        return names


def read_tokens(model: SideFiles) -> TokenTable:
    """Read a model's token table.

    Looks for tokenizer.json (BPE, Unigram, WordPiece, WordLevel), then a SentencePiece model, then vocab.json;
    adds `added_tokens.json` and `added_tokens_decoder`.

    Raises `MissingInput` without any of them, `DamagedFile` for broken ones, `UnsupportedFormat` for
    vocabularies in other formats (tiktoken, Tekken), named.
    """
    config = read_json_object(model, TOKENIZER_CONFIG)
    source = _source(model)
    where = f"{model.name}/{source}"
    if source == TOKENIZER_JSON:
        ids, added = _read_tokenizer_json(_parse_tokenizer(read_text(model, source), where), where)
    elif source == VOCAB_JSON:
        vocabulary = parse_json(read_text(model, source), where)
        ids, added = _ids_of_mapping(vocabulary, where), {}
    else:
        ids, added = _read_sentencepiece(model, source, config)
    conflicts: list[tuple[str, int]] = []
    names = {row: token for token, row in ids.items()}
    for token, row in _configured_tokens(model, config):
        if token.content in ids:
            added.setdefault(token.content, token)
        elif row in names and source == TOKENIZER_JSON:
            conflicts.append((token.content, row))
        else:
            ids[token.content] = row
            names.setdefault(row, token.content)
            added[token.content] = token
    if not ids:
        raise DamagedFile(f"{where}: the vocabulary is empty; fetch the file again")
    return TokenTable(ids=ids, added=added, source=source, size=max(ids.values()) + 1, conflicts=tuple(conflicts))


class TokenTables:
    """Tokenizers parsed one at a time, identical ones once."""

    def __init__(self) -> None:
        self._known: dict[str, TokenTable] = {}

    def read(self, model: SideFiles) -> TokenTable:
        """The table of `model`. Raises what `read_tokens` raises."""
        digest = tokenizer_digest(model)
        if digest not in self._known:
            self._known[digest] = read_tokens(model)
        return self._known[digest]


def tokenizer_digest(model: SideFiles) -> str:
    """SHA-256 (hex) over what `read_tokens` reads: the same digest means the same table.

    Of tokenizer_config.json only the token entries count: chat and base models differ there by the template
    alone, and their tables are the same.
    """
    source = _source(model)
    config = read_json_object(model, TOKENIZER_CONFIG)
    used = {key: config.get(key) for key in ("added_tokens_decoder", "tokenizer_class")}
    parts = [source.encode(), model.read_file(source), json.dumps(used, sort_keys=True).encode()]
    if ADDED_TOKENS in model.files:
        parts.append(model.read_file(ADDED_TOKENS))
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _source(model: SideFiles) -> str:
    """The file the vocabulary is in. Raises `MissingInput` or `UnsupportedFormat`."""
    for name in (TOKENIZER_JSON, *SENTENCEPIECE, VOCAB_JSON):
        if name in model.files:
            return name
    for name, kind in UNREAD_FORMATS.items():
        if name in model.files:
            raise UnsupportedFormat(
                f"{model.name}/{name}: a {kind} vocabulary cannot be read; save the tokenizer as tokenizer.json "
                "(AutoTokenizer.from_pretrained(...).save_pretrained(...)) and put the file into the model"
            )
    raise MissingInput(
        f"{model.name}: no tokenizer found (looked for {TOKENIZER_JSON}, {', '.join(SENTENCEPIECE)}, {VOCAB_JSON}); "
        "tokens are matched by name, so every parent needs its tokenizer"
    )


def _parse_tokenizer(text: str, where: str) -> Any:
    """tokenizer.json as far as it is needed here: the vocabulary, not the merges, which take longer than all else.

    The tokenizers library writes `added_tokens` first and `model.merges` last. A file in that order is parsed up to
    the merges, if it then ends as it should; any other is parsed whole.
    """
    merges = _MERGES.search(text)
    if merges is not None and _END.search(text, len(text) - 100 if len(text) > 100 else 0):
        try:
            document = json.loads(text[: merges.start()] + "}}")
        except json.JSONDecodeError:  # another order: what was cut off was needed
            document = None
        if isinstance(document, dict) and list(document)[-1:] == ["model"] and "added_tokens" in document:
            return document
    return parse_json(text, where)


def _read_tokenizer_json(document: Any, where: str) -> tuple[dict[str, int], dict[str, AddedToken]]:
    if not isinstance(document, dict) or not isinstance(document.get("model"), dict):
        raise DamagedFile(f'{where}: "model" is missing; this is no tokenizer of the tokenizers library')
    vocabulary = document["model"].get("vocab")
    if isinstance(vocabulary, list):  # Unigram: [token, log probability] pairs; the place is the id
        try:
            pieces = [piece for piece, _score in vocabulary]
        except (TypeError, ValueError) as problem:
            raise DamagedFile(f"{where}: model.vocab is no list of [token, score] pairs") from problem
        ids = _ids_of_list(pieces, where)
    else:
        ids = _ids_of_mapping(vocabulary, where)
    added: dict[str, AddedToken] = {}
    names = {row: token for token, row in ids.items()}
    entries = document.get("added_tokens") or []
    if not isinstance(entries, list):
        raise DamagedFile(f"{where}: added_tokens is no list")
    count, renumbered = len(vocabulary), []
    for entry in entries:
        token, row = _added_token(entry, where), entry.get("id")
        if not isinstance(row, int) or isinstance(row, bool) or row < 0:
            raise DamagedFile(f"{where}: added token {token.content!r} has id {row!r}, expected a row number")
        if token.content not in ids:
            if row in names:
                raise DamagedFile(
                    f"{where}: id {row} belongs to {names[row]!r} and to the added token {token.content!r}"
                )
            if row != count:
                renumbered.append(f"{token.content!r} has {row}, gets {count}")
            ids[token.content] = row
            names[row] = token.content
            count += 1
        added[token.content] = token
    if renumbered:
        # The tokenizers library (0.23) takes no notice of these ids: a row would be another token's.
        raise DamagedFile(
            f"{where}: {len(renumbered)} added tokens have other ids than loaders give them, which number them from "
            f"{len(vocabulary)}, the size of the vocabulary, on: {first_five(renumbered)}; find out with which ids the "
            "model was trained, and write those into model.vocab"
        )
    return ids, added


def _read_sentencepiece(
    model: SideFiles, source: str, config: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, AddedToken]]:
    kind = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    if kind in SHIFTED_CLASSES:
        raise UnsupportedFormat(
            f"{model.name}/{source}: {kind} numbers its tokens unlike its SentencePiece model; save the tokenizer "
            "as tokenizer.json (AutoTokenizer.from_pretrained(...).save_pretrained(...)) and put it into the model"
        )
    pieces = read_pieces(model.read_file(source), f"{model.name}/{source}")
    ids = _ids_of_list([piece.text for piece in pieces], f"{model.name}/{source}")
    added = {
        piece.text: AddedToken(piece.text, special=piece.kind != "user", normalized=False)
        for piece in pieces
        if piece.kind in ("control", "unknown", "user")
    }
    return ids, added


def _configured_tokens(model: SideFiles, config: Mapping[str, Any]) -> Iterator[tuple[AddedToken, int]]:
    """Tokens of added_tokens.json and added_tokens_decoder with their rows, ascending within each source."""
    where = f"{model.name}/{TOKENIZER_CONFIG}"
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise DamagedFile(f"{where}: added_tokens_decoder is no JSON object")
    try:
        rows = sorted((int(row), entry) for row, entry in decoder.items() if int(row) >= 0)
    except ValueError as problem:
        raise DamagedFile(f"{where}: a key of added_tokens_decoder is no row number ({problem})") from problem
    except TypeError:  # equal rows spelt differently ("7", "07"): dictionaries do not compare
        raise DamagedFile(f"{where}: a row appears twice in added_tokens_decoder") from None
    flags = {token.content: token for token in (_added_token(entry, where) for _row, entry in rows)}
    if ADDED_TOKENS in model.files:
        where = f"{model.name}/{ADDED_TOKENS}"
        for content, row in sorted(
            _ids_of_mapping(read_json_object(model, ADDED_TOKENS), where).items(), key=lambda item: item[1]
        ):
            yield flags.get(content, AddedToken(content, special=content in _named_special(config))), row
    for row, entry in rows:
        yield flags[entry["content"]], row


def _named_special(config: Mapping[str, Any]) -> set[str]:
    """Tokens that a configuration calls special by naming them (`eos_token`, `additional_special_tokens`, …)."""
    named: list[Any] = [value for key, value in config.items() if key.endswith("_token")]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        extra = config.get(key) or []
        named.extend(extra.values() if isinstance(extra, dict) else extra)
    texts = (value.get("content") if isinstance(value, dict) else value for value in named)
    return {text for text in texts if isinstance(text, str)}


def _added_token(entry: Any, where: str) -> AddedToken:
    content = entry.get("content") if isinstance(entry, dict) else None
    if not isinstance(content, str) or not content:
        raise DamagedFile(f"{where}: an added token has no text ({brief(json.dumps(entry, ensure_ascii=False))})")
    special = bool(entry.get("special", False))
    return AddedToken(
        content=content,
        special=special,
        lstrip=bool(entry.get("lstrip", False)),
        rstrip=bool(entry.get("rstrip", False)),
        normalized=bool(entry.get("normalized", not special)),
        single_word=bool(entry.get("single_word", False)),
    )


def _ids_of_mapping(vocabulary: Any, where: str) -> dict[str, int]:
    if not isinstance(vocabulary, dict):
        raise DamagedFile(f"{where}: the vocabulary is no JSON object of token and id")
    # `set(map(…))` and `min` loop in C: 128 k rows are checked without a Python loop.
    if set(map(type, vocabulary.values())) - {int} or (vocabulary and min(vocabulary.values()) < 0):
        wrong = [repr(token) for token, row in vocabulary.items() if type(row) is not int or row < 0]
        raise DamagedFile(f"{where}: {len(wrong)} tokens have no row number: {first_five(wrong)}")
    return dict(vocabulary)


def _ids_of_list(pieces: Sequence[Any], where: str) -> dict[str, int]:
    """Place in the list = row. A string that comes twice keeps its first row, as `piece_to_id` gives it."""
    if set(map(type, pieces)) - {str}:
        raise DamagedFile(f"{where}: a token is no string")
    ids: dict[str, int] = {}
    for row, piece in enumerate(pieces):
        ids.setdefault(piece, row)
    return ids
