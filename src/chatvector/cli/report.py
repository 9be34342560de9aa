# SPDX-License-Identifier: Apache-2.0
"""`chatvector report`: what an evaluation found, as a page, as Markdown, and for a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

EPILOG = examples(
    "chatvector eval before=TARGET after=my-merge -l ko --out results",
    "chatvector report results -o pages",
    "chatvector report results -o reviewers --show-harmful",
    note="No model is asked and nothing measured: the same results give the same files. `eval --out` writes them too."
    " What stands where: docs/report.md.",
)
FORMAT = "chatvector-report/1"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report", epilog=EPILOG)(report)


def report(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Directory that `eval --out` wrote.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory to write into; by default RESULTS itself.", show_default=False),
    ] = None,
    show_harmful: Annotated[
        bool, typer.Option("--show-harmful", help="Show prompts and replies that may hold harm, not their length only.")
    ] = False,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=OWNER/DATASET:ID",
            help="This task is a benchmark of the hub: write .eval_results entries for it; repeatable.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Names of the files as one JSON document.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Render results: report.html for people, report.md, and a section with metadata for each model's card.

    Files of an earlier report are replaced.
    """
    from chatvector.evaluate.report import write_report
    from chatvector.evaluate.report.hub import parse_benchmark

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    benchmarks = [parse_benchmark(text) for text in benchmark or ()]
    folder = out or (results if results.is_dir() else results.parent)
    written = write_report(results, folder, reveal=show_harmful, benchmarks=benchmarks)
    document = {
        "format": FORMAT,
        "folder": str(written.folder),
        "files": list(written.files),
        "harmful_shown": written.harmful_shown,
    }
    console.result(document, "\n".join(str(written.folder / name) for name in written.files))
