# SPDX-License-Identifier: Apache-2.0
"""What is imported is declared, what is declared is pinned, and the core declares nothing heavy."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# Imported, and brought by a declared package that cannot do without it.
COME_ALONG = {"tqdm": "huggingface-hub", "packaging": "pytest", "datasets": "lm-eval"}
COME_ALONG |= dict.fromkeys(("fastapi", "starlette", "uvicorn"), "gradio")
OWN = {"chatvector", "benchmarks", "docs", "experiments"}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def everything(extra: str) -> set[str]:
    """Distributions of the core and of an extra, extras that it names included."""
    found = names(PROJECT["dependencies"])
    waiting = [extra]
    while waiting:
        for text in EXTRAS[waiting.pop()]:
            requirement = Requirement(text)
            if canonicalize_name(requirement.name) == "chatvector":
                waiting += requirement.extras
            else:
                found.add(canonicalize_name(requirement.name))
    return found


def imported(folder: str) -> dict[str, str]:
    """Distributions that the modules of a folder import, with one file each."""
    local = {path.stem for path in (ROOT / folder).rglob("*.py")} | {path.name for path in (ROOT / "tests").iterdir()}
    owners = packages_distributions()
    found: dict[str, str] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            else:
                continue
            for module in (name.split(".")[0] for name in modules):
                if module in sys.stdlib_module_names or module in OWN or (folder != "src" and module in local):
                    continue
                owner = canonicalize_name(owners.get(module, [module])[0])
                found.setdefault(COME_ALONG.get(owner, owner), path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize("folder", ["src", "docs", "tests", "benchmarks"])
def test_what_is_imported_is_declared(folder: str) -> None:
    # `[harness]` is not in `[all]`: 65 packages for what few want.
    extras = ("all", "harness") if folder == "src" else ("dev",)
    declared = set().union(*map(everything, extras)) | names(EXTRAS["oracle"])
    assert {name: path for name, path in imported(folder).items() if name not in declared} == {}


def test_the_core_needs_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "safetensors", "accelerate", "scipy", "pandas", "datasets"}
    assert not names(PROJECT["dependencies"]) & heavy


def test_what_is_declared_is_pinned_to_a_version_that_fits() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {canonicalize_name(name): Version(version) for name, version in pinned.items()}
    wanted = [*PROJECT["dependencies"], *(text for extra in EXTRAS if extra != "oracle" for text in EXTRAS[extra])]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name != "chatvector":
            assert name in pins, f"constraints.txt lacks {name}"
            assert pins[name] in requirement.specifier, f"{name} {pins[name]} is not {requirement.specifier}"


def test_the_pins_are_plain() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    plain = re.compile(r"#.*|[\w.-]+==\d[\w.]*")
    assert [line for line in lines if not plain.fullmatch(line)] == []
