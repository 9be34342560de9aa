# SPDX-License-Identifier: Apache-2.0
"""The recipe of a training, as YAML or an object; it is checked as strictly as the recipe of a merge.

stage: sft
model: my-org/llama-2-ko-7b
data: [instructions.jsonl]
output: llama-2-ko-7b-ft
lora: {rank: 16}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from chatvector.recipe import NO_TRUTH, Document, Strict, assign_settings

Stage = Literal["cp", "sft", "dpo"]
Positive = Annotated[int, Field(ge=1), NO_TRUTH]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False), NO_TRUTH]
Share = Annotated[float, Field(ge=0, lt=1), NO_TRUTH]

COLUMNS: Mapping[Stage, tuple[str, ...]] = {
    "cp": ("text",),
    "sft": ("messages",),
    "dpo": ("prompt", "chosen", "rejected"),
}
"""Stage → columns that it reads. See `columns` for files with other names."""


class LoraSpec(Strict):
    """Train a low-rank difference of the linear layers instead of all weights; merged in at the end."""

    rank: Positive = 16
    """Rank of the difference of each matrix."""
    alpha: Rate | None = None
    """The difference is scaled by alpha / rank; by default alpha is twice the rank."""
    dropout: Share = 0.0
    """Share of a layer's inputs that the difference does not see in a step."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the modules that get a difference, or `all-linear`: every linear layer but the head."""


class TrainingRecipe(Document):
    """One stage of training."""

    KEYS = "stage, model, data, output"
    PARTS = (LoraSpec,)

    stage: Stage
    """`cp`: continual pre-training on plain text; `sft`: fine-tuning on conversations; `dpo`: on preferences."""
    model: str
    """The model to start from: a directory, a hub name, `demo:base` and the like."""
    data: tuple[str, ...] = Field(min_length=1)
    """`.jsonl` and `.parquet` files, or `hf://datasets/ORG/NAME/FILE`; read in this order."""
    output: str | None = None
    """The directory to write."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column → its name in the files, if not `text` (`cp`); `messages` (`sft`); `prompt`, `chosen`, `rejected`
    (`dpo`)."""
    chat_template: str | None = None
    """A template file, or a model whose template is taken; by default the model's own. Not for `cp`."""
    packing: bool = True
    """`cp`: texts are joined and cut into pieces of `max_length` tokens, so that nothing is padding."""
    max_length: Positive = 1024
    """Tokens per sequence; the end of a longer one is cut off (`cp` with packing: it continues in the next one)."""
    epochs: Rate = 1.0
    """Passes over the data, unless `steps` says otherwise."""
    steps: Positive | None = None
    """Optimizer steps; the data is read again from the start if it is too short."""
    batch_size: Positive = 8
    """Sequences (pairs for `dpo`) in memory at a time."""
    accumulate: Positive = 1
    """Number of such batches per optimizer step."""
    learning_rate: Rate | None = None
    """The highest learning rate; by default 2e-5 for `cp` and `sft`, 1e-6 for `dpo` (TRL's own), ten times that with
    `lora`."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Steps in which the learning rate rises to its highest."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate continues from there: it falls to 0 by the last step, or stays constant."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False), NO_TRUTH] = 0.0
    """Weight decay of AdamW."""
    beta: Rate = 0.1
    """`dpo`: how much a step away from the starting model costs; smaller is freer."""
    lora: LoraSpec | None = None
    """Train a low-rank difference; without it, all weights."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a CUDA GPU if there is one. Only one GPU is used."""
    precision: Literal["auto", "fp32", "mixed", "bf16"] = "auto"
    """`mixed`: fp32 weights, bf16 products; `bf16`: weights too, 2 bytes each. auto: fp32 on a CPU; on a GPU mixed, and
    bf16 with `lora`, whose own weights stay fp32."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, about a third more time."""
    save_every: Positive = 100
    """Steps from one checkpoint to the next; a killed run loses at most so many."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the order of the data, of dropout and of the initial low-rank weights."""

    @pydantic.model_validator(mode="after")
    def _fits_its_stage(self) -> Self:
        known = {*COLUMNS[self.stage], *(("prompt", "completion") if self.stage == "sft" else ())}
        strange = sorted(set(self.columns) - known)
        if strange:
            raise ValueError(f"columns: {self.stage} reads {', '.join(sorted(known))}, not {', '.join(strange)}")
        only = {"packing": "cp", "beta": "dpo"}
        for key in self.model_fields_set & only.keys():
            if getattr(self, key) != type(self).model_fields[key].default and self.stage != only[key]:
                raise ValueError(f"{key}: has a meaning for stage {only[key]} only, not for {self.stage}")
        if self.stage == "cp" and self.chat_template is not None:
            raise ValueError("chat_template: plain text has no template; remove the key, or train stage sft")
        if "epochs" in self.model_fields_set and self.steps is not None:
            raise ValueError("epochs and steps: both say when to stop; keep one")
        return self

    @property
    def rate(self) -> float:
        """The learning rate: the recipe's or, by default, that of the stage."""
        if self.learning_rate is not None:
            return self.learning_rate
        return (1e-6 if self.stage == "dpo" else 2e-5) * (10 if self.lora else 1)

    def identity(self) -> dict[str, Any]:
        """The part of the recipe that determines the weights, without the names of files and models."""
        own = {"model", "data", "output", "chat_template", "save_every"}
        return self.model_dump(mode="json", exclude=own)

    def with_settings(self, settings: list[str]) -> TrainingRecipe:
        """The recipe with `key=value` overrides, values read as YAML; `lora.rank=8` reaches inside."""
        document = self.model_dump(mode="json", exclude_unset=True)
        full = document | {setting.partition("=")[0]: None for setting in settings if "." not in setting.split("=")[0]}
        assign_settings(full, settings, "learning_rate=1e-5")
        return TrainingRecipe.from_mapping(full, "--set")
