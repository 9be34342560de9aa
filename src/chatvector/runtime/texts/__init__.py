# SPDX-License-Identifier: Apache-2.0
"""Texts for the go/no-go probe: the user's files, or the small ones that come with the package."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.errors import InputError, MissingInput, UsageError

_HERE = Path(__file__).parent
LANGUAGES = tuple(sorted(file.stem for file in _HERE.glob("*.toml")))
ROLES = ("system", "user", "assistant")
# Enough for standard errors of a few thousandths of a bit; more is read at the user's wish by giving less.
MOST_BYTES = 256 << 10


@dataclass(frozen=True)
class ProbeTexts:
    """What the losses are measured on.

    Attributes:
        documents: plain text in the target's language, one string a document.
        conversations: messages as chat templates take them; the assistant's count.
        source: for people: whose texts they are.
    """

    documents: tuple[str, ...]
    conversations: tuple[tuple[dict[str, str], ...], ...]
    source: str


def packaged(language: str) -> ProbeTexts:
    """The package's own texts in `language` (one of LANGUAGES). Raises UsageError for another one."""
    if language not in LANGUAGES:
        raise UsageError(
            f"{language}: no texts in this language come with the package (there are {', '.join(LANGUAGES)});"
            " give your own with --target-text FILE and --chat-text FILE.jsonl"
        )
    document = tomllib.loads((_HERE / f"{language}.toml").read_text("utf-8"))
    conversations = tuple(
        tuple(
            {"role": "assistant" if place % 2 else "user", "content": turn} for place, turn in enumerate(one["turns"])
        )
        for one in document["conversation"]
    )
    return ProbeTexts(
        tuple(text.strip() for text in document["documents"]), conversations, f"the package's {language} texts"
    )


def read_documents(path: Path) -> tuple[str, ...]:
    """Documents of a UTF-8 text file, parted by empty lines; the first MOST_BYTES of them.

    Raises MissingInput, InputError when it is no text or has no two documents: errors are taken over documents.
    """
    blocks = [block.strip() for block in _text(path).replace("\r\n", "\n").split("\n\n")]
    documents = _first([block for block in blocks if block], lambda block: len(block.encode()))
    if len(documents) < 2:
        raise InputError(f"{path}: {len(documents)} document(s); give at least 2, parted by empty lines")
    return tuple(documents)


def read_conversations(path: Path) -> tuple[tuple[dict[str, str], ...], ...]:
    """Conversations of a JSON Lines file, `{"messages": [{"role": …, "content": …}, …]}` a line; the first MOST_BYTES.

    Raises MissingInput, InputError with the line's number.
    """
    found = [
        _conversation(line, f"{path}, line {number}")
        for number, line in enumerate(_text(path).splitlines(), 1)
        if line.strip()
    ]
    found = _first(found, lambda messages: sum(len(message["content"].encode()) for message in messages))
    if len(found) < 2:
        raise InputError(f"{path}: {len(found)} conversation(s); give at least 2, one a line")
    return tuple(found)


def _conversation(line: str, where: str) -> tuple[dict[str, str], ...]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no valid JSON ({error})") from None
    messages: Any = document.get("messages") if isinstance(document, dict) else None
    if not isinstance(messages, list) or not messages:
        raise InputError(f'{where}: must be {{"messages": [{{"role": …, "content": …}}, …]}}')
    for message in messages:
        fits = isinstance(message, dict) and message.get("role") in ROLES and isinstance(message.get("content"), str)
        if not fits:
            raise InputError(f"{where}: each message needs a role ({', '.join(ROLES)}) and text as its content")
    if not any(message["role"] == "assistant" and message["content"].strip() for message in messages):
        raise InputError(f"{where}: has no reply of an assistant to measure")
    return tuple({"role": message["role"], "content": message["content"]} for message in messages)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise MissingInput(f"{path}: is not there") from None
    except (IsADirectoryError, PermissionError) as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no UTF-8 text (byte {error.start})") from None


def _first(items: Sequence[Any], size: Any) -> list[Any]:
    kept: list[Any] = []
    total = 0
    for item in items:
        total += size(item)
        if kept and total > MOST_BYTES:
            break
        kept.append(item)
    return kept
