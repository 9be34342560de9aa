# SPDX-License-Identifier: Apache-2.0
"""A healthy merge to plant faults in, and how a fault is planted and registered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import Shape, Weights, load_weights, trio_specs, write_trio, write_weights
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec

INDEX = "model.safetensors.index.json"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
LAYERS = 2
DOWN = "model.layers.0.mlp.down_proj.weight"


def merge(folder: Path, *, shards: int = 1, tied: bool = False) -> Path:
    """A merge by `apply`: Llama of two layers, chat template with four tokens of its own."""
    specs = trio_specs(Shape(vocabulary=64, layers=LAYERS, tied=tied))
    specs["target"].shards = shards
    trio = write_trio(folder, specs)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.8)
    return apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "merged"))).output


@dataclass(frozen=True)
class Body:
    """A model directory to spoil."""

    path: Path

    @contextmanager
    def json(self, name: str) -> Iterator[dict[str, Any]]:
        """A JSON file to change."""
        document = json.loads((self.path / name).read_text("utf-8"))
        yield document
        (self.path / name).write_text(json.dumps(document, indent=2, ensure_ascii=False), "utf-8")

    @contextmanager
    def weights(self) -> Iterator[Weights]:
        """All tensors to change; written into one file."""
        found = load_weights(self.path)
        yield found
        for file in self.path.glob("*.safetensors*"):
            file.unlink()
        write_weights(self.path, found)

    @contextmanager
    def template(self) -> Iterator[list[str]]:
        """The template in a list of one text."""
        with self.json("tokenizer_config.json") as document:
            text = [document["chat_template"]]
            yield text
            document["chat_template"] = text[0]

    def write(self, name: str, content: str | bytes = b"x") -> None:
        (self.path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def remove(self, *names: str) -> None:
        for name in names:
            (self.path / name).unlink()

    def link(self, name: str, target: str) -> None:
        """A link that leads nowhere in a file's place."""
        self.remove(name)
        (self.path / name).symlink_to(target)

    def ids(self) -> dict[str, int]:
        document = json.loads((self.path / "tokenizer.json").read_text("utf-8"))
        return document["model"]["vocab"] | {entry["content"]: entry["id"] for entry in document["added_tokens"]}

    def copy(self, where: Path) -> Body:
        shutil.copytree(self.path, where)
        return Body(where)


@dataclass(frozen=True)
class Planted:
    """A fault: how it is planted, in which healthy model, what must be found and nothing else."""

    name: str
    plant: Callable[[Body], None]
    codes: frozenset[str]
    model: str
    words: tuple[str, ...]


GRID: list[Planted] = []


def planted(*codes: str, model: str = "single", words: tuple[str, ...] = ()) -> Callable[[Callable[[Body], None]], Any]:
    """Register a fault; `words` must stand in what is said."""

    def register(plant: Callable[[Body], None]) -> Callable[[Body], None]:
        GRID.append(Planted(plant.__name__, plant, frozenset(codes), model, words))
        return plant

    return register
