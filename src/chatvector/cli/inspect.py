# SPDX-License-Identifier: Apache-2.0
"""`chatvector inspect`: what is inside a checkpoint, a vector or a pair."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples
from chatvector.errors import brief
from chatvector.sizes import disk_size

if TYPE_CHECKING:
    from chatvector.inspection.subject import Subject
    from chatvector.inspection.survey import Survey

EPILOG = examples(
    "chatvector inspect demo:base demo:chat --rank 8 --plot chat-vector.png",
    "chatvector inspect meta-llama/Llama-2-7b-chat-hf --sample",
    "chatvector inspect demo-vector --json",
    note="docs/inspect.md explains every figure.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("inspect", epilog=EPILOG)(inspect)


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|VEC|BASE",
            help="A checkpoint, a vector that `extract` wrote, or the base of a pair. " + options.MODEL,
            show_default=False,
        ),
    ],
    chat: Annotated[str | None, typer.Argument(metavar="CHAT", help="Inspect CHAT − BASE.", show_default=False)] = None,
    rank: Annotated[
        int | None,
        typer.Option("--rank", metavar="R", help="Also the energy that rank R captures of each matrix (slower)."),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Estimate from the fixed sample, at most 32 MiB a model.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw it into FILE.png, .svg or .pdf (extra: plot)."),
    ] = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/inspect.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Say what a checkpoint, a chat vector or a pair is made of: roles, shapes, norms, cosines, ranks.

    Reads every tensor once, in bounded memory (again for --rank); writes nothing but the picture.
    """
    from chatvector.inspection.picture import draw, missing_letters, require_format
    from chatvector.inspection.survey import bytes_to_read, survey

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    if plot is not None:
        require_format(plot)
    with ExitStack() as stack, console.progress("reading") as meter:
        subject = _open(model, chat, stack, console, sample=sample)
        for line in subject.notes:
            console.warn(line)
        advance = (lambda _nbytes: None) if sample else meter.start(bytes_to_read(subject)).advance
        found = survey(subject, sample=sample, rank=rank, advance=advance)
    document = found.as_dict()
    if plot is not None:
        draw(document, plot)
        console.say(f"{plot} written")
        if plot.suffix.lower() != ".svg" and (letters := missing_letters(document)):
            console.warn(
                f"{plot}: no installed font has {len(letters)} letters of the name ({brief(letters)}), they are boxes;"
                " install one that has them, such as Noto Sans CJK, or write .svg"
            )
    console.result(document, text(found, document, tensors=tensors))


def text(found: Survey, document: dict[str, Any], *, tensors: bool) -> str:
    """The survey for people: a headline, tables by role and layer, and on request by tensor."""
    from chatvector.cli.describe import table

    subject, total = found.subject, document["total"]
    names = " − ".join(reversed(subject.names))
    lines = [
        f"{names}: {len(subject.entries)} tensors, {total['elements']} numbers, {disk_size(total['bytes'])}"
        + (", estimated from the fixed sample" if found.sampled else "")
    ]
    if total["non_finite"]:
        lines.append(f"{total['non_finite']} numbers are not finite and are left out")
    header = ["", *(title for _, title, _ in _columns(document))]
    for title, groups in (("role", document["roles"]), ("layer", document["layers"])):
        header[0] = title
        lines.append(table(header, [[name, *_cells(figures, document)] for name, figures in groups.items()]))
    if (cosines := found.cosines()) is not None:
        beside = [float(cosines[n, n + 1]) for n in range(len(cosines) - 1)]
        lines.append(f"cosine of neighbouring layers: {', '.join(f'{value:+.3f}' for value in beside)}")
    if tensors:
        rows = [
            [name, figures["role"], figures["dtype"], "×".join(map(str, figures["shape"])) or "–"]
            + (_cells(figures, document)[2:] if figures["measured"] else [])
            for name, figures in document["tensors"].items()
        ]
        lines.append(table(["tensor", "role", "dtype", "shape", *header[3:]], rows))
    return "\n\n".join(lines)


def _columns(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Key, title and format of the columns that this kind of subject has."""
    columns = [("tensors", "tensors", "{}"), ("elements", "numbers", "{}"), ("norm", "norm", "{:.4g}")]
    columns.append(("rms", "rms", "{:.3g}"))
    if document["kind"] == "pair":
        columns.append(("relative", "of base", "{:.2%}"))
    columns.append(("changed", "not zero" if document["kind"] == "checkpoint" else "changed", "{:.2%}"))
    ranks = [role["energy"]["rank"] for role in document["roles"].values() if role["energy"]]
    return [*columns, ("energy", f"energy at rank {ranks[0]}", "")] if ranks else columns


def _cells(figures: dict[str, Any], document: dict[str, Any]) -> list[str]:
    cells = []
    for key, _, form in _columns(document):
        value = figures.get(key)
        if value is None:
            cells.append("–")
        elif key == "energy":
            exact = f"{value['low']:.1%}"
            cells.append(exact if value["high"] - value["low"] < 5e-4 else f"{exact} to {value['high']:.1%}")
        else:
            cells.append(form.format(value))
    return cells


def _open(model: str, chat: str | None, stack: ExitStack, console: Console, *, sample: bool) -> Subject:
    """What the one or two names stand for. A sample is read by range from the hub, without a download."""
    from chatvector.arithmetic.stored import StoredVector
    from chatvector.checkpoint.names import resolve
    from chatvector.checks.compatibility import compare_configs
    from chatvector.inspection.subject import of_checkpoint, of_pair, of_vector
    from chatvector.preparation import open_model
    from chatvector.provenance.manifest import MANIFEST, read_manifest

    location = resolve(model)
    path = Path(location.path) if location.kind == "local" and location.path else None
    merged = path is not None and (path / MANIFEST).is_file()
    if chat is None and path is not None and merged and read_manifest(path / MANIFEST)["kind"] == "vector":
        vector = StoredVector(path, model)
        stack.callback(vector.close)
        return of_vector(vector)
    opened = open_model(model, stack, console.say, stream=sample)
    if chat is None:
        return of_checkpoint(opened)
    other = open_model(chat, stack, console.say, stream=sample)
    fit = compare_configs(other.config, {"base": opened.config})
    fit.raise_if_refused()
    for line in fit.warnings:
        console.warn(line)
    return of_pair(opened, other)
