# SPDX-License-Identifier: Apache-2.0
"""Ways to spoil a good trio on disk, and to run library and command line on it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from builders import Weights
from chatvector.checkpoint.dtypes import DTYPES
from chatvector.checkpoint.header import build_header
from chatvector.cli.main import main
from chatvector.errors import ChatVectorError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

Spoil = Callable[[Path], None]
"""Takes the directory that holds base, chat and target."""


@dataclass(frozen=True)
class Fault:
    """What is done to the trio, and what a user must then be told."""

    spoil: Spoil
    error: type[ChatVectorError]
    message: str
    """A pattern for the one line."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of the recipe."""
    flags: tuple[str, ...] = ()
    """The same as flags."""
    vector: dict[str, Any] = field(default_factory=dict)
    """Keys of the recipe's only vector."""


def nothing(top: Path) -> None:
    """Leave the trio as it is."""
    assert top.is_dir()


def edit_json(role: str, name: str, **changes: Any) -> Spoil:
    """Set keys of a JSON file; None removes a key."""

    def spoil(top: Path) -> None:
        path = top / role / name
        document = json.loads(path.read_text("utf-8"))
        for key, value in changes.items():
            if value is None:
                document.pop(key, None)
            else:
                document[key] = value
        path.write_text(json.dumps(document))

    return spoil


def edit_weights(role: str, change: Callable[[Weights], None]) -> Spoil:
    """Change the tensors of a model of one file."""

    def spoil(top: Path) -> None:
        path = top / role / SINGLE
        weights = load_file(path)
        change(weights)
        save_file(weights, path, {"format": "pt"})

    return spoil


def put(role: str, name: str, data: bytes | str) -> Spoil:
    """Write a file."""

    def spoil(top: Path) -> None:
        (top / role / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    return spoil


def remove(role: str, *names: str) -> Spoil:
    """Delete files."""

    def spoil(top: Path) -> None:
        for name in names:
            (top / role / name).unlink()

    return spoil


def rename(role: str, old: str, new: str) -> Spoil:
    """Rename a file."""

    def spoil(top: Path) -> None:
        (top / role / old).rename(top / role / new)

    return spoil


def cut(role: str, name: str, keep: int | float) -> Spoil:
    """Keep so many bytes of a file, or this share of it."""

    def spoil(top: Path) -> None:
        data = (top / role / name).read_bytes()
        (top / role / name).write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])

    return spoil


def both(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(top: Path) -> None:
        for each in spoils:
            each(top)

    return spoil


def set_value(name: str, value: float, *places: int) -> Callable[[Weights], None]:
    """Put `value` at some flat places of a tensor."""

    def change(weights: Weights) -> None:
        weights[name].reshape(-1)[list(places)] = value

    return change


def drop(name: str) -> Callable[[Weights], None]:
    """Take a tensor out."""

    def change(weights: Weights) -> None:
        del weights[name]

    return change


def prefix(text: str) -> Callable[[Weights], None]:
    """Rename all tensors."""

    def change(weights: Weights) -> None:
        for name in list(weights):
            weights[text + name] = weights.pop(name)

    return change


def raw_tensor(role: str, name: str, code: str, shape: tuple[int, ...]) -> Spoil:
    """Add a tensor of any dtype of the format, zeros, in a second file with an index."""

    def spoil(top: Path) -> None:
        path = top / role
        weights = load_file(path / SINGLE)
        weights.pop(name, None)
        save_file(weights, path / "model-00001-of-00002.safetensors", {"format": "pt"})
        (path / SINGLE).unlink()
        start, entries = build_header([(name, DTYPES[code], shape)], {"format": "pt"})
        (path / "model-00002-of-00002.safetensors").write_bytes(start + bytes(entries[0].nbytes))
        places = dict.fromkeys(weights, "model-00001-of-00002.safetensors") | {name: "model-00002-of-00002.safetensors"}
        (path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))

    return spoil


def tree(path: Path) -> dict[str, bytes]:
    """Every file under `path`, and every directory (as no bytes)."""
    return {
        entry.relative_to(path).as_posix(): entry.read_bytes() if entry.is_file() else b"" for entry in path.rglob("*")
    }


def command_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the program in this process: exit code, stdout, stderr. Signal handlers and argv are put back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = sys.argv
    sys.argv = ["chatvector", *arguments]
    capsys.readouterr()
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    out, err = capsys.readouterr()
    return code, out, err


def ones(*shape: int) -> np.ndarray:
    """An integer tensor."""
    return np.ones(shape, np.int32)
