# SPDX-License-Identifier: Apache-2.0
"""The Python of the documentation runs: pages, READMEs and the package's own docstring."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import chatvector
from docs.pages import ROOT, blocks

HUB_NAMES = {"org/llama-ko": "demo:target", "org/llama-chat": "demo:chat", "org/llama": "demo:base"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", ["docs/python.md", "docs/coming-from.md", "docs/backends.md", "README.md"])
def test_pages(page: str) -> None:
    found = blocks(page, "python")
    assert found
    names: dict[str, object] = {}
    for block in found:
        exec(compile("\n" * block.line + block.text, str(ROOT / page), "exec"), names)


def test_the_docstring_of_the_package() -> None:
    text = inspect.getdoc(chatvector) or ""
    code = "\n".join(line.removeprefix("    ") for line in text.splitlines() if line.startswith("    "))
    for name, member in HUB_NAMES.items():
        code = code.replace(f'"{name}"', f'"{member}"')
    code = code.replace('.save("OUT")', '.save("OUT-2")')  # the two examples are two programs
    exec(compile(code, "chatvector", "exec"), {})
    assert (Path("OUT") / "model.safetensors").is_file()
    assert (Path("OUT-2") / "model.safetensors").is_file()
