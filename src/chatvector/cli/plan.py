# SPDX-License-Identifier: Apache-2.0
"""`chatvector plan`: what `apply` would do, from headers, configurations and a small sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from chatvector.cli import options
from chatvector.cli.apply import show_plan
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.recipe import Recipe

EPILOG = examples(
    "chatvector plan demo:base demo:chat demo:target",
    "chatvector plan meta-llama/Llama-2-7b-hf meta-llama/Llama-2-7b-chat-hf beomi/llama-2-ko-7b",
    "chatvector plan TARGET --base BASE --chat CHAT --scale-role embedding=0 --scale-role norm=0 --json",
    note="Three models stand in the order of `check`; a target alone takes the flags of `apply`. Models on the hub are"
    " read by range: the plan says what a run would download, or read with --stream.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan", epilog=EPILOG)(plan)


@options.takes_recipe_or_trio
def plan(
    recipe: Recipe,
    *,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Say what `apply` would do and whether the parents fit: tensors, scales, rows, bytes, memory, lineage.

    Reads headers, configurations, tokenizers and a sample of at most 32 MiB a model; writes nothing.
    """
    show_plan(recipe, Console(quiet=quiet, log_format=log_format, as_json=as_json))
