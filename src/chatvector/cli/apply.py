# SPDX-License-Identifier: Apache-2.0
"""`chatvector apply`: three checkpoints in, one chat model out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.preparation import Job
    from chatvector.recipe import Recipe

EPILOG = examples(
    "chatvector apply demo:target --base demo:base --chat demo:chat -o ko-chat",
    "chatvector apply beomi/llama-2-ko-7b --base meta-llama/Llama-2-7b-hf"
    " --chat meta-llama/Llama-2-7b-chat-hf --scale 0.8 -o llama-2-ko-7b-chat",
    "chatvector apply TARGET --vector VEC=0.5 --vector OTHER=0.5 --chat-format vector:1 -o OUT",
    "chatvector apply TARGET --base BASE --chat CHAT --scale-role norm=0 --scale-layers 0-3=0.5 --dry-run",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("apply", epilog=EPILOG)(apply)


@options.takes_recipe
def apply(
    recipe: Recipe,
    *,
    restart: options.Restart = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Add a chat vector to a model: TARGET + SCALE · (CHAT − BASE), with the chat model's format.

    The output appears whole or not at all; after an interruption the same command continues.
    """
    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    if dry_run:
        show_plan(recipe, console)
    else:
        make(recipe, console, restart=restart)


def make(recipe: Recipe, console: Console, *, restart: bool, check: Callable[[Job], None] = lambda _job: None) -> None:
    """Run the recipe and print the result; `check` may refuse the job before anything is written."""
    from chatvector import pipeline
    from chatvector.arithmetic.execute import Progress
    from chatvector.cli.describe import result_text

    with console.progress("merging") as meter:

        def planned(job: Job) -> Progress:
            check(job)
            for line in job.warnings:
                console.warn(line)
            return meter.start(job.plan.bytes_written)

        result = pipeline.apply(recipe, restart=restart, progress=planned, say=console.say)
    console.result(result.manifest, result_text(result.manifest, str(recipe.output)))


def show_plan(recipe: Recipe, console: Console, check: Callable[[Job], None] = lambda _job: None) -> None:
    """Print the plan of the recipe; nothing is written."""
    from contextlib import ExitStack

    from chatvector.arithmetic.execute import choose_threads
    from chatvector.cli.describe import job_document, job_text
    from chatvector.origins import parents_of
    from chatvector.pipeline import check_places
    from chatvector.preparation import prepare, transfers
    from chatvector.provenance.licences import judge

    with ExitStack() as stack:
        job = prepare(recipe, stack, console.say, stream=True)
        check(job)
        check_places(job, console.say)
        far = any(recipe.stream or one.by_range_only for one in transfers(job))
        threads = choose_threads(job.plan, recipe.memory_bytes, recipe.threads, far=far)
        licences = judge(parents_of(job, console.say))
        for line in (*job.warnings, *(f"licences: {line}" for line in licences.conflicts)):
            console.warn(line)
        for line in licences.undetermined:
            console.say(f"licences: {line}")
        console.result(job_document(job, threads, licences), job_text(job, threads, licences))
