# SPDX-License-Identifier: Apache-2.0
"""`chatvector doctor`: what is wrong with a checkpoint, whoever made it, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.checks.doctor.examine import Diagnosis
    from chatvector.checks.doctor.patient import Patient

EPILOG = examples(
    "chatvector doctor demo:chat",
    "chatvector doctor ORG/MERGED-MODEL --json",
    "chatvector doctor my-merge --full",
    "chatvector doctor my-merge --fix mended",
    note="Copy what is in the directory of --fix over the model's files; weights are never written. Exit code 4 when"
    " there is a fault; warnings alone end with 0. All faults: docs/doctor.md.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor", epilog=EPILOG)(doctor)


def doctor(
    model: Annotated[str, typer.Argument(help="The model to examine. " + options.MODEL, show_default=False)],
    fix: Annotated[
        Path | None,
        typer.Option(
            "--fix",
            metavar="DIR",
            help="Write mended side files into this new directory; those of a model with a manifest as they were, made"
            " again from its parents.",
            show_default=False,
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Look at every weight, not at a sample; by name that reads the whole model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/doctor.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Name every fault of a model, what follows from it, and its cure; another tool's merge and hub names too.

    Reads headers, configurations, the tokenizer, a few rows and a sample of the weights. Recomputes a model that has a
    manifest of chatvector, as `verify` does.
    """
    from chatvector.checkpoint.staging import output_path
    from chatvector.checks.doctor.examine import examine_opened
    from chatvector.checks.doctor.mend import check_place
    from chatvector.checks.doctor.patient import Patient
    from chatvector.errors import VerificationFailed, first_five

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    without = {"model": model, "healthy": None, "findings": []}
    with console.no_verdict(without):
        patient = Patient.open(model, console.say)
    try:
        if fix is not None:
            output_path(str(fix))  # refuses what no path can be, and what lies where nobody may look
            check_place(fix, patient)
        with console.no_verdict(without):
            diagnosis = examine_opened(patient, full=full)
        written, restored = _fix(patient, diagnosis, fix, console) if fix is not None else (None, None)
    finally:
        patient.close()
    recomputed = _verify(model, console) if diagnosis.has_manifest else None
    document: dict[str, Any] = {**diagnosis.as_dict(), "fix": written, "restored": restored, "verify": recomputed}
    console.result(document, _text(diagnosis, written, restored, recomputed, fix))
    if not diagnosis.healthy:
        codes = first_five(dict.fromkeys(finding.code for finding in diagnosis.faults))
        raise VerificationFailed(f"{model}: faults found ({len(diagnosis.faults)}): {codes}")
    if recomputed is not None and recomputed.get("ok") is False:
        raise VerificationFailed(f"{model}: is not what its manifest says; chatvector verify {model} shows where")


def _fix(
    patient: Patient, diagnosis: Diagnosis, folder: Path, console: Console
) -> tuple[list[str], dict[str, Any] | None]:
    """Write what can be mended; the names, and what of it was made again from the manifest's parents."""
    from chatvector.checks.doctor.mend import mended_files, write_mended
    from chatvector.restoration import restore

    restored = restore(patient, {finding.code for finding in diagnosis.findings}, console.say)
    # A file as it was written is better than one that is mended by rule.
    files = {**mended_files(patient, diagnosis.findings), **restored.files}
    if files:
        write_mended(files, folder, patient)
    told = {"files": sorted(restored.files), "parents": list(restored.parents), "reason": restored.reason}
    return sorted(files), told if restored.files or restored.reason else None


def _verify(model: str, console: Console) -> dict[str, Any] | None:
    """What `verify` says; a manifest whose parents are out of reach is no fault of the model."""
    from chatvector.errors import ChatVectorError
    from chatvector.verification import verify

    try:
        return verify(model, generate=False, say=console.say).as_dict()
    except ChatVectorError as problem:
        console.say(f"not recomputed: {problem}")
        return {"ok": None, "reason": str(problem)}


def _text(
    diagnosis: Diagnosis,
    written: list[str] | None,
    restored: dict[str, Any] | None,
    recomputed: dict[str, Any] | None,
    fix: Path | None,
) -> str:
    from chatvector.cli.describe import table

    rows = [
        [f"{one.level} {one.code}", one.detail, one.fault.consequence, one.fault.cure] for one in diagnosis.findings
    ]
    lines = [table(["", "what", "what follows", "cure"], rows), ""] if rows else []
    counts = [sum(one.level == level for one in diagnosis.findings) for level in ("fault", "warning", "note")]
    chat = diagnosis.chat
    lines.append(
        f"{diagnosis.model}: faults: {counts[0]}, warnings: {counts[1]}, notes: {counts[2]}; looked at"
        f" {diagnosis.tensors} headers, {diagnosis.sampled.elements:,} weights of {diagnosis.sampled.tensors} tensors,"
        f" {len(chat.conversations)} conversations, rows of {len(chat.rows)} template tokens"
    )
    lines += [f"not looked at: {reason}" for reason in diagnosis.unchecked]
    if recomputed is not None:
        lines.append(f"manifest: {recomputed.get('reason') or recomputed['summary']}")
    if restored is not None and restored["files"]:
        lines.append(
            f"as they were written, made again from {', '.join(restored['parents'])} (unchanged since):"
            f" {', '.join(restored['files'])}"
        )
    elif restored is not None:
        lines.append(f"nothing is restored from the manifest's parents: {restored['reason']}")
    if written:
        lines.append(f"{fix}: {', '.join(written)}; copy over the model's: cp -r {fix}/. MODEL/")
    elif written is not None:
        lines.append("nothing that --fix can mend safely")
    return "\n".join(lines)
