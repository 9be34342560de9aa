# SPDX-License-Identifier: Apache-2.0
"""What this room needs of a model: a name, its file names, and their bytes. And strict readers on top of that.

A checkpoint offers it, and so does a chat vector on disk for its chat model.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chatvector.errors import DamagedFile, MissingInput

# Where configurations of models with images or sound keep the language model's keys.
TEXT_SECTIONS = ("text_config", "language_config", "llm_config")
# Keys that count the rows of the embedding, and of the per-layer embeddings (Gemma 3n, Gemma 4).
VOCABULARY_SIZE, PER_LAYER_SIZE = "vocab_size", "vocab_size_per_layer_input"
# Of the causal models of transformers 5.23, those whose embedding takes no padding_idx: any pad loads.
WITHOUT_PADDING_ROW = frozenset({
    "bloom", "blt", "codegen", "cpmant", "ctrl", "falcon", "falcon_mamba", "gpt-sw3", "gpt2", "gpt_bigcode",
    "gpt_neox", "gpt_neox_japanese", "gptj", "mamba", "moshi", "mpt", "nemotron_h", "openai-gpt", "rwkv", "xlnet",
    "xlstm",
})  # fmt: skip


class SideFiles(Protocol):
    """The side files of a model (everything but weights), read on demand."""

    @property
    def name(self) -> str:
        """The model as the user wrote it, for messages."""
        ...

    @property
    def files(self) -> Collection[str]:
        """Relative POSIX names, such as `tokenizer.json` or `additional_chat_templates/tool_use.jinja`."""
        ...

    def read_file(self, name: str) -> bytes:
        """Bytes of one of `files`. Raises `MissingInput`."""
        ...


@dataclass(frozen=True)
class Folder:
    """The side files of a directory as they lie there; no choice is made between them."""

    path: Path

    @property
    def name(self) -> str:
        """The directory as it was given."""
        return str(self.path)

    @property
    def files(self) -> Collection[str]:
        """Files at the top, and those one level below."""
        found = [*self.path.glob("*"), *self.path.glob("*/*")]
        return {entry.relative_to(self.path).as_posix() for entry in found if entry.is_file()}

    def read_file(self, name: str) -> bytes:
        """Bytes of a file. Raises `MissingInput`."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError as problem:
            raise MissingInput(f"{self.path}: {name} is missing") from problem


def read_text(model: SideFiles, name: str) -> str:
    """Text of a UTF-8 file, line ends untouched. Raises `DamagedFile` when it is no UTF-8."""
    try:
        return model.read_file(name).decode("utf-8")
    except UnicodeDecodeError as problem:
        raise DamagedFile(f"{model.name}/{name}: byte {problem.start} is no UTF-8; fetch the file again") from problem


def parse_json(text: str, where: str) -> Any:
    """Parse JSON; `where` names the file in the message. Raises `DamagedFile`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise DamagedFile(
            f"{where}: line {problem.lineno}, column {problem.colno} is no JSON ({problem.msg}); fetch the file again"
        ) from problem
    except (RecursionError, ValueError) as problem:  # nested too deeply, or a number of thousands of digits
        raise DamagedFile(f"{where}: is no JSON that can be read ({problem}); fetch the file again") from problem


def read_json_object(model: SideFiles, name: str) -> dict[str, Any]:
    """The JSON object in a file, `{}` when the model has no such file. Raises `DamagedFile`."""
    if name not in model.files:
        return {}
    value = parse_json(read_text(model, name), f"{model.name}/{name}")
    if not isinstance(value, dict):
        raise DamagedFile(f"{model.name}/{name}: a JSON object is expected, found {type(value).__name__}")
    return value


def token_text(value: object) -> str | None:
    """The string of a token as configurations spell it: `"<s>"` or `{"content": "<s>", ...}`; else None."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) and value else None


def places(key: str) -> tuple[tuple[str, ...], ...]:
    """Where a key of the language model may stand in config.json, as paths: at the top, and in each section."""
    return ((key,), *((section, key) for section in TEXT_SECTIONS))


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's keys: those at the top, overlaid by `text_config` and its older spellings."""
    for section in TEXT_SECTIONS:
        if isinstance(config.get(section), Mapping):
            return {**config, **config[section]}
    return config


def padding_beyond(config: Mapping[str, Any], rows: int) -> int | None:
    """`pad_token_id` of config.json where it keeps a model of `rows` rows from loading, else None.

    It becomes the embedding's `padding_idx`, whatever generation_config.json says: torch counts negative ones from the
    end, and refuses what lies beyond either way. Models with code of their own may do otherwise.
    """
    text = text_config(config)
    row = text.get("pad_token_id")
    if type(row) is not int or -rows <= row < rows or config.get("auto_map"):
        return None
    return None if str(text.get("model_type")) in WITHOUT_PADDING_ROW else row
