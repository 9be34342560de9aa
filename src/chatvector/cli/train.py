# SPDX-License-Identifier: Apache-2.0
"""`chatvector train`: the paper's stages of training, on one's own models and data."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatvector.cli import options
from chatvector.cli.console import Console
from chatvector.cli.examples import examples

if TYPE_CHECKING:
    from chatvector.training.recipe import TrainingRecipe

EPILOG = examples(
    "chatvector train cp examples/train-cp.yaml",
    "chatvector train sft --model my-org/llama-2-ko-7b --data instructions.jsonl --lora 16 -o llama-2-ko-7b-ft",
    "chatvector train dpo examples/train-dpo.yaml --set beta=0.05 --device cuda",
    note="All keys, and what the data looks like: docs/training.md. The same command goes on where it was interrupted.",
)


class Stage(StrEnum):
    """What is trained."""

    cp = "cp"
    sft = "sft"
    dpo = "dpo"


class Device(StrEnum):
    """Where it is trained."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train", epilog=EPILOG)(train)


def train(
    stage: Annotated[
        Stage,
        typer.Argument(help="cp: more text; sft: conversations; dpo: preferences.", show_default=False),
    ],
    recipe: Annotated[
        Path | None, typer.Argument(help="recipe.yaml; or the flags below without one.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model to start from. " + options.MODEL, show_default=False)
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="FILE", help=".jsonl, .parquet, or hf://datasets/ORG/NAME/FILE; repeatable."),
    ] = None,
    output: options.Output = None,
    lora: Annotated[
        int | None,
        typer.Option(
            "--lora",
            metavar="RANK",
            min=1,
            help="Train a low-rank difference of this rank, merged at the end.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        Device | None,
        typer.Option("--device", help="Where to train; auto takes a GPU where there is one.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other key (steps=500, lora.alpha=32); repeatable."),
    ] = None,
    restart: options.Restart = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, see docs/training.md.")] = False,
    quiet: options.Quiet = False,
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Train a model further: continual pre-training, supervised fine-tuning, or preference tuning.

    What comes out is an ordinary checkpoint: a parent for extract and apply.
    """
    from chatvector.training.run import train as run

    console = Console(quiet=quiet, log_format=log_format, as_json=as_json)
    flags = {
        "model": model,
        "data": data or None,
        "output": output,
        "lora": None if lora is None else {"rank": lora},
        "device": device and device.value,
    }
    asked = read(stage.value, recipe, {key: value for key, value in flags.items() if value is not None}, settings or [])
    with console.progress("training", "steps") as meter:
        trained = run(asked, restart=restart, meter=meter, say=console.say)
    console.result(trained.record, _text(str(asked.output), trained.record))


def read(stage: str, path: Path | None, flags: dict[str, Any], settings: list[str]) -> TrainingRecipe:
    """The recipe of a file and the flags, which win. Raises UsageError where the file is of another stage."""
    from chatvector.errors import UsageError
    from chatvector.training.recipe import TrainingRecipe

    if path is None:
        missing = [name for name in ("model", "data") if name not in flags]
        if missing:
            raise UsageError(f"--{' and --'.join(missing)}: give them, or a recipe; docs/training.md has examples")
        recipe = TrainingRecipe.from_mapping({"stage": stage} | flags, "train")
    else:
        found = TrainingRecipe.from_file(path)
        if found.stage != stage:
            raise UsageError(f"{path}: is a recipe of stage {found.stage}; run: chatvector train {found.stage} {path}")
        kept = found.model_dump(mode="json", exclude_unset=True)
        recipe = TrainingRecipe.from_mapping(kept | flags, str(path))
    return recipe.with_settings(settings) if settings else recipe


def _text(output: str, record: dict[str, Any]) -> str:
    history, rows = record["history"], record["rows"]
    losses = f"loss {history[0]['loss']:.4f} at first, {history[-1]['loss']:.4f} at last" if history else "no steps"
    lines = [
        f"{output}: {record['steps']} steps on {rows['rows']} rows, {losses}",
        f"look at it: chatvector doctor {shlex.quote(output)}",
    ]
    if record["recipe"]["stage"] == "cp":
        lines.append(f"give it chat: chatvector apply {shlex.quote(output)} --base BASE --chat CHAT -o OUT")
    return "\n".join(lines)
