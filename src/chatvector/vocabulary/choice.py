# SPDX-License-Identifier: Apache-2.0
"""Whose chat format the output gets: the target's, a vector's, or a template file's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatvector.checkpoint.names import closed_folder, no_entry
from chatvector.errors import DamagedFile, MissingInput, UsageError
from chatvector.vocabulary.chat_format import ChatFormat, format_of
from chatvector.vocabulary.side_files import Folder, SideFiles, read_text
from chatvector.vocabulary.template_files import (
    TEMPLATE_FILE,
    TemplateFiles,
    configured_templates,
    read_template_files,
)
from chatvector.vocabulary.tokens import TokenTable

ASK_FILE = "--chat-format FILE (a .jinja template)"


@dataclass(frozen=True)
class Choice:
    """The decision. Rows are transplanted, and files changed, only when the format moves."""

    format: ChatFormat | None
    """The output's chat format; None when it stays without one (only if `target` was asked for)."""
    moves: bool
    """Whether the format comes from a vector or a file, not from the target itself."""
    vector: int | None
    """0-based index of the vector whose chat model gives tokens, stop ids and rows; None when nothing moves."""
    source: str
    """For people and the manifest: `target`, `vector:1` (1-based) or the template file's name."""


def choose_chat_format(
    choice: str,
    target: ChatFormat | None,
    vectors: Sequence[ChatFormat | None],
    *,
    models: Sequence[tuple[SideFiles, TokenTable]] = (),
) -> Choice:
    """Decide between `auto`, `target`, `vector`, `vector:N` (1-based) and the path of a template file.

    `models` are the vectors' chat models in the same order, needed for a path only: the template then works with
    the special tokens, stop ids and rows of the first of them that knows every token in it.

    Raises `UsageError` when only the user can choose: target and vector have different formats, vectors differ
    among themselves, or a chat model has no template. Raises `InputError` and `MissingInput` for a bad file.
    """
    if choice == "auto":
        return _automatic(target, vectors)
    if choice == "target":
        return Choice(target, moves=False, vector=None, source="target")
    if choice == "vector":
        return _of_vector(_the_one_vector(vectors), vectors)
    if choice.startswith("vector:"):
        return _of_vector(_numbered(choice, len(vectors)), vectors)
    return _of_file(choice, models)


def same_format(one: ChatFormat, other: ChatFormat) -> bool:
    """Whether two models write the same prompts: equal templates, up to white space at their end."""
    return {name: text.rstrip() for name, text in one.templates.items()} == {
        name: text.rstrip() for name, text in other.templates.items()
    }


def _automatic(target: ChatFormat | None, vectors: Sequence[ChatFormat | None]) -> Choice:
    choice = _of_vector(_the_one_vector(vectors), vectors, target=target)
    if target is not None and choice.format is not None and not same_format(target, choice.format):
        raise UsageError(
            f"target ({target.source}) and chat model ({choice.format.source}) have different chat templates; "
            f"choose one: --chat-format target, --chat-format {choice.source}, or {ASK_FILE}"
        )
    return choice


def _the_one_vector(vectors: Sequence[ChatFormat | None]) -> int:
    """Index of the vector that gives the format when none is named: the first, if all that have one agree."""
    have = [index for index, found in enumerate(vectors) if found is not None]
    if not have:
        return 0
    first = vectors[have[0]]
    others = [index for index in have if first is not None and not same_format(first, vectors[index] or first)]
    if others:
        numbers = ", ".join(f"--chat-format vector:{index + 1}" for index in have)
        raise UsageError(
            f"the chat models of {len(have)} vectors have different chat templates; choose one: {numbers}, "
            f"--chat-format target, or {ASK_FILE}"
        )
    return have[0]


def _of_vector(index: int, vectors: Sequence[ChatFormat | None], *, target: ChatFormat | None = None) -> Choice:
    found = vectors[index] if vectors else None
    if found is None:
        which = f"the chat model of vector {index + 1}" if len(vectors) > 1 else "the chat model"
        keep = "keep the target's template" if target is not None else "leave the target's files as they are"
        raise UsageError(f"{which} has no chat template; give one by {ASK_FILE}, or {keep} by --chat-format target")
    source = "vector" if len(vectors) == 1 else f"vector:{index + 1}"
    return Choice(found, moves=True, vector=index, source=source)


def _numbered(choice: str, count: int) -> int:
    number = choice.removeprefix("vector:")
    if not number.isdecimal() or not 1 <= int(number) <= count:
        raise UsageError(f"--chat-format {choice}: vectors are numbered from 1 to {count}")
    return int(number) - 1


def _of_file(path: str, models: Sequence[tuple[SideFiles, TokenTable]]) -> Choice:
    if not models:
        raise UsageError(f"--chat-format {path}: a template file needs a vector whose tokens and rows it works with")
    place = Path(os.path.expanduser(path))
    files = _template_files(place, path)
    formats = [format_of(files, model, tokens) for model, tokens in models]
    index = min(range(len(models)), key=lambda number: len(formats[number].plain_markers))
    return Choice(formats[index], moves=True, vector=index, source=place.name)


def _template_files(place: Path, path: str) -> TemplateFiles:
    """Templates of a .jinja file, of a JSON file with `chat_template`, or of a model directory."""
    if closed := closed_folder(place):
        raise MissingInput(f"--chat-format {path}: {no_entry(closed)}")
    if place.is_dir():
        files = read_template_files(Folder(place))
        if not files.sources:
            raise MissingInput(f"--chat-format {path}: this directory has no chat template ({TEMPLATE_FILE})")
        return files
    if not place.is_file():
        raise UsageError(
            f"--chat-format {path}: no such file; choose auto, target, vector, vector:N (N from 1) or a template file"
        )
    folder = Folder(place.parent)
    if place.suffix == ".json":
        sources = configured_templates(folder, place.name)
        if "default" not in sources:
            raise DamagedFile(
                f'{place}: has no default "chat_template"; give a .jinja file, or a tokenizer_config.json'
            )
    else:
        sources = {"default": read_text(folder, place.name)}
    return TemplateFiles(sources, dict.fromkeys(sources, str(place)), uses_jinja_file=place.suffix == ".jinja")


def describe(choice: Choice) -> dict[str, object]:
    """The choice as plain data for the manifest."""
    found = choice.format
    if found is None:
        return {"source": choice.source, "moves": choice.moves, "template": None}
    return {
        "source": choice.source,
        "moves": choice.moves,
        "templates": sorted(found.templates),
        "special_tokens": dict(found.special_tokens),
        "template_tokens": list(found.template_tokens),
        "stop_tokens": list(found.stop_tokens),
        "injected_system_prompt": found.injected_system_prompt,
        "plain_markers": list(found.plain_markers),
    }
