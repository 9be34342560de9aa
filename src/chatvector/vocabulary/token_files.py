# SPDX-License-Identifier: Apache-2.0
"""Adding template tokens to the target's tokenizer files, in the files that the target has.

| the target's tokenizer is         | a new token goes into                                                        |
|-----------------------------------|------------------------------------------------------------------------------|
| tokenizer.json                    | its `added_tokens`; `added_tokens_decoder` and added_tokens.json if present  |
| a SentencePiece model, vocab.json | `added_tokens_decoder` if present, else added_tokens.json, made if need be   |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chatvector.vocabulary.json_text import JsonText
from chatvector.vocabulary.rows import VocabularyPlan
from chatvector.vocabulary.side_files import token_text
from chatvector.vocabulary.template_files import SPECIAL_TOKENS_MAP
from chatvector.vocabulary.tokens import ADDED_TOKENS, TOKENIZER_CONFIG, TOKENIZER_JSON, AddedToken

# Flags that decide what a tokenizer does with the text around a token. `normalized` does not once a token is special.
FLAGS = ("special", "lstrip", "rstrip", "single_word")


class EditedFiles(Protocol):
    """Files of the output under edit."""

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        ...

    def json(self, name: str) -> JsonText:
        """A JSON file to edit."""
        ...


def add_tokens(edits: EditedFiles, plan: VocabularyPlan, tokens: Sequence[AddedToken]) -> None:
    """Make each of the chat model's template tokens an added token of the output, with the chat model's flags.

    A token that the target has keeps its id. It is changed only if it is no added token yet (its text would be cut
    into pieces), or if its flags would cut the template's text differently.
    """
    wanted = {row: token for token in tokens if (row := plan.id_of(token.content)) is not None}
    new = dict(sorted((row, token) for row, token in wanted.items() if token.content not in plan.target.added))
    other = {
        row: token
        for row, token in wanted.items()
        if token.content in plan.target.added and not _alike(token, plan.target.added[token.content])
    }
    if not new and not other:
        return
    config = edits.json(TOKENIZER_CONFIG)
    if plan.target.source == TOKENIZER_JSON:
        _edit_tokenizer_json(edits.json(TOKENIZER_JSON), new, other)
        rows = set(plan.target.ids.values())
        if len(rows) < plan.target.size or len(plan.target.ids) > len(rows):  # gaps, or two names for one row
            _pin(edits.json(TOKENIZER_JSON))
    in_config = config.has("added_tokens_decoder")
    if in_config:
        for row, token in {**new, **other}.items():
            config.set(token.as_json(), "added_tokens_decoder", str(row))
    if edits.has(ADDED_TOKENS) or (plan.target.source != TOKENIZER_JSON and not in_config):
        for row, token in new.items():
            edits.json(ADDED_TOKENS).set(row, token.content)
    _list_special(edits, new, make=plan.target.source != TOKENIZER_JSON and not in_config)


def _alike(one: AddedToken, other: AddedToken) -> bool:
    return all(getattr(one, flag) == getattr(other, flag) for flag in FLAGS)


def _edit_tokenizer_json(document: JsonText, new: Mapping[int, AddedToken], other: Mapping[int, AddedToken]) -> None:
    entries: list[dict[str, Any]] | None = document.get("added_tokens")
    if entries is None:
        document.set([], "added_tokens")
    changed = {token.content: token for token in other.values()}
    for place, entry in enumerate(entries or []):
        if entry["content"] in changed:
            token = changed[entry["content"]]
            document.replace_item(place, {**entry, **{flag: getattr(token, flag) for flag in FLAGS}}, "added_tokens")
    document.append([_entry(row, token) for row, token in new.items()], "added_tokens")


def _pin(document: JsonText) -> None:
    """Write added tokens into the vocabulary too, where the tokenizers library would number them otherwise."""
    vocabulary = document.get("model", "vocab")
    listed = {entry["content"]: entry["id"] for entry in document.get("added_tokens")}
    if isinstance(vocabulary, dict) and _numbered(vocabulary, list(listed)) != listed:
        for content, row in listed.items():
            if content not in vocabulary:
                document.set(row, "model", "vocab", content)


def _numbered(vocabulary: Mapping[str, int], added: Sequence[str]) -> dict[str, int]:
    """Ids that the tokenizers library gives to added tokens, whatever the file lists: the vocabulary's own, else
    the next behind the vocabulary's count and the added tokens before.

    Where ids have gaps these may be other ids than those listed.
    """
    ids: dict[str, int] = {}
    for content in added:
        highest = max(ids.values(), default=-1)
        ids[content] = vocabulary.get(content, max(highest + 1, len(vocabulary)))
    return ids


def _entry(row: int, token: AddedToken) -> dict[str, Any]:
    """An entry of `added_tokens`, keys in the order in which the tokenizers library writes them."""
    return {
        "id": row,
        "content": token.content,
        "single_word": token.single_word,
        "lstrip": token.lstrip,
        "rstrip": token.rstrip,
        "normalized": token.normalized,
        "special": token.special,
    }


def _list_special(edits: EditedFiles, new: Mapping[int, AddedToken], *, make: bool) -> None:
    """Name new special tokens in `additional_special_tokens`, where the target has such a list.

    `make` makes one: added_tokens.json has no flags, and loaders take a token for special only if it is listed.
    """
    special = [token.content for token in new.values() if token.special]
    if not special:
        return
    listed = False
    for file in (TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP):
        for key in ("additional_special_tokens", "extra_special_tokens"):
            if edits.has(file) and isinstance(edits.json(file).get(key), list):
                have = {token_text(entry) for entry in edits.json(file).get(key)}
                edits.json(file).append([text for text in special if text not in have], key)
                listed = True
    if make and not listed:
        edits.json(TOKENIZER_CONFIG).set(special, "additional_special_tokens")
