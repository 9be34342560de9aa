# SPDX-License-Identifier: Apache-2.0
"""`chatvector run`: a recipe in YAML, or the manifest of an earlier output, which gives the same bytes again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chatvector.cli import options
from chatvector.cli.apply import make, show_plan
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

EPILOG = examples(
    "chatvector run recipe.yaml",
    "chatvector run recipe.yaml --set vectors.0.scale=0.5 -o half",
    "chatvector run ko-chat/chat_vector.json -o ko-chat-again",
    "chatvector run examples/demo.yaml --export mergekit",
)


class Tool(StrEnum):
    """Whose notation a recipe is exported to."""

    mergekit = "mergekit"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run", epilog=EPILOG)(run)


def run(
    recipe: Annotated[
        Path,
        typer.Argument(
            help="recipe.yaml, ours or a mergekit one that means a chat vector; or chat_vector.json of an output.",
            show_default=False,
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; repeatable.")
    ] = None,
    output: options.Output = None,
    restart: options.Restart = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")] = False,
    export: Annotated[
        Tool | None, typer.Option("--export", help="Print the recipe as this tool's, and do nothing else.")
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Make the model of a recipe.

    From a manifest, the parents must be what they were (their fingerprints are compared), and the same bytes come out.
    From a mergekit recipe, what that tool would have done otherwise is said.
    """
    from chatvector.rerun import load_recipe, read_recipe

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    if export is not None:
        from chatvector.mergekit_recipes import write_mergekit

        text = write_mergekit(read_recipe(recipe, settings or []))
        console.result({"tool": export.value, "recipe": text}, text)
        return
    loaded = load_recipe(recipe, settings or [], output)
    for line in loaded.notes:
        console.say(f"mergekit recipe: {line}")
    if dry_run:
        show_plan(loaded.recipe, console, loaded.check)
    else:
        make(loaded.recipe, console, restart=restart, check=loaded.check)
