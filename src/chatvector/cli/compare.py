# SPDX-License-Identifier: Apache-2.0
"""`chatvector compare`: two results, or two models of one, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.evaluate.comparison import Comparison, DropRow

EPILOG = examples(
    "chatvector compare results:before results:after",
    "chatvector compare yesterday today --max-drop memory=2%",
    note="A and B are directories that `eval --out` wrote; DIR:MODEL takes one of several models. Exit code 4 when B"
    " drops further below A than a --max-drop allows.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("compare", epilog=EPILOG)(compare)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Results, or RESULTS:MODEL.", show_default=False)],
    second: Annotated[
        str, typer.Argument(metavar="B", help="Results, or RESULTS:MODEL, to compare with A.", show_default=False)
    ],
    max_drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC=VALUE",
            help="Largest drop of B below A: memory=0.02, language/line_pass=1%, all=2%; repeatable.",
        ),
    ] = None,
    strict_gates: Annotated[
        bool, typer.Option("--strict-gates", help="--max-drop counts the far end of the interval.")
    ] = False,
    task: Annotated[
        list[str] | None, typer.Option(metavar="FILE.py", help="Code of your own tasks in the results; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, see docs/evaluation.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Say what B does better and worse than A, paired item by item, with intervals; and fail if it dropped too far."""
    from chatvector.cli.tasks import known
    from chatvector.errors import VerificationFailed, first_five
    from chatvector.evaluate.comparison import compare_sides, parse_drop, read_side

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    drops = [parse_drop(text) for text in max_drop or ()]
    sides = [read_side(first), read_side(second)]
    marking = known().marking({row.name for side in sides for row in side.results.tasks}, list(map(Path, task or ())))
    found = compare_sides(sides[0], sides[1], marking, drops=drops, strict=strict_gates, seed=seed)
    console.result(found.as_dict(), _text(found))
    missed = [row for row in found.drops if not row.passed]
    if missed:
        shown = first_five(f"{row.text} ({row.task}/{row.metric}: {_amount(row)})" for row in missed)
        what = "dropped too far" if all(row.why is None for row in missed) else "dropped too far, or cannot be told"
        raise VerificationFailed(f"{second}: {what} ({len(missed)}): {shown}")


def _text(found: Comparison) -> str:
    from chatvector.cli.figures import differences

    rows = [row for row in found.rows if row.p_holm is not None] or list(found.rows)
    first = found.first.model
    if found.second.model == first:  # two runs of one name
        first, rows = found.first.text, [row.model_copy(update={"model": found.second.text}) for row in rows]
    parts: list[Any] = [differences(rows, found.second.results, f"minus {first}")]
    lines = [f"warning: {line}" for line in found.warnings]
    for row in found.drops:
        verdict = "within" if row.passed else "TOO FAR" if row.why is None else "MISSED"
        pairs = f", pairs {row.pairs}" if row.why is None else ""
        lines.append(f"{verdict}: {row.text}: {row.task} ({row.language}) {row.metric} {_amount(row)}{pairs}")
    return "\n\n".join([*parts, "\n".join(lines)] if lines else parts)


def _amount(row: DropRow) -> str:
    return row.why or f"{row.drop:.3g}"
