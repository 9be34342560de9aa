# SPDX-License-Identifier: Apache-2.0
"""The tree: sizes of files, licence lines, first words, and nothing of the machine it was written on."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 500
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".jinja", ".cfg", ".sh", ""}
# Directories at the root of one machine's file system, as absolute paths begin. The gap keeps this line out.
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(?:ho[m]e|wo[r]k|tm[p]|ro[o]t|Us[e]rs|mn[t])/[\w.-]+")
MAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.(?!safetensors|json|git\b)[a-z]{2,}\b")


def tracked() -> list[Path]:
    """The files that git knows, or that a source archive holds."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    """Name and content of every tracked text file that people write (models' files are data)."""
    found: list[tuple[str, str]] = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in TEXT and "/family/" not in name and name != "LICENSE":
            found.append((name, path.read_text("utf-8")))
    return found


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    long = {name: count for name, text in texts() if name.endswith(".py") and (count := text.count("\n")) > MOST_LINES}
    assert not long


def test_every_module_names_its_licence_and_its_subject() -> None:
    wrong: list[str] = []
    for name, text in texts():
        if not name.endswith(".py") or not text.strip():
            continue
        licensed = text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
        described = name.startswith("tests/") or ast.get_docstring(ast.parse(text))
        if not licensed or not described:
            wrong.append(name)
    assert not wrong


def test_no_file_names_a_machine_or_an_address() -> None:
    found = [
        f"{name}:{number}: {match.group()}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        for match in (*MACHINE_PATH.finditer(line), *MAIL.finditer(line))
    ]
    assert not found


def test_nothing_is_tracked_that_a_run_makes() -> None:
    made = re.compile(r"(^|/)(__pycache__|\.venv|build|dist|\.hypothesis|\.pytest_cache|\.ruff_cache)/|\.partial(/|$)")
    assert not [path for path in tracked() if made.search(path.relative_to(ROOT).as_posix())]


def test_nothing_is_left_to_be_filled_in() -> None:
    gap = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X|TB[D])\b|^FIGURE[S]$", re.MULTILINE)
    assert not [f"{name}: {match.group()}" for name, text in texts() for match in gap.finditer(text)]
