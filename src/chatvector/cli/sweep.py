# SPDX-License-Identifier: Apache-2.0
"""`chatvector sweep`: how much of the vector, by measuring along the scale over one merge in memory."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import asking, options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from collections.abc import Mapping


EPILOG = examples(
    "chatvector sweep demo:target --base demo:base --chat demo:chat",
    "chatvector sweep TARGET --base BASE --chat CHAT --language ko --scales 0:1.5:0.25 --out sweep",
    "chatvector sweep TARGET --vector VEC -l ko --scales 0.5,0.75,1 --by role --dtype bf16",
)


class By(StrEnum):
    """What is varied one at a time."""

    role = "role"
    layers = "layers"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sweep", epilog=EPILOG)(sweep)


def sweep(
    target: options.Target,
    *,
    base: options.Base = None,
    chat: options.Chat = None,
    vector: asking.Vector = None,
    scales: Annotated[
        str, typer.Option(metavar="FIRST:LAST:STEP|LIST", help="Scales to try; 0 is added.")
    ] = "0:1.5:0.25",
    by: Annotated[
        By | None,
        typer.Option(help="Then one role, or a quarter of the layers, at a time: without it, and alone."),
    ] = None,
    language: asking.Languages = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="sweep (default), demo (default for demo: models), or another one that needs no judge.",
            show_default=False,
        ),
    ] = None,
    axis: asking.Axes = None,
    task: asking.Tasks = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Items of each task in each half, at most.", show_default=False)
    ] = None,
    seed: asking.Seed = 0,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=W", help="Weight of a part of the figure of merit (safety=2); 1 by default; repeatable."
        ),
    ] = None,
    vocabulary: options.Vocabulary = options.Policy.shared,
    chat_format: options.ChatFormat = "auto",
    system_prompt: options.SystemPrompt = "keep",
    force_lineage: options.ForceLineage = False,
    max_new_tokens: asking.MaxNewTokens = None,
    dtype: asking.Dtype = None,
    device: asking.Device = None,
    remote_code: asking.RemoteCode = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write sweep.json, curves and all results into this new directory.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the sweep in --out.")] = False,
    cache: asking.CacheFile = None,
    no_cache: asking.NoCache = False,
    as_json: Annotated[bool, typer.Option("--json", help="sweep.json on stdout, see docs/sweep.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Choose a scale by measuring: the cheap tasks along the scale, over one merge in memory, no judge and no network.

    The scale is chosen on one half of the items and measured on the other. After an interruption the same command goes
    on where it was.
    """
    from chatvector.cli.tasks import choose, known
    from chatvector.errors import UsageError
    from chatvector.evaluate.run import require_evaluation
    from chatvector.evaluate.saving import open_cache
    from chatvector.evaluate.sweep import Wanted, parse_scales
    from chatvector.evaluate.sweep import sweep as run
    from chatvector.evaluate.sweep_report import document
    from chatvector.evaluate.sweep_saving import refuse_unwritable_sweep, save_sweep
    from chatvector.live_merge import open_live
    from chatvector.web.recipes import parents_and_rest

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    recipe = options.recipe_from_flags(
        target, base, chat, None if vector is None else [f"{vector}=1"], vocabulary=vocabulary, chat_format=chat_format,
        system_prompt=system_prompt, force_lineage=force_lineage,
    )  # fmt: skip
    if len(recipe.vectors) > 1:
        raise UsageError("sweep moves one vector: give --base and --chat, or one --vector")
    registry = known()
    chosen = choose(
        registry, languages=language, suite=suite, axes=axis, tasks=task, limit=limit,
        usual="demo" if target.startswith("demo:") else "sweep",
    )  # fmt: skip
    wanted = Wanted(
        scales=parse_scales(scales),
        jobs=chosen.jobs,
        riders=registry.make_riders(),
        by=None if by is None else by.value,
        seed=seed,
        weights=_weights(weight or []),
        overrides={} if max_new_tokens is None else {"max_new_tokens": max_new_tokens},
        limit=limit,
        suite=chosen.suite,
    )
    if out is not None:
        refuse_unwritable_sweep(out, overwrite=overwrite)
    require_evaluation("A sweep")  # before the models are loaded
    with ExitStack() as stack:
        kept = None if no_cache else stack.enter_context(open_cache(cache, console.warn))
        live = stack.enter_context(
            open_live(recipe, dtype=dtype, device=device, remote_code=remote_code, say=console.say)
        )
        if target.startswith("demo:"):
            from chatvector.lab.demo import one_thread

            stack.enter_context(one_thread())
        found = run(live, wanted, cache=kept, meters=lambda what: console.progress(what, "replies"), say=console.say)
    told = document(found, parents_and_rest(recipe))
    if out is not None:
        save_sweep(found, told, out, overwrite=overwrite, say=console.say)
    console.result(told, _text(told, out))


def _weights(texts: list[str]) -> dict[str, float]:
    """`PART=W` of --weight. Raises UsageError."""
    import math

    from chatvector.errors import UsageError

    found: dict[str, float] = {}
    for text in texts:
        part, equals, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (part and equals and math.isfinite(value) and value >= 0):
            raise UsageError(f"--weight {text}: write PART=W, such as safety=2, W 0 or more")
        found[part] = value
    return found


def _text(told: Mapping[str, Any], out: Path | None) -> str:
    """Tables for people: merit and parts along the scale, what it is worth, groups, the answer."""
    from chatvector.cli.describe import table

    parts = list(told["weights"])
    rows = [
        [
            f"{point['scale']:g}{' *' if point['scale'] == told['chosen'] else ''}",
            _share(point["development"]["merit"]),
            "" if point["scale"] == told["chosen"] else "yes" if point["told_from_chosen"] else "no",
            _share(point["test"]["merit"]),
        ]
        for point in told["scales"]
    ]
    header = ["scale", "to choose on", "told from *", "test"]
    columns = [["part, test items", *(f"{point['scale']:g}" for point in told["scales"])]]
    columns += [
        [part, *(f"{100 * point['test']['parts'][part]['value']:.0f}" for point in told["scales"])] for part in parts
    ]
    sections = [
        f"Merit, % of the best possible (95 % intervals); items to choose on: {told['items']['development']},"
        f" test items: {told['items']['test']}\n\n" + table(header, rows),
        table(columns[0], columns[1:]),
    ]
    if told["groups"]:
        chosen, *groups = told["groups"]
        listed = [
            [
                one["name"],
                _share(one["merit"]),
                _signed(one["minus_chosen"]),
                "  ".join(f"{100 * one['parts'][part]['value']:.0f}" for part in parts),
            ]
            for one in groups
        ]
        sections.append(
            table([f"at {chosen['name']}, test items", "merit", "minus all of it", ", ".join(parts)], listed)
        )
    front = ", ".join(f"{point['scale']:g}" for point in told["scales"] if point["on_front"])
    sections += [f"No part better without another worse: {front}", told["answer"], told["apply"]]
    sections += ["\n".join(f"warning: {line}" for line in told["warnings"])] if told["warnings"] else []
    if out is not None:
        sections.append(f"{out}: sweep.json, curves, and results and replies of each half")
    return "\n\n".join(sections)


def _share(one: Mapping[str, float | None]) -> str:
    low, high = one["low"], one["high"]
    value = f"{100 * (one['value'] or 0):.0f}"
    return value if low is None or high is None else f"{value} ({100 * low:.0f}–{100 * high:.0f})"


def _signed(one: Mapping[str, float | None]) -> str:
    rounded = [round(100 * (one[key] or 0)) for key in ("value", "low", "high")]
    numbers = [f"{number:+d}".replace("-", "−") if number else "0" for number in rounded]
    return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"
