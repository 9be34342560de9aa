# SPDX-License-Identifier: Apache-2.0
"""`chatvector chat`: talk to one model, to two side by side, or to a merge whose scale can be moved."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer

from chatvector.cli import asking, options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

EPILOG = examples(
    "chatvector chat demo:chat",
    "chatvector chat demo:target --base demo:base --chat demo:chat --scale 0.75",
    "chatvector chat TARGET my-merge --chat-format-from CHAT",
    "chatvector chat TARGET TARGET --base BASE --chat CHAT",
    "chatvector chat my-merge --json --temperature 0 < questions.txt > replies.jsonl",
    note="/help lists what can be typed: /scale 0.7, /scale attention=0.5, /system, /reset, /save. Ctrl-C stops a"
    " reply. docs/chat.md.",
)


class Thinking(StrEnum):
    """How thoughts are shown."""

    dimmed = "dimmed"
    folded = "folded"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("chat", epilog=EPILOG)(chat)


def chat(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL [MODEL2]", help="One to talk to, or two. " + options.MODEL, show_default=False),
    ],
    base: options.Base = None,
    chat: options.Chat = None,
    vector: asking.Vector = None,
    *,
    scale: options.Scale = 1.0,
    vocabulary: options.Vocabulary = options.Policy.shared,
    chat_format: options.ChatFormat = "auto",
    force_lineage: options.ForceLineage = False,
    chat_format_from: asking.ChatFormatFrom = None,
    system: asking.System = None,
    temperature: asking.Temperature = 0.7,
    top_p: asking.TopP = 0.95,
    seed: asking.DrawSeed = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Limit of a reply in tokens.")] = 1024,
    template_argument: asking.TemplateArguments = None,
    thinking: Annotated[Thinking, typer.Option(help="How thoughts are shown on a terminal.")] = Thinking.dimmed,
    dtype: asking.Dtype = None,
    device: asking.Device = None,
    remote_code: asking.RemoteCode = False,
    no_history: Annotated[bool, typer.Option("--no-history", help="Keep no history of what is typed.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a reply, see docs/chat.md; reads lines, without a prompt.")
    ] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Talk to a model, to two side by side, or to TARGET + SCALE · vector and move the scale while talking.

    On a terminal replies appear as they are written. Without one every line of input is a message or a command.
    """
    from chatvector.cli.chat_screen import Pipe, Screen, line_editing
    from chatvector.cli.listening import listening
    from chatvector.cli.pairs import template_arguments
    from chatvector.cli.talking import Loading, before, loaded, merged
    from chatvector.errors import UsageError
    from chatvector.runtime.backend import Sampling
    from chatvector.runtime.loading import require_extra
    from chatvector.runtime.session import Session

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    if len(models) > 2:
        raise UsageError(f"{len(models)} models: name one, or two to be shown side by side")
    sampling = Sampling(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        template_arguments=template_arguments(template_argument or []),
    )
    recipe = None
    if base is not None or chat is not None or vector is not None:
        recipe = options.recipe_from_flags(
            models[0], base, chat, None if vector is None else [vector], scale=scale, vocabulary=vocabulary,
            chat_format=chat_format, force_lineage=force_lineage,
        )  # fmt: skip
        if len(recipe.vectors) > 1:
            raise UsageError("chat moves one vector: give --base and --chat, or one --vector")
    require_extra("Talking to a model")
    console.keeps_less("the conversation ends here, the same command begins another")
    with ExitStack() as stack:
        if all(name.startswith("demo:") for name in models):
            from chatvector.lab.demo import one_thread

            stack.enter_context(one_thread())
        loading = Loading(console.say, dtype, device, remote_code, chat_format_from)
        if recipe is None:
            speakers = [loaded(name, loading, models) for name in models]
        else:
            merge = stack.enter_context(merged(recipe, loading, beside=len(models) > 1))
            speakers = [merge]
            speakers += [
                before(recipe, merge, loading) if name == recipe.target else loaded(name, loading, models)
                for name in models[1:]
            ]
        session = Session(speakers, sampling, system)
        if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            code = Pipe(session, console).run()
        else:
            stack.enter_context(line_editing(not no_history, console.warn))
            stack.enter_context(listening())
            console.say("/help lists the commands; Ctrl-C stops a reply, Ctrl-D ends")
            code = Screen(session, folded=thinking is Thinking.folded).run()
    if code:
        raise typer.Exit(code)
