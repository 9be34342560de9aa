# SPDX-License-Identifier: Apache-2.0
"""The recipe: what the user asks for, as an object, as YAML, and as flags; strict, so that a typing slip is an error.

    target: org/llama-2-ko-7b
    vectors:
      - base: meta-llama/Llama-2-7b-hf
        chat: meta-llama/Llama-2-7b-chat-hf
        scale: 0.8
        scale_role: {norm: 0}
    output: llama-2-ko-7b-chat

A vector is either `base` and `chat`, or `vector`, the directory that `chatvector extract` wrote.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from chatvector.errors import MissingInput, RecipeError, UsageError
from chatvector.yaml_text import NotYaml, parse_yaml

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number (YAML reads yes, no, on and off as true and false)")
    return value


NO_TRUTH = pydantic.BeforeValidator(_no_truth)
"""Refuses booleans where a number belongs: pydantic alone reads true as 1."""
Factor = Annotated[float, Field(allow_inf_nan=False), NO_TRUTH]


class Strict(BaseModel):
    """Base of all parts: unknown keys are errors, and a checked object is frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Document(Strict):
    """A recipe that people write: YAML or plain values in, the same out."""

    KEYS: ClassVar[str]
    """The main keys, for the message about a document that is no mapping."""
    PARTS: ClassVar[tuple[type[Strict], ...]] = ()
    """Models of nested parts, whose keys are suggested too when a key is misspelt."""

    def to_yaml(self) -> str:
        """The recipe as YAML, defaults left out; `from_yaml` reads it back."""
        import yaml

        document = self.model_dump(mode="json", exclude_defaults=True)
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str, where: str = "recipe") -> Self:
        """Read YAML (or JSON, which is YAML). Raises RecipeError naming the bad key and, for a slip, the key meant."""
        try:
            document = parse_yaml(text, unique_keys=True)
        except NotYaml as error:
            raise RecipeError(f"{where}: no valid YAML ({error})") from None
        return cls.from_mapping(document, where)

    @classmethod
    def from_mapping(cls, document: object, where: str = "recipe") -> Self:
        """Check a parsed document. Raises RecipeError."""
        if not isinstance(document, Mapping):
            raise RecipeError(f"{where}: must be a mapping with the keys {cls.KEYS} …")
        try:
            return cls.model_validate(dict(document))
        except pydantic.ValidationError as error:
            raise RecipeError(f"{where}: {explain(error, cls, *cls.PARTS)}") from None

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a YAML recipe. Raises MissingInput or RecipeError."""
        return cls.from_yaml(read_recipe_text(path), str(path))


class VectorSpec(Strict):
    """One chat vector and how far to move along it."""

    base: str | None = None
    """The model that the chat model was tuned from."""
    chat: str | None = None
    """The chat model."""
    vector: str | None = None
    """Instead of base and chat: a vector on disk."""
    scale: Factor = 1.0
    """The factor on τ. 1.0 is the paper's value and no recommendation."""
    scale_role: dict[str, Factor] = Field(default_factory=dict)
    """Role to absolute factor, such as `norm: 0`."""
    scale_layers: dict[str, Factor] = Field(default_factory=dict)
    """0-based inclusive layer range to absolute factor, such as `0-3: 0.5` or `5: 0.5`."""
    scale_tensors: dict[str, Factor] = Field(default_factory=dict)
    """Glob over tensor names to absolute factor; wins over layers, which win over roles."""

    @pydantic.field_validator("scale_layers", mode="before")
    @classmethod
    def _layers_as_text(cls, value: Any) -> Any:
        """Turn integer keys into text: YAML reads the key of a single layer, `5: 0.5`, as a number."""
        if not isinstance(value, Mapping):
            return value
        return {str(key) if type(key) is int else key: scale for key, scale in value.items()}

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        pair = self.base is not None and self.chat is not None
        if pair == (self.vector is not None) or (self.vector and (self.base or self.chat)):
            raise ValueError("a vector needs either base and chat, or vector (a directory that extract wrote)")
        return self

    @property
    def name(self) -> str:
        """The vector's name in messages."""
        return self.vector if self.vector is not None else f"{self.chat} − {self.base}"


class Recipe(Document):
    """Everything that decides the bytes of the output, and a few fields that only say how it is made."""

    KEYS = "target, vectors, output"
    PARTS = (VectorSpec,)

    target: str
    """The continually pre-trained model that the vectors are added to."""
    vectors: tuple[VectorSpec, ...] = Field(min_length=1)
    """The chat vectors, in the order in which they are added."""
    output: str | None = None
    """The directory to write."""
    vocabulary: Literal["shared", "skip", "strict"] = "shared"
    """What happens to embedding and head: see docs/chat-format.md."""
    chat_format: str = "auto"
    """`auto`, `target`, `vector`, `vector:N`, or a template file."""
    system_prompt: str = "keep"
    """`keep`, `none`, or the text that replaces what the template injects by itself."""
    force_lineage: bool = False
    """Go on although the lineage is a reason to refuse: see docs/lineage.md."""
    stats: Literal["basic", "full"] = "basic"
    """`full` also measures norms and cosines of all parents on the way."""
    sha256: bool = False
    """Also record the SHA-256 of every output file (reads the output once more)."""
    memory: str | int = "128MiB"
    """The budget for all buffers, in bytes or with a unit."""
    threads: Annotated[Annotated[int, Field(ge=1)] | None, NO_TRUTH] = None
    """The most threads to use; by default one a core, or eight for parents that are read by range."""
    stream: bool = False
    """Read hub models by byte range instead of downloading them: only the output needs disk. See docs/remote.md."""

    @pydantic.field_validator("memory")
    @classmethod
    def _readable_memory(cls, value: str | int) -> str | int:
        parse_bytes(value)
        return value

    @property
    def memory_bytes(self) -> int:
        """The budget in bytes."""
        return parse_bytes(self.memory)

    def identity(self) -> dict[str, Any]:
        """The fields that decide the output's bytes, without the names of parents and output."""
        own = {"target", "output", "memory", "threads", "stats", "sha256", "force_lineage", "stream"}
        document = self.model_dump(mode="json", exclude=own)
        for vector in document["vectors"]:
            for name in ("base", "chat", "vector"):
                vector.pop(name)
            for name in ("scale_role", "scale_layers", "scale_tensors"):
                vector[name] = list(vector[name].items())  # the order decides which rule wins
        return document

    def with_settings(self, settings: list[str]) -> Recipe:
        """The recipe with `key=value` overrides, values read as YAML; `vectors.0.scale=0.5` sets a nested key."""
        document = self.model_dump(mode="json")
        assign_settings(document, settings, "vectors.0.scale=0.5")
        return Recipe.from_mapping(document, "--set")


def read_recipe_text(path: Path) -> str:
    """The text of a recipe's file. Raises MissingInput or RecipeError."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such recipe") from None
    except IsADirectoryError:
        raise RecipeError(f"{path}: is a directory; name a recipe, or the chat_vector.json in it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from None


def assign_settings(document: dict[str, Any], settings: list[str], example: str) -> None:
    """Put `key=value` overrides, values read as YAML, into a recipe's plain values. Raises UsageError."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {setting}: write key=value, such as --set {example}")
        try:
            parsed = parse_yaml(value, unique_keys=True)
        except NotYaml as error:
            raise UsageError(f"--set {setting}: no valid YAML ({error})") from None
        _assign(document, key.split("."), parsed, setting)


def parse_bytes(value: str | int) -> int:
    """Bytes from a number or from `128MiB`, `2 GB`. Raises UsageError."""
    # At most fifteen digits, which are petabytes: far more would become infinity.
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([A-Za-z]*)\s*", str(value), re.ASCII)
    if not match or match[2].lower() not in _UNITS:
        raise UsageError(f"{str(value)[:80]!r} is no size; write 128MiB, 1GiB or a number of bytes")
    size = int(float(match[1]) * _UNITS[match[2].lower()])
    if size <= 0:
        raise UsageError(f"{value!r} is no size; it must be above 0")
    return size


def _assign(document: Any, path: list[str], value: object, setting: str) -> None:
    *parents, last = path
    place = document
    try:
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    except (KeyError, IndexError, ValueError, TypeError):
        raise UsageError(f"--set {setting}: the recipe has no {'.'.join(path)}") from None


def explain(error: pydantic.ValidationError, *models: type[BaseModel]) -> str:
    """All complaints of pydantic in one line, with the key of `models` that was probably meant."""
    known = {key for model in models for key in model.model_fields}
    parts: list[str] = []
    complaints = error.errors(include_url=False, include_context=False)
    for complaint in complaints:
        if complaint["type"] == "too_short" and len(complaints) > 1:
            continue  # pydantic drops a bad item and then reports it missing as well
        place = ".".join(str(step) for step in complaint["loc"])
        if complaint["type"] == "extra_forbidden":
            close = difflib.get_close_matches(str(complaint["loc"][-1]), known, 1)
            parts.append(f"unknown key {place!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
        else:
            message = complaint["msg"].removeprefix("Value error, ")
            parts.append(f"{place}: {message}" if place else message)
    return "; ".join(parts)
