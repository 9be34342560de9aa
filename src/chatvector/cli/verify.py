# SPDX-License-Identifier: Apache-2.0
"""`chatvector verify`: is a merged model what its manifest says, and does it chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.preparation import Job
    from chatvector.verification import Verification

EPILOG = examples(
    "chatvector apply demo:target --base demo:base --chat demo:chat -o ko-chat",
    "chatvector verify ko-chat",
    "chatvector verify ko-chat --full --no-generate --json",
    note="Exit code 4 when something differs, 3 when the manifest or a parent is missing, changed, or of another"
    " version.",
)

# The report has each problem whole; this much of five stands in the line on stderr.
PROBLEM_CHARACTERS = 60


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", epilog=EPILOG)(verify)


def verify(
    output: Annotated[
        str,
        typer.Argument(help="A model that `apply` or `run` made: a directory, a hub name, s3://…", show_default=False),
    ],
    full: Annotated[bool, typer.Option("--full", help="Compute every element again, not a sample.")] = False,
    generate: Annotated[
        bool | None,
        typer.Option(
            "--generate/--no-generate",
            help="Load it through transformers and let it reply, downloading a model by name first; by default where"
            " transformers is installed and the weights take at most 1 GiB, 256 MiB if they have to be downloaded.",
            show_default=False,
        ),
    ] = None,
    threads: options.Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/verify.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Read the parents again, compute the model again, and compare; then check that it chats and stops.

    Writes nothing. Says how much was computed.
    """
    from chatvector.errors import VerificationFailed, brief, first_five
    from chatvector.verification import verify as run

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    without = {"output": output, "ok": None, "checks": []}
    with console.no_verdict(without), console.progress("verifying") as meter:

        def started(_job: Job, total: int) -> Callable[[int], None]:
            return meter.start(total).advance if total else lambda _nbytes: None

        found = run(output, full=full, generate=generate, threads=threads, started=started, say=console.say)
    console.result(found.as_dict(), _text(found))
    if not found.ok:
        some = first_five(brief(problem, PROBLEM_CHARACTERS) for problem in found.problems)
        raise VerificationFailed(f"{output}: differences ({len(found.problems)}): {some}")


def _text(found: Verification) -> str:
    marks = {True: "ok", False: "DIFFERS", None: "–"}
    lines: list[str] = []
    for check in found.checks:
        lines.append(f"{marks[check.ok]:<8}{check.name}: {check.summary}")
        lines += [f"        {problem}" for problem in check.problems]
    lines += [f"note    {note}" for note in found.notes]
    return "\n".join([*lines, f"{found.output}: {found.summary}"])
