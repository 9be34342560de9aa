# SPDX-License-Identifier: Apache-2.0
"""The generated parts of the documentation are what the code says today."""

from __future__ import annotations

import importlib.util
import inspect
import re
from types import ModuleType

import pytest
from typer.main import get_command

from chatvector import errors
from chatvector.cli.main import app
from docs.pages import ROOT, blocks, read


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page", ["cli.md", "recipe.md", "licences.md", "doctor.md", "evaluation.md", "training.md", "ladder.md"]
)
def test_generated_parts_are_fresh(generate: ModuleType, page: str) -> None:
    assert generate.render(page) == read(f"docs/{page}"), "run: make docs"


def verbs() -> list[str]:
    return sorted(command.name or "" for command in app.registered_commands)


def test_every_verb_has_a_section_and_its_help() -> None:
    text = read("docs/cli.md")
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == {"chatvector", *verbs()}
    assert all(f"$ chatvector {verb} --help\n" in text for verb in verbs())


@pytest.mark.parametrize("verb", verbs())
def test_every_help_has_examples(verb: str) -> None:
    (shown,) = [block.text for block in blocks("docs/cli.md", "text") if f"$ chatvector {verb} --help" in block.text]
    assert "Examples:" in shown
    assert f"chatvector {verb}" in shown.partition("Examples:")[2]


def option(verb: str, name: str) -> str:
    """The help of an option; empty where the verb has none of that name."""
    command = get_command(app).commands[verb]  # type: ignore[attr-defined]
    return next((parameter.help or "" for parameter in command.params if name in parameter.opts), "")


@pytest.mark.parametrize("verb", verbs())
def test_the_page_that_is_named_for_json_has_the_document(verb: str) -> None:
    named = re.search(r"docs/([\w-]+)\.md", option(verb, "--json"))
    if named and named[1] not in (verb, "evaluation", "lineage"):  # those pages are about the verb as a whole
        assert re.search(rf"`{verb} --json|With `--json`|\b{verb}\.json\b", read(f"docs/{named[1]}.md"))


def test_the_help_of_eval_names_every_suite() -> None:
    from chatvector.cli.tasks import known

    assert set(known().suites) <= set(re.findall(r"[\w-]+", option("eval", "--suite")))


def test_every_flag_of_the_command_line_is_a_key_of_a_recipe_or_of_the_run() -> None:
    from chatvector.recipe import Recipe, VectorSpec

    group = get_command(app)
    apply = group.commands["apply"]  # type: ignore[attr-defined]
    of_the_run = {"restart", "dry_run", "as_json", "quiet", "log_format", "help"}
    flags = {parameter.name for parameter in apply.params} - of_the_run
    assert flags == set(Recipe.model_fields) - {"vectors"} | set(VectorSpec.model_fields)


def test_the_table_of_exit_codes_is_that_of_the_errors() -> None:
    codes = {
        each.exit_code
        for each in vars(errors).values()
        if inspect.isclass(each) and issubclass(each, errors.ChatVectorError)
    }
    table = read("docs/cli.md").partition("## Exit codes")[2]
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+?) +\|", table, re.MULTILINE) for code in row.split(",")}
    assert codes | {0, 130, 143} == listed
