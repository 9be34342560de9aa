# SPDX-License-Identifier: Apache-2.0
"""`chatvector check`: do three models fit, and is their lineage what the user thinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.checks.verdict import Check

EPILOG = examples(
    "chatvector check demo:base demo:chat demo:target",
    "chatvector check meta-llama/Llama-2-7b-hf meta-llama/Llama-2-7b-chat-hf beomi/llama-2-ko-7b --json",
    note="Exit code 3 where apply would refuse. docs/lineage.md explains every figure.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check", epilog=EPILOG)(check)


def check(
    base: Annotated[
        str, typer.Argument(help="The model that CHAT was tuned from. " + options.MODEL, show_default=False)
    ],
    chat: Annotated[str, typer.Argument(help="The chat model.", show_default=False)],
    target: Annotated[str, typer.Argument(help="The continually pre-trained model.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/lineage.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Say whether BASE, CHAT and TARGET fit, and whether base is the ancestor of the other two.

    Reads headers, configurations, templates and a sample of at most 32 MiB a model; writes nothing.
    """
    from contextlib import ExitStack

    from chatvector.checks.verdict import check_models
    from chatvector.preparation import open_model

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    with ExitStack() as stack:
        models = (open_model(name, stack, console.say, stream=True) for name in (base, chat, target))
        found = check_models(*models)
    console.result(found.as_dict(), text(found))
    if found.refused:
        raise typer.Exit(3)


def text(found: Check) -> str:
    """The verdict for people: one line, the reasons, the figures."""
    from chatvector.cli.describe import table

    lineage = found.lineage
    lines = [f"{'refused' if found.refused else 'warning' if found.warnings else 'fine'}: {_headline(found)}"]
    lines += [f"  refused: {line}" for line in found.refusals]
    lines += [f"  warning: {line}" for line in found.warnings]
    if lineage is None:
        return "\n".join(lines)
    geometry = lineage.geometry
    near = ", ".join(f"{pair.replace(' ', '–')} {cosine:.3f}" for pair, cosine in geometry.similarity().items())
    lines += [
        "",
        f"share of the chat vector in the target  {geometry.chat_in_target or '–'}   (0: child of base, 1: of chat)",
        f"share of the target's step in chat      {geometry.target_in_chat or '–'}   (1: the paths part at the target)",
        f"cosines of the weights                  {near}   (near 0: strangers)",
        f"sample                                  {geometry.total.elements} weights of {geometry.tensors} tensors",
        "",
    ]
    rows = [("all that count", geometry.total), *geometry.roles.items()]
    rows += [(f"layer {layer}", products) for layer, products in geometry.layers.items()]
    cells = [
        [name, *("–" if value is None else form.format(value) for value, form in zip(_figures(p), _FORMS, strict=True))]
        for name, p in rows
    ]
    header = ["", "|chat − base| / |base|", "|target − base| / |base|", "cosine", "projection"]
    return "\n".join(lines) + "\n" + table(header, cells)


_FORMS = ("{:.4f}", "{:.4f}", "{:+.3f}", "{:+.3f}")


def _figures(products: object) -> list[float | None]:
    figures = products.as_dict()  # type: ignore[attr-defined]
    return [figures[key] for key in ("tau_over_base", "drift_over_base", "cosine", "projection")]


def _headline(found: Check) -> str:
    names = found.names
    trio = f"base {names['base']}, chat {names['chat']}, target {names['target']}"
    if found.lineage is None:
        return f"the models do not fit together ({trio})"
    return f"{found.lineage.verdict} ({trio})"
