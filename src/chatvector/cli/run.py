# SPDX-License-Identifier: Apache-2.0
"""`chatvector run`: a recipe in YAML, or the manifest of an earlier output, which gives the same bytes again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from chatvector.checkpoint.names import require_path
from chatvector.cli import options
from chatvector.cli.apply import make, show_plan
from chatvector.cli.console import Console
from chatvector.cli.examples import examples
from chatvector.errors import HubError, MissingExtra, MissingInput, UsageError

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
        str,
        typer.Argument(
            help="recipe.yaml, ours or a mergekit one that means a chat vector; or chat_vector.json of an output:"
            " a file, org/name/chat_vector.json, s3://….",
            show_default=False,
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; repeatable.")
    ] = None,
    output: options.Output = None,
    restart: options.Restart = False,
    dry_run: options.DryRun = False,
    export: Annotated[
        Tool | None, typer.Option("--export", help="Print the recipe as this tool's, and do nothing else.")
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Make the model of a recipe.

    From a manifest, the parents must be what they were (their fingerprints are compared, but for those that --set
    replaces), and without --set the same bytes come out.
    From a mergekit recipe, what that tool would have done otherwise is said.
    """
    from chatvector.rerun import load_from_afar, load_recipe, model_of_manifest, read_recipe

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    if export is not None:
        from chatvector.mergekit_recipes import write_mergekit

        _require_alone({"--output": output is not None, "--restart": restart, "--dry-run": dry_run})
        ours = read_recipe(require_path(recipe, "download it first"), settings or [])
        text = write_mergekit(ours, _output_dtype(ours.target, console))
        console.result({"tool": export.value, "recipe": text}, text)
        return
    if (model := model_of_manifest(recipe)) is not None:
        loaded = load_from_afar(model, settings or [], output, console.say)
    else:
        path = require_path(recipe, "download it first; of URLs only s3://…/chat_vector.json and its like are read")
        loaded = load_recipe(path, settings or [], output)
    for line in loaded.notes:
        console.say(f"mergekit recipe: {line}")
    if dry_run:
        show_plan(loaded.recipe, console, loaded.check)
    else:
        make(loaded.recipe, console, restart=restart, check=loaded.check)


def _require_alone(given: dict[str, bool]) -> None:
    """Raise UsageError for what --export does not do."""
    beside = [flag for flag, is_given in given.items() if is_given]
    if beside:
        raise UsageError(
            f"--export prints a recipe and does nothing else; leave out {', '.join(beside)}, > FILE keeps the recipe"
        )


def _output_dtype(target: str, console: Console) -> str:
    """In which dtype mergekit has to write to do as we do, read from the target's headers; said where it is a guess."""
    from contextlib import ExitStack

    from chatvector.mergekit_recipes import USUAL_DTYPE, stored_dtypes
    from chatvector.preparation import open_model

    with ExitStack() as stack:
        try:
            dtypes = stored_dtypes(open_model(target, stack, console.say, stream=True))
        except (HubError, MissingExtra, MissingInput) as error:
            console.warn(
                f"the target's dtype is not known: out_dtype: {USUAL_DTYPE} is a guess, correct it where the target is"
                f" stored otherwise ({error})"
            )
            return USUAL_DTYPE
    if len(dtypes) > 1:
        console.warn(
            f"{target} is stored in {', '.join(dtypes)}: here each tensor would keep its own, mergekit writes all in"
            f" {dtypes[0]}"
        )
    return dtypes[0] if dtypes else USUAL_DTYPE
