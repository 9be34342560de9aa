# SPDX-License-Identifier: Apache-2.0
"""TRL's trainers, set up from a recipe. Importing this module imports torch and TRL.

The data is given as token ids with labels, so the trainers neither tokenise nor mask. They report to no service.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from chatvector.messages import Say
from chatvector.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from datasets import Dataset

COMPLETE = "complete"
"""Name of an empty file that marks a checkpoint as whole: it is written after all others."""


class Meter(Protocol):
    """Shows the progress of a training in steps."""

    def start(self, total: int) -> object:
        """Begins to show progress towards `total` steps."""
        ...

    def advance(self, nbytes: int, /) -> None:
        """`nbytes` more steps are done. (The name is from the console's meter, which counts bytes for other verbs.)"""
        ...


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, TRL shows no progress bars of its own and no warnings about which users can do nothing."""
    bars = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        with warnings.catch_warnings():
            # TRL 1.16 uses a name that transformers 5.23 has changed.
            warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        os.environ.pop("TQDM_DISABLE")
        if bars is not None:
            os.environ["TQDM_DISABLE"] = bars


class _Silent:
    """Turns off what TRL does by default: counting its users, and writing a model card to every checkpoint."""

    def _send_telemetry(self) -> None:
        pass

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        pass


class _Texts(_Silent, SFTTrainer):
    pass


class _Preferences(_Silent, DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset  # the data is token ids already; SFTTrainer detects that by itself


class Watcher(TrainerCallback):
    """Shows progress, reports losses, and marks whole checkpoints."""

    def __init__(self, meter: Meter | None, say: Say) -> None:
        self._meter = meter
        self._say = say

    def on_train_begin(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> None:
        """Shows the total, and the steps that an earlier run has done."""
        del args, control
        if self._meter is not None:
            self._meter.start(state.max_steps)
            self._meter.advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> None:
        """Counts one more step. The loss of the last step is always reported."""
        del args
        control.should_log |= state.global_step >= state.max_steps
        if self._meter is not None:
            self._meter.advance(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_kwargs: Any) -> None:
        """Reports the loss in a line."""
        del args, control
        if logs and "loss" in logs:
            margin = f", margin {logs['rewards/margins']:.4f}" if "rewards/margins" in logs else ""
            self._say(f"step {state.global_step} of {state.max_steps}: loss {logs['loss']:.4f}{margin}")

    def on_save(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> None:
        """Marks the checkpoint of this step as whole."""
        del control
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def build(
    recipe: TrainingRecipe,
    model: Any,
    tokenizer: Any,
    dataset: Dataset,
    folder: Path,
    watcher: Watcher,
    *,
    on_gpu: bool,
    autocast: bool,
) -> Any:
    """The trainer of the recipe's stage. It writes its checkpoints to `folder`."""
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.rate,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "num_train_epochs": recipe.epochs,
        "max_steps": recipe.steps or -1,
        "max_length": recipe.max_length,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "bf16": autocast,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 10,
        "logging_first_step": True,
        "save_strategy": "steps",
        "save_steps": recipe.save_every,
        # A checkpoint that is being written is of no use yet, so the one before it is kept.
        "save_total_limit": 2,
    }
    lora = None if recipe.lora is None else _lora(recipe)
    args, kind = _arguments(recipe, options)
    if on_gpu:
        # With several GPUs in one process transformers would split every batch, and multiply its size.
        _ = args.device
        args._n_gpu = 1
    trainer = kind(
        model=model,
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
    )
    for own in (PrinterCallback, ProgressCallback):  # stdout is for the result
        trainer.remove_callback(own)
    return trainer


def _arguments(recipe: TrainingRecipe, options: dict[str, Any]) -> tuple[Any, Any]:
    """TRL's configuration for the stage, and its trainer class."""
    if recipe.stage == "dpo":
        # The starting model's log-probabilities are computed once, so no second model stays in memory.
        return DPOConfig(**options, beta=recipe.beta, precompute_ref_log_probs=True), _Preferences
    # Texts are joined and cut into pieces, so no attention kernel has to know their borders.
    packing = recipe.stage == "cp" and recipe.packing
    return SFTConfig(**options, packing=packing, packing_strategy="wrapped"), _Texts


def _lora(recipe: TrainingRecipe) -> Any:
    from peft import LoraConfig

    spec = recipe.lora
    assert spec is not None
    return LoraConfig(
        r=spec.rank,
        lora_alpha=2 * spec.rank if spec.alpha is None else spec.alpha,  # type: ignore[arg-type]
        lora_dropout=spec.dropout,
        target_modules=spec.targets if isinstance(spec.targets, str) else list(spec.targets),
        task_type="CAUSAL_LM",
    )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; None if there is none. Incomplete checkpoints are removed."""
    from shutil import rmtree

    whole: list[tuple[int, Path]] = []
    for place in folder.glob("checkpoint-*"):
        number = place.name.removeprefix("checkpoint-")
        if number.isdigit() and (place / COMPLETE).exists():
            whole.append((int(number), place))
        else:
            rmtree(place)
    return max(whole)[1] if whole else None
