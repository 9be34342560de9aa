# SPDX-License-Identifier: Apache-2.0
"""`chatvector ui`: the page on which one talks to a model before and after, and turns the knob."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from chatvector.cli import asking, options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatvector.cli.talking import Loading
    from chatvector.recipe import Recipe
    from chatvector.runtime.session import Speaker
    from chatvector.web.visitors import Models

EPILOG = examples(
    "chatvector ui",
    "chatvector ui TARGET --base BASE --chat CHAT --scale 0.75 --language ko",
    "chatvector ui TARGET --vector VEC --no-before --dtype bf16",
    "chatvector ui demo:chat --port 0",
    note="The address is printed; no browser is opened. Ctrl-C ends. docs/ui.md.",
)
DEMO_TARGET, DEMO_BASE, DEMO_CHAT = "demo:target", "demo:base", "demo:chat"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ui", epilog=EPILOG)(ui)


def ui(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] [MODEL2]",
            help="One to talk to, or two side by side; none: the embedded trio, merged. " + options.MODEL,
            show_default=False,
        ),
    ] = None,
    base: options.Base = None,
    chat: options.Chat = None,
    vector: asking.Vector = None,
    *,
    scale: Annotated[
        float | None,
        typer.Option(help="Where the slider begins: 1.0, the paper's; 0.75 for the family.", show_default=False),
    ] = None,
    vocabulary: options.Vocabulary = options.Policy.shared,
    chat_format: options.ChatFormat = "auto",
    force_lineage: options.ForceLineage = False,
    chat_format_from: asking.ChatFormatFrom = None,
    no_before: Annotated[
        bool,
        typer.Option("--no-before", help="Do not load the target as it is beside the merge: less memory."),
    ] = False,
    system: asking.System = None,
    temperature: asking.Temperature = 0.7,
    top_p: asking.TopP = 0.95,
    seed: asking.DrawSeed = 0,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Limit of a reply in tokens; by default 512, at most an eighth of the context.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language", "-l", help="Language of sample prompts and tasks: ko, zh-Hant, ja …", show_default=False
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1; 0 takes any that is free.")] = 7860,
    dtype: asking.Dtype = None,
    device: asking.Device = None,
    remote_code: asking.RemoteCode = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Open a page on this machine: talk to TARGET before and after the vector, move the scale, look, measure, write.

    Listens on 127.0.0.1 only and asks nothing of any other machine. The address goes to standard output.
    """
    from chatvector.errors import MissingExtra, UsageError
    from chatvector.evaluate.registry import LANGUAGES
    from chatvector.runtime.loading import require_extra

    console = Console(quiet=quiet, log_format=log_format, as_json=False)
    named = list(models or [])
    if len(named) > 2:
        raise UsageError(f"{len(named)} models: name one, or two to be shown side by side")
    if not named:
        if base is not None or chat is not None or vector is not None:
            raise UsageError("to which model is the vector added? name TARGET, or nothing at all for the trio")
        named, base, chat = [DEMO_TARGET], DEMO_BASE, DEMO_CHAT
        scale = options.DEMO_SCALE if scale is None else scale
    if language is not None and language not in LANGUAGES:
        raise UsageError(f"--language: unknown language {language!r}: choose from {', '.join(LANGUAGES)}")
    recipe = None
    if base is not None or chat is not None or vector is not None:
        recipe = options.recipe_from_flags(
            named[0], base, chat, None if vector is None else [vector], scale=1.0 if scale is None else scale,
            vocabulary=vocabulary, chat_format=chat_format, force_lineage=force_lineage,
        )  # fmt: skip
        if len(recipe.vectors) > 1:
            raise UsageError("the page moves one vector: give --base and --chat, or one --vector")
    elif scale is not None:
        raise UsageError("--scale: of which vector? give --base and --chat, or --vector")
    # First the extra that has all the others in it.
    if find_spec("gradio") is None:
        raise MissingExtra("ui", "The page")
    require_extra("Talking to a model")

    from chatvector.cli.talking import Loading
    from chatvector.cli.tasks import known
    from chatvector.runtime.backend import Sampling
    from chatvector.runtime.batches import MOST_ROWS
    from chatvector.web.server import application, listen, serve
    from chatvector.web.visitors import Models, Visitors

    with ExitStack() as stack:
        place = stack.enter_context(listen(port))  # before gigabytes are loaded
        if all(name.startswith("demo:") for name in named):
            from chatvector.lab.demo import one_thread

            stack.enter_context(one_thread())
        memory: list[str] = []

        def say(line: str) -> None:
            memory.append(line)
            console.say(line)

        loading = Loading(say, dtype, device, remote_code, chat_format_from, batch=MOST_ROWS)
        found = Models(_speakers(named, recipe, loading, stack, alone=no_before), recipe, language)
        sampling = Sampling(
            max_new_tokens=max_new_tokens or found.usual_limit(), temperature=temperature, top_p=top_p, seed=seed
        )
        visitors = Visitors(replace(found, memory=tuple(memory)), sampling, system)
        app = application(visitors, known(), lambda tag: _prompts(found, tag))
        serve(app, place, lambda address: _announce(address, console), visitors.end)


def _speakers(
    named: Sequence[str], recipe: Recipe | None, loading: Loading, stack: ExitStack, *, alone: bool
) -> tuple[Speaker, ...]:
    """The models from left to right: before, after."""
    from chatvector.cli.talking import before, loaded, merged

    if recipe is None:
        return tuple(loaded(name, loading, named) for name in named)
    merge = stack.enter_context(merged(recipe, loading, beside=len(named) > 1))
    others = [loaded(name, loading, named) for name in named[1:]]
    if not others and not alone:
        others = [before(recipe, merge, loading)]
    return (*others, merge)


def _prompts(found: Models, tag: str) -> Sequence[str]:
    """First messages to offer: the world of the embedded family has prompts of its own."""
    from chatvector.web.samples import SAMPLES

    if found.demo:
        from chatvector.lab.world.items import SIGN_TASKS, TASKS, held_out_items

        return [item.questions[0] for item in held_out_items(1, 0, tasks=(*TASKS, SIGN_TASKS[0]))]
    return SAMPLES.get(found.language or tag, SAMPLES["en"])


def _announce(address: str, console: Console) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    console.say("open it in a browser on this machine; Ctrl-C ends")
