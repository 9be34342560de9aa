# SPDX-License-Identifier: Apache-2.0
"""The commands of the documentation are run, on the embedded trio where a page says TARGET, BASE and CHAT.

Commands with hub names are only read by the command line, as are those that need torch: the demo has tests of its own.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from docs.generate import help_of
from typer.testing import CliRunner

from chatvector.cli.main import app
from docs.pages import PAGES, ROOT, Block, blocks, commands, name_of

PLACES = {"TARGET": "demo:target", "BASE": "demo:base", "CHAT": "demo:chat", "MODEL": "demo:chat"}
# What a reader has made before: extracted, or merged, when a command asks for it and no earlier one has written it.
VECTORS = {"OTHER", "VEC", "VECTOR", "demo-vector"}
MERGES = {"OUT", "ko-chat", "my-merge"}
HUB_NAME = re.compile(r"(?P<owner>[\w-]+)/[\w.-]+(@\S+)?")
# First parts of the paths that the pages use, which no hub name begins with.
FOLDERS = {"out", "examples", "OUT", "ko-chat"}
# Their own tests run these.
NEED_TORCH = {"demo", "chat", "ui", "serve", "eval", "compare", "report", "sweep", "train", "ladder", "--probe"}

SHELL = [block for path in PAGES for block in blocks(name_of(path), "sh")]


def make_what_is_read(words: list[str]) -> None:
    """Make the vectors and merges that a command takes for granted."""
    before = ["", *words]
    for flag, word in zip(before, words, strict=False):
        name = re.split(r"[=/]", word)[0]
        if flag in ("-o", "--output", "--keep") or Path(name).exists():
            continue
        if name in VECTORS:
            invoke(["chatvector", "extract", "demo:base", "demo:chat", "-o", name, "--quiet"])
        elif name in MERGES:
            trio = ["demo:target", "--base", "demo:base", "--chat", "demo:chat"]
            invoke(["chatvector", "apply", *trio, "-o", name, "--quiet"])


def meant(word: str) -> str:
    return PLACES.get(word, word)


def has_hub_name(words: list[str]) -> bool:
    found = (HUB_NAME.fullmatch(word) for word in words[2:])
    return any(match is not None and match["owner"] not in FOLDERS for match in found)


def invoke(words: list[str]) -> None:
    """Run a command in this process. Fails with its output."""
    result = CliRunner().invoke(app, words[1:], prog_name="chatvector")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(" ".join(words)) from result.exception
    assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}"


def run_all(listed: list[list[str]]) -> None:
    """Run commands one after another; a name that several of them write is free again for the next."""
    for words in listed:
        if not NEED_TORCH.isdisjoint(words) or has_hub_name(words):
            invoke([*words, "--help"])
            continue
        make_what_is_read(words)
        words = [meant(word) for word in words]
        if "-o" in words and words[1] in ("apply", "extract", "run"):
            shutil.rmtree(words[words.index("-o") + 1], ignore_errors=True)
        invoke(words)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with the files that a reader would have."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "recipe.yaml").write_text(blocks("docs/recipe.md", "yaml")[0].text, "utf-8")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_of_the_pages(block: Block) -> None:
    run_all([words for words in commands(block.text) if words[0] == "chatvector"])


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_other_commands_are_known(block: Block) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    extras = re.search(r"\[project.optional-dependencies\]\n(.*?)\n\[", read_project(), re.DOTALL)
    assert extras is not None
    for words in commands(block.text):
        match words:
            case ["chatvector", *_]:
                pass
            case ["make", *names]:
                assert set(names) <= targets
            case ["pip", "install", place]:
                extra = re.fullmatch(r"\.(?:\[(\w+)\])?", place)
                assert extra is not None
                assert extra[1] is None or re.search(rf"^{extra[1]} = ", extras[1], re.MULTILINE)
            case _:
                pytest.fail(f"{block}: nobody checks {' '.join(words)}")


def read_project() -> str:
    return (ROOT / "pyproject.toml").read_text("utf-8")


def examples_under(verb: str) -> list[list[str]]:
    """The commands under `--help` as they stand there, on a screen of 80 columns: what a reader would copy."""
    shown = help_of(verb).partition("Examples:")[2].replace("\\\n", " ")
    lines = (line.strip() for line in shown.splitlines())
    return [words for line in lines if line.startswith("chatvector ") for words in commands(line)]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("verb", sorted(command.name or "" for command in app.registered_commands))
def test_examples_under_help(verb: str) -> None:
    listed = examples_under(verb)
    assert listed
    run_all(listed)


def test_a_command_with_a_hub_name_is_read_to_its_end() -> None:
    invoke(["chatvector", "apply", "org/a", "--base", "org/b", "--chat", "org/c", "--help"])
    with pytest.raises(AssertionError, match="No such option: --bass"):
        invoke(["chatvector", "apply", "org/a", "--bass", "org/b", "--help"])
