# SPDX-License-Identifier: Apache-2.0
"""`chatvector ladder`: the paper's whole comparison, on the embedded family or on one's own models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatvector.lab.ladder.recipe import LadderRecipe

OUT = "demo-ladder"
EPILOG = examples(
    "chatvector ladder",
    "chatvector ladder examples/ladder-llama-2-ko.yaml --plan",
    "chatvector ladder examples/ladder-llama-3.2-taiwan.yaml --out ladder --set ask.limit=50",
    note="Without a recipe: the embedded family, in minutes. What the rungs are, all keys, what the report says and"
    " what it does not: docs/ladder.md. The same command goes on where it was interrupted.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ladder", epilog=EPILOG)(ladder)


def ladder(
    recipe: Annotated[
        Path | None, typer.Argument(help="recipe.yaml; without one the embedded family.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Directory for models, replies and the report; {OUT} without a recipe.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe (ask.limit=50); repeatable."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print hours, disk and judge calls, and stop; no model is downloaded.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard trainings of another recipe that are in the way.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="ladder.json, or the plan, on stdout; see docs/ladder.md.")
    ] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Build the paper's comparison and ask all its models the same: target, target + τ, FT, FT + τ, chat → CP → FT,
    chat, base + τ.

    Models are taken or trained, the scale is chosen on development items, and one report compares all on test items.
    """
    from chatvector.cli.tasks import known
    from chatvector.lab.ladder.climb import can_train, check, climb
    from chatvector.lab.ladder.estimate import estimate
    from chatvector.lab.ladder.family import family_recipe
    from chatvector.lab.ladder.recipe import LadderRecipe

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    notes: dict[str, str] = {}
    if recipe is None:
        asked, notes = family_recipe(OUT, can_train=can_train())
    else:
        asked = LadderRecipe.from_file(recipe)
    asked = asked.with_settings([*(settings or []), *([] if out is None else [f"output={_quoted(out)}"])])
    registry = known()
    for title, why in {**asked.left_out, **notes}.items():
        console.say(f"not built: {title}: {notes.get(title, why)}")
    if plan:
        found = estimate(asked, registry, say=console.say)
        console.result(found.as_json(), found.text())
        return
    check(asked, registry)
    told = climb(
        asked,
        registry,
        restart=restart,
        notes=notes,
        meters=console.progress,
        say=console.say,
        warn=console.warn,
    )
    console.result(told, _text(told, asked))


def _quoted(path: Path) -> str:
    import json

    return json.dumps(str(path), ensure_ascii=False)


def _text(told: Mapping[str, Any], recipe: LadderRecipe) -> str:
    """For people: the rungs with their merit and its parts, then the sentences."""
    from chatvector.cli.describe import table
    from chatvector.evaluate.report.wording import shown
    from chatvector.lab.ladder.report import counts

    parts = list(told["weights"])
    rows = []
    for rung in told["rungs"]:
        cells = ["–"] * (1 + len(parts))
        if rung["merit"] is not None:
            merit = rung["merit"]["merit"]
            cells = [shown(merit["value"], merit["low"], merit["high"], "share")]
            cells += [f"{100 * rung['merit']['parts'][part]['value']:.0f}" for part in parts]
        rows.append([rung["title"], "" if rung["scale"] is None else f"{rung['scale']:g}", *cells])
    if parts:
        rows.append(["n", "", "", *counts(told)])
    pairs = []
    for pair in told["pairs"]:
        one, count = pair["merit"], pair["findings"]
        merit = "–" if one is None else shown(one["value"], one["low"], one["high"], "share", signed=True)
        pairs.append([f"{pair['first']} minus {pair['second']}", merit, *(str(count[side]) for side in count)])
    answers = "\n".join(f"{title}: {answer}" for title, answer in told["answers"].items())
    warnings = "\n".join(f"warning: {line}" for line in told["warnings"])
    where = f"{recipe.output}: report.html, report.md, ladder.json, results.json; prompts and replies in items/"
    sections = [
        "Test items, % of the best possible (95 % intervals)",
        table(["rung", "scale", "merit", *parts], rows),
        table(["points", "merit", "figures better", "worse", "not told apart"], pairs),
        *([answers] if answers else []),
        *([warnings] if warnings else []),
        where,
    ]
    return "\n\n".join(sections)
