# SPDX-License-Identifier: Apache-2.0
"""Runs one stage of training, from a recipe to a checkpoint that appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Sample, fingerprint
from chatvector.checkpoint.quantised import refuse_quantised
from chatvector.checkpoint.staging import check_output_place, open_staging, output_path
from chatvector.errors import (
    DamagedFile,
    InputError,
    MissingExtra,
    RecipeError,
    UnsupportedFormat,
    brief,
    first_five,
)
from chatvector.messages import Say, silent
from chatvector.training.conversations import Encoder
from chatvector.training.data import DataFile, open_data, read_rows
from chatvector.training.examples import write_examples
from chatvector.training.limits import ClearFailures, check_space, on_gpu, precision_of
from chatvector.training.output import RECORD, merged, read_template, write_side_files, write_weights
from chatvector.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from chatvector.checkpoint.staging import Staging
    from chatvector.training.trainers import Meter

NEEDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
LIBRARIES = ("trl", "transformers", "peft", "torch")


@dataclass(frozen=True)
class Trained:
    """The result of a training: the directory, and the record that is in it as training_recipe.json."""

    output: Path
    record: dict[str, Any]


def train(
    recipe: TrainingRecipe,
    *,
    restart: bool = False,
    meter: Meter | None = None,
    say: Say = silent,
) -> Trained:
    """Trains one stage and writes `recipe.output`.

    After a killed run, the same recipe, model and data continue from its newest whole checkpoint; `restart` discards
    it.

    Raises MissingExtra without `[train]`; what opening model and data raises; UsageError for a GPU that is not there;
    OutputRefused, which names it, for an output that exists or checkpoints of another recipe in its place;
    NotEnoughSpace before the first step if the disk has no room for the checkpoints, and if GPU or disk is full later.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise MissingExtra("train", "Training")
    if recipe.output is None:
        raise RecipeError("output: where to? name a directory with output: or -o")
    _no_telemetry()
    # 1. Everything that can be refused without reading weights.
    output = output_path(recipe.output)
    gpu = on_gpu(recipe)
    files = open_data(recipe.data)
    template = None if recipe.chat_template is None else read_template(recipe.chat_template)
    with Checkpoint.open(recipe.model, say) as start:
        if start.local_path is None:
            raise UnsupportedFormat(f"{recipe.model}: a model is trained from a directory or the hub; copy it first")
        check_output_place(output, [Path(start.local_path), *(file.path for file in files)])
        refuse_quantised(start.config, start.tensors, start.name)
        if not all(ref.file.endswith(".safetensors") for ref in start.tensors.values()):
            raise UnsupportedFormat(f"{recipe.model}: its weights are pickles; write them as safetensors first")
        digest, origin = _identity(recipe, start, files, template)
        # 2. Train in the staging directory, and make the output there.
        with open_staging(output, digest, restart=restart, on_resume=say) as staging:
            work = staging.path / "training"
            if not staging.finished_units():
                with _discarded_before_a_checkpoint(staging, work):
                    record = _train(recipe, start, files, template, staging, work, gpu, meter, say)
                record |= {"identity": digest, "start": origin}
                write_side_files(start, staging, template, record["rows"]["stops"], record)
                staging.record(0, 0, {})  # a run that is killed after this only has to publish
            # 3. Files that only training needed are removed, then the output appears.
            record = json.loads((staging.path / RECORD).read_text("utf-8"))
            with suppress(FileNotFoundError):
                shutil.rmtree(work)
            staging.publish()
    return Trained(output, record)


def identity_of(recipe: TrainingRecipe, say: Say = silent) -> str:
    """The `identity` in the output's training_recipe.json: a digest of recipe, starting weights, data and template.

    Raises what opening model and data raises.
    """
    template = None if recipe.chat_template is None else read_template(recipe.chat_template)
    with Checkpoint.open(recipe.model, say) as start:
        return _identity(recipe, start, open_data(recipe.data), template)[0]


def _identity(
    recipe: TrainingRecipe, start: Checkpoint, files: list[DataFile], template: str | None
) -> tuple[str, str]:
    """The first twelve hex digits of the training's SHA-256, and the whole SHA-256 of the model that it starts from."""
    origin = hashlib.sha256(json.dumps(fingerprint(start, Sample(start)).as_dict(), sort_keys=True).encode())
    identity = {
        "recipe": recipe.identity() | {"learning_rate": recipe.rate},
        "start": origin.hexdigest(),
        "data": [file.sha256 for file in files],
        "template": template,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return digest, origin.hexdigest()


@contextmanager
def _discarded_before_a_checkpoint(staging: Staging, work: Path) -> Iterator[None]:
    """Removes the staging directory if data or template are refused, unless it has a checkpoint to continue from.

    With corrected input the training has another identity, and the directory would be in its way.
    """
    try:
        yield
    except InputError:
        if not any(work.glob("checkpoint-*")):
            staging.discard()
        raise


def _train(
    recipe: TrainingRecipe,
    start: Checkpoint,
    files: list[DataFile],
    template: str | None,
    staging: Staging,
    work: Path,
    gpu: bool,
    meter: Meter | None,
    say: Say,
) -> dict[str, Any]:
    import torch
    import transformers
    from datasets import disable_progress_bars

    from chatvector.training.trainers import Watcher, build, last_checkpoint, quiet

    began = time.monotonic()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    disable_progress_bars()
    assert start.local_path is not None
    precision = precision_of(recipe, gpu)
    tokenizer, model = _load(recipe, start.local_path, torch.bfloat16 if precision == "bf16" else torch.float32)
    encoder = None if recipe.stage == "cp" else Encoder(tokenizer, template)
    shutil.rmtree(work / "data", ignore_errors=True)
    (work / "data").mkdir(parents=True)
    rows = read_rows(files, recipe.stage, recipe.columns)
    with ClearFailures(recipe, staging):
        dataset, tally = write_examples(rows, recipe, tokenizer, encoder, work / "data" / "examples.arrow")
    say(
        f"{tally.rows} rows, {tally.tokens} tokens, {tally.counted} of them in the loss;"
        f" {tally.cut} rows cut at {recipe.max_length} tokens, {tally.left_out} left out"
    )
    for line in _warnings(recipe, start, tokenizer, model, tally.special):
        say(f"warning: {line}")
    watcher = Watcher(meter, say)
    with quiet(), ClearFailures(recipe, staging):
        trainer = build(
            recipe,
            model,
            tokenizer,
            dataset,
            work,
            watcher,
            on_gpu=gpu,
            autocast=precision != "fp32",
        )
        check_space(trainer.model, start, staging, work, 2 if precision == "bf16" else 4)
        before = last_checkpoint(work)
        if before is not None:
            say(f"continuing from step {before.name.removeprefix('checkpoint-')}")
        trainer.train(resume_from_checkpoint=None if before is None else str(before))
        write_weights(merged(trainer.model), start, staging)
    own = {"model", "data", "output", "chat_template"}
    return {
        "schema": 1,
        "recipe": recipe.model_dump(mode="json", exclude=own) | {"learning_rate": recipe.rate},
        "data": [file.as_dict() for file in files],
        "rows": tally.as_dict(),
        "steps": trainer.state.global_step,
        "precision": precision,
        "history": _history(trainer.state.log_history),
        "libraries": {name: version(name) for name in LIBRARIES},
        "run": {
            "model": recipe.model,
            "device": torch.cuda.get_device_name(0) if gpu else "cpu",
            "seconds": round(time.monotonic() - began, 1),
        },
    }


def _load(recipe: TrainingRecipe, directory: str, dtype: Any) -> tuple[Any, Any]:
    """Tokenizer and model. Raises InputError if transformers does not load them, DamagedFile if tensors are missing,
    unexpected or of another shape."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(directory)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except MemoryError:
        raise
    except Exception as error:  # a bad value in a file may raise anything, even AssertionError and KeyError
        reason = brief(error, 300) or type(error).__name__
        raise InputError(f"{recipe.model}: transformers does not load it ({reason})") from error
    model, loading = loaded
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading[problem]:
            names = first_five(sorted(map(str, loading[problem])))
            raise DamagedFile(f"{recipe.model}: {len(loading[problem])} {problem.replace('_', ' ')}: {names}")
    return tokenizer, model


def _warnings(
    recipe: TrainingRecipe, start: Checkpoint, tokenizer: Any, model: Any, special: Iterable[int]
) -> Iterator[str]:
    """Warnings about a training that can be done but may go wrong. `special` are the ids of the special tokens in the
    conversations."""
    longest = start.config.get("max_position_embeddings")
    if isinstance(longest, int) and recipe.max_length > longest:
        yield f"max_length {recipe.max_length} is more than the {longest} positions the model was made for"
    if recipe.lora is not None and (rows := _untrained(model, special)):
        tokens = first_five(f"{tokenizer.convert_ids_to_tokens(row)} {norm:.3f}" for row, norm in rows.items())
        yield (
            f"{len(rows)} special tokens of the conversations have embedding rows that were never trained"
            f" (norm under a quarter of the usual: {tokens}), and lora trains no rows: the model may not stop. Train"
            " without lora first, or start from a model that knows them"
        )


def _history(log: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The steps of a trainer's log that have a loss, with the loss and, if there is one, the margin of preferences."""
    return [
        {"step": entry["step"], **{key: entry[key] for key in ("loss", "rewards/margins") if key in entry}}
        for entry in log
        if "loss" in entry
    ]


def _untrained(model: Any, special: Iterable[int]) -> dict[int, float]:
    """Id → norm of the embedding rows of `special` that are shorter than a quarter of the median norm."""
    norms = model.get_input_embeddings().weight.detach().float().norm(dim=1)
    usual = float(norms.median())
    return {row: float(norms[row]) for row in sorted(special) if float(norms[row]) < usual / 4}


def _no_telemetry() -> None:
    """Turns off the telemetry of huggingface_hub, which TRL would also use to count its users."""
    from chatvector.checkpoint.hub import client

    client()
