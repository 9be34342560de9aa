# SPDX-License-Identifier: Apache-2.0
"""`chatvector export`: a directory that llama.cpp's converter and Ollama take."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.handoff.folder import Handoff

EPILOG = examples(
    "chatvector export my-merge -o my-merge-gguf",
    "python convert_hf_to_gguf.py my-merge-gguf --outfile my-merge-gguf/model.gguf",
    "llama-server -m my-merge-gguf/model.gguf --jinja",
    "ollama create my-merge -f my-merge-gguf/Modelfile",
    note="The converter is part of llama.cpp, and writes the GGUF file that the Modelfile names. What was tried:"
    " docs/serving.md.",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("export", epilog=EPILOG)(export)


def export(
    model: Annotated[str, typer.Argument(help="The model to hand over. " + options.MODEL, show_default=False)],
    output: options.RequiredOutput,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/serving.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Write a directory for llama.cpp's converter, with a Modelfile for Ollama.

    Weights are linked, not copied or changed. Tokenizer and settings are fitted so that the GGUF file has the model's
    tokens, stops where the model's turn ends, and puts no blank or token before a prompt that the model did not learn.
    """
    from chatvector.handoff.folder import hand_over

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    done = hand_over(model, output, console.say)
    for line in warnings(done):
        console.warn(line)
    console.result(document(done, output), text(done, model, output))


def warnings(done: Handoff) -> list[str]:
    """What will not be as in the model."""
    files = done.files
    lines = [*files.notes, *done.modelfile.notes]
    if files.agree < files.compared:
        lines.append(
            f"{files.compared - files.agree} of {files.compared} texts are cut into other tokens than the model's"
            " tokenizer makes: measure the converted model before you trust it"
        )
    if files.unheard:
        lines.append(
            f"llama.cpp does not end a reply at {', '.join(files.unheard)}: name it as `stop` in requests (as the"
            " Modelfile does)"
        )
    return lines


def document(done: Handoff, out: str) -> dict[str, Any]:
    """What was written as data: schema in docs/serving.md."""
    files = done.files
    return {
        "directory": out,
        "tokenizer": files.kind,
        "tokenizer_model_written": files.made,
        "texts": {"compared": files.compared, "same_tokens": files.agree},
        "tokens": done.tokens,
        "rows": done.rows,
        "end_of_turn": files.end,
        "stop_tokens": [token for token in files.chat_format.stop_tokens if token in files.tokens.ids],
        "not_stopped_at": list(files.unheard),
        "changed": sorted(files.files),
        "linked": list(done.linked),
        "copied": list(done.copied),
        "modelfile_has_template": done.modelfile.has_template,
        "warnings": warnings(done),
    }


def text(done: Handoff, model: str, out: str) -> str:
    """What was written, and the commands that come next."""
    files = done.files
    weights = f"{len(done.linked)} linked" + (f", {len(done.copied)} copied" if done.copied else "")
    lines = [
        f"{out}: {model} for llama.cpp and Ollama; weight files: {weights}; changed: {', '.join(sorted(files.files))}"
    ]
    source = "written from tokenizer.json" if files.made else "the model's own"
    if files.kind == "SentencePiece":
        lines.append(f"  tokenizer   SentencePiece, tokenizer.model {source}; {done.tokens} tokens, {done.rows} rows")
        if files.compared:
            lines.append(f"  compared    {files.agree} of {files.compared} texts have the same tokens in both files")
    else:
        lines.append(f"  tokenizer   byte-level BPE; {done.tokens} tokens, {done.rows} rows")
    lines.append(f"  turn ends   {files.end or 'with no token'}")
    held = "the chat format" if done.modelfile.has_template else "no TEMPLATE"
    lines.append(f"  Modelfile   {held}, {done.modelfile.stops} stop tokens")
    gguf = shlex.quote(f"{out}/model.gguf")
    lines += [
        f"  convert     python convert_hf_to_gguf.py {shlex.quote(out)} --outfile {gguf}   (of llama.cpp)",
        f"  llama.cpp   llama-server -m {gguf} --jinja",
        f"  Ollama      ollama create NAME -f {shlex.quote(out)}/Modelfile",
    ]
    return "\n".join(lines)
