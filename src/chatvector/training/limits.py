# SPDX-License-Identifier: Apache-2.0
"""Whether GPU, number format and disk of the machine suffice for a training, and clear errors if they do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.staging import FULL, free_bytes
from chatvector.errors import NotEnoughSpace, UsageError
from chatvector.sizes import disk_size
from chatvector.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from chatvector.checkpoint.staging import Staging

CHECKPOINTS = 3
"""Largest number of checkpoints on disk at a time: two that are kept and the one being written."""
ADAM_BYTES = 8
"""Bytes of AdamW's two fp32 moments per weight."""


def on_gpu(recipe: TrainingRecipe) -> bool:
    """Whether to train on a GPU. Raises UsageError if one is asked for and there is none."""
    import torch

    there = torch.cuda.is_available()
    if recipe.device == "cuda" and not there:
        raise UsageError("device cuda: torch sees no CUDA GPU here; train with device: cpu, or mend the driver")
    return there and recipe.device != "cpu"


def precision_of(recipe: TrainingRecipe, gpu: bool) -> str:
    """`fp32`, `mixed` or `bf16`; `auto` is replaced by what it means here."""
    if recipe.precision != "auto":
        return recipe.precision
    return ("bf16" if recipe.lora else "mixed") if gpu else "fp32"


def check_space(model: Any, start: Checkpoint, staging: Staging, work: Path, weight_bytes: int) -> None:
    """Raises NotEnoughSpace, before the first step, if the disk has no room for the checkpoints and the output.
    `weight_bytes` is the size of a weight in a checkpoint."""
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    checkpoint = trained * (weight_bytes + ADAM_BYTES)
    there = sum(entry.stat().st_size for entry in work.glob("checkpoint-*/*") if entry.is_file())
    needed = CHECKPOINTS * checkpoint + start.nbytes - there
    free = free_bytes(staging.output)
    if needed > free:
        raise NotEnoughSpace(
            f"{staging.output.parent}: checkpoints and output need {disk_size(needed)}, {disk_size(free)} are free;"
            " free space, train with lora, or choose another disk"
        )


class ClearFailures:
    """Within it, errors that mean that the GPU's memory or the disk is full become NotEnoughSpace with a clear
    message."""

    def __init__(self, recipe: TrainingRecipe, staging: Staging) -> None:
        self._batch = recipe.batch_size
        self._staging = staging

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import torch

        if isinstance(error, torch.OutOfMemoryError):
            raise NotEnoughSpace(
                f"the GPU's memory does not suffice; lower batch_size: {self._batch} (accumulate"
                " keeps the step), or set gradient_checkpointing: true"
            ) from error
        text = str(error)
        full = isinstance(error, OSError) and error.errno in FULL
        # torch and safetensors raise their own errors if a write fails because the disk is full.
        if full or "No space left" in text or "PytorchStreamWriter failed writing" in text:
            raise NotEnoughSpace(
                f"{self._staging.output.parent}: the disk is full; free space and run the same command again, it"
                f" continues from {self._staging.path.name}"
            ) from error
