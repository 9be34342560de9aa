# SPDX-License-Identifier: Apache-2.0
"""Imports run downwards only, floor by floor, and the core imports neither torch nor transformers."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "chatvector"

FLOORS = (
    ("errors", "messages", "sizes", "yaml_text"),
    ("recipe", "checkpoint"),
    ("vocabulary", "provenance", "training"),
    ("arithmetic",),
    ("checks", "runtime", "inspection"),
    ("pipeline", "evaluate", "handoff"),
    ("lab", "web"),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# Modules at the top of the package that share the pipeline's floor, each with its reason to be there.
PIPELINE = {
    "pipeline": "apply",
    "preparation": "from a recipe to a plan",
    "output_files": "side files and index of an output",
    "record": "what a run did, for the manifest",
    "rerun": "from a manifest to a recipe",
    "checking": "check",
    "verification": "verify",
    "restoration": "lost side files, made again from a manifest's parents",
    "origins": "names, cards and licences of the parents",
    "publishing": "push",
    "mergekit_recipes": "from another tool's recipe to ours, and back",
    "extraction": "extract",
    "live_merge": "from a recipe to a model in memory",
    "probe": "merges along the scale, and their losses",
    "algebra": "save runs the pipeline, see docs/decisions/0006-algebra-above-the-pipeline.md",
}

# Rooms that come with an extra.
HEAVY_ROOMS = ("runtime", "evaluate", "training", "lab", "web")
PLOTTING = ("inspection/picture.py",)  # comes with [plot], imported inside its functions
HEAVY = ("torch", "transformers", "safetensors", "accelerate", "trl", "peft", "datasets", "gradio", "matplotlib")

MODULES = sorted(SOURCE.rglob("*.py"))


def room_of(dotted: str) -> str | None:
    """`chatvector.cli.apply` -> `cli`; None for the package itself, whose names are loaded lazily."""
    parts = dotted.split(".")
    if parts[0] != "chatvector" or len(parts) == 1:
        return None
    return "pipeline" if parts[1] in PIPELINE else parts[1]


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in a file, in functions and for types too, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module or "", node.lineno


def on_import(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The modules that loading a file loads: not those in functions, nor those under TYPE_CHECKING."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imports(node)


def dotted_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def label(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_run_downwards(path: Path) -> None:
    own = room_of(dotted_name(path))
    if own is None:
        return
    assert own in LEVEL, f"{label(path)}: the room {own} has no floor; give it one above"
    upwards: list[str] = []
    for name, line in imports(ast.parse(path.read_text("utf-8"))):
        other = room_of(name)
        if other is None or other == own:
            continue
        if other not in LEVEL or LEVEL[other] >= LEVEL[own]:
            upwards.append(f"{label(path)}:{line} imports {name}")
    assert not upwards


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_heavy_libraries_stay_in_the_rooms_of_the_extras(path: Path) -> None:
    if room_of(dotted_name(path)) in HEAVY_ROOMS:
        return
    found = [
        f"{label(path)}:{line} imports {name}"
        for name, line in imports(ast.parse(path.read_text("utf-8")))
        if name.split(".")[0] in HEAVY and not (label(path) in PLOTTING and name.startswith("matplotlib"))
    ]
    assert not found


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name == "cli"], ids=label)
def test_the_command_line_loads_nothing_heavy(path: Path) -> None:
    light = {"typer", "chatvector"}
    loaded = {name.split(".")[0] for name, _ in on_import(ast.parse(path.read_text("utf-8")))}
    assert loaded <= light | set(sys.stdlib_module_names)


def test_the_floors_name_every_room_and_module() -> None:
    there = {path.stem for path in SOURCE.glob("*.py")} | {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    there -= {"__init__", "chatvector"}
    assert there <= LEVEL.keys() | PIPELINE.keys()


def test_contributing_lists_the_same_floors() -> None:
    text = (SOURCE.parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)
    assert {int(level): tuple(re.findall(r"`(\w+)`", rooms)) for level, rooms in rows} == dict(enumerate(FLOORS))
