# SPDX-License-Identifier: Apache-2.0
"""What starting costs: which modules are loaded by `import chatvector` and by the command line's first words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "numpy",
    "ml_dtypes",
    "pydantic",
    "yaml",
    "jinja2",
    "tokenizers",
    "sentencepiece",
    "huggingface_hub",
    "httpx",
    "torch",
    "transformers",
    "safetensors",
}


def loaded_by(statement: str, *arguments: str) -> set[str]:
    """Top-level modules that are loaded after `statement` ran in a new interpreter."""
    code = (
        "import sys, json, atexit\n"
        "atexit.register(lambda: print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})),"
        " file=sys.stderr))\n" + statement
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_package_loads_the_standard_library_only() -> None:
    own = {"chatvector"}
    before = loaded_by("pass")
    assert loaded_by("import chatvector") - before - own <= set(sys.stdlib_module_names)


def test_the_command_line_loads_nothing_heavy() -> None:
    assert not loaded_by("import chatvector.cli.main") & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded_by("from chatvector.cli.main import main; main()", *arguments) & HEAVY


@pytest.mark.parametrize("verb", ["apply", "extract", "plan", "run", "demo"])
def test_help_of_a_verb_loads_nothing_of_ours_that_is_heavy(verb: str) -> None:
    # Typer looks at parameters through pydantic where that is installed.
    assert not loaded_by("from chatvector.cli.main import main; main()", verb, "--help") & (HEAVY - {"pydantic"})


def test_the_public_names_are_there_and_no_others() -> None:
    import chatvector

    for name in chatvector.__all__:
        assert getattr(chatvector, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        chatvector.nothing  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    import chatvector

    assert (Path(chatvector.__file__).parent / "py.typed").is_file()
