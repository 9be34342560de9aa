# SPDX-License-Identifier: Apache-2.0
"""The program `chatvector`: verbs, exit codes, signals."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from chatvector import __version__
from chatvector.checkpoint.names import closed_folder, no_entry
from chatvector.cli import (
    apply,
    chat,
    check,
    compare,
    console,
    demo,
    doctor,
    eval,
    export,
    extract,
    inspect,
    interruption,
    ladder,
    plan,
    push,
    report,
    run,
    serve,
    sweep,
    train,
    ui,
    verify,
)
from chatvector.errors import ChatVectorError, MissingInput

EPILOG = """Exit codes: 0 done · 2 usage, or a choice only you can make · 3 an input is missing, damaged, unsupported or
does not fit · 4 verification or a required figure failed · 5 not enough disk or memory · 6 network or hub ·
7 missing extra · 130, 143 interrupted: the same command continues."""

app = typer.Typer(
    name="chatvector",
    help="Chat in a new language without training: target + scale · (chat − base).",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chatvector {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Chat in a new language without training: target + scale · (chat − base)."""


demo.register(app)
apply.register(app)
extract.register(app)
plan.register(app)
check.register(app)
inspect.register(app)
run.register(app)
push.register(app)
verify.register(app)
doctor.register(app)
eval.register(app)
compare.register(app)
report.register(app)
sweep.register(app)
chat.register(app)
serve.register(app)
export.register(app)
train.register(app)
ladder.register(app)
ui.register(app)


def main() -> None:
    """Run the command line and exit with the code that docs/cli.md lists."""
    console.errors_as_json = False
    console.after_interrupt = console.CONTINUES
    # Parsed tokenizers are millions of small objects and hold no cycles: looking for some costs 70 ms of a plan.
    gc.set_threshold(200_000, 50, 100)
    # Looking for plugins of pydantic reads the metadata of every installed package: 40 ms of every start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    # Idle threads of numpy's BLAS wait for work in a loop, 0.3 s of processor time of a merge: 2¹⁸ cycles are enough.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "18")
    interruption.listen()
    try:
        app(standalone_mode=True)
    except ChatVectorError as error:
        console.write_error(str(error), error.exit_code)
        sys.exit(error.exit_code)
    except PermissionError as error:
        if error.filename is None:
            raise
        closed = closed_folder(Path(os.fsdecode(error.filename)))
        reason = no_entry(closed) if closed is not None else f"{error.strerror}; ask its owner for the right to it"
        console.write_error(f"{os.fsdecode(error.filename)}: {reason}", MissingInput.exit_code)
        sys.exit(MissingInput.exit_code)
    except interruption.Interrupted as interrupted:
        interruption.tell(interrupted)
        sys.exit(interrupted.exit_code)
    except BrokenPipeError:
        # The reader of stdout went away (`| head`): silence, as other tools do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    finally:
        interruption.stop_listening()


if __name__ == "__main__":
    main()
