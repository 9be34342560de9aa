# SPDX-License-Identifier: Apache-2.0
"""`chatvector extract`: the chat vector as a directory of its own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples
from chatvector.sizes import disk_size

EPILOG = examples(
    "chatvector extract demo:base demo:chat -o demo-vector",
    "chatvector extract meta-llama/Llama-2-7b-hf meta-llama/Llama-2-7b-chat-hf -o llama-2-chat-vector --dtype bf16",
)


class StoredDtype(StrEnum):
    """Dtype of the differences on disk."""

    fp32 = "fp32"
    bf16 = "bf16"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("extract", epilog=EPILOG)(extract)


def extract(
    base: options.BaseModel,
    chat: options.ChatModel,
    output: options.RequiredOutput,
    dtype: Annotated[
        StoredDtype, typer.Option("--dtype", help="fp32 keeps what a merge of 16-bit models computes; bf16 rounds.")
    ] = StoredDtype.fp32,
    memory: options.Memory = "128MiB",
    threads: options.Threads = None,
    stream: options.Stream = False,
    restart: options.Restart = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Write CHAT − BASE to a directory that can be applied, shared and kept without its parents."""
    from chatvector.extraction import extract as make
    from chatvector.recipe import parse_bytes

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    stored: Literal["fp32", "bf16"] = "fp32" if dtype is StoredDtype.fp32 else "bf16"
    with console.progress("extracting") as meter:
        result = make(
            base,
            chat,
            output,
            dtype=stored,
            memory=parse_bytes(memory),
            threads=threads,
            stream=stream,
            restart=restart,
            progress=meter.start,
            say=console.say,
        )
    run = result.manifest["run"]
    text = (
        f"{output}: {disk_size(run['bytes_written'])} in {run['seconds']:.1f} s\n{_exactness(result.manifest)}\n"
        f"apply it: chatvector apply TARGET --vector {shlex.quote(output)} -o OUT"
    )
    console.result(result.manifest, text)


def _exactness(manifest: Mapping[str, Any]) -> str:
    """In one line, whether applying the vector gives the bytes that its parents would."""
    from chatvector.arithmetic.plan import working_format
    from chatvector.checkpoint.dtypes import DTYPES

    loss, vector = manifest["loss"], manifest["vector"]
    if not loss["inexact"]:
        return f"no rounding in {loss['elements']} differences: applying it gives the same bytes as --base --chat"
    rounded = f"{vector['dtype']} rounds {loss['inexact']} of {loss['elements']} differences ({loss['share']:.2g})"
    parents = [DTYPES[code] for codes in vector["parent_dtypes"].values() for code in codes]
    if vector["dtype"] == "fp32" and working_format(parents) == "F32":
        return (
            f"{rounded}: applying it to a 16-bit target gives the same bytes as --base --chat; in one of F32 or F64 so"
            " many elements may differ"
        )
    return f"{rounded}: so many elements of a merge may differ from --base --chat"
