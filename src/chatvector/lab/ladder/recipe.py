# SPDX-License-Identifier: Apache-2.0
"""The recipe of a ladder, as YAML or an object; it is checked as strictly as the other recipes.

    base: meta-llama/Llama-2-7b-hf
    chat: meta-llama/Llama-2-7b-chat-hf
    target: beomi/llama-2-ko-7b
    ft:
      train:
        - {stage: sft, data: [korean-instructions.jsonl], chat_template: chat, lora: {rank: 16}}
    scales: [0.5, 0.75, 1.0]
    ask: {suite: korea, limit: 100}
    output: llama-2-ko-ladder

A model is a name, or a mapping with the stages of training that make it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from chatvector.errors import RecipeError
from chatvector.lab.ladder.rungs import MODELS, PARENTS, RUNGS, STARTS, ModelKey, Rung, RungKey
from chatvector.recipe import NO_TRUTH, Document, Factor, Strict, assign_settings
from chatvector.training.recipe import LoraSpec, TrainingRecipe

Scale = Annotated[float, Field(gt=0, allow_inf_nan=False), NO_TRUTH]
Count = Annotated[int, Field(ge=1), NO_TRUTH]

BEFORE = ""
"""Placeholder for the model of a stage, which is the one that the stage before it made."""


class Source(Strict):
    """A model: taken by its name, or trained."""

    model: str | None = None
    """Its name; with `train`, the model that the training starts from, by default another of the ladder (chat and
    target: base; ft: target; chat_cp_ft: chat)."""
    train: tuple[TrainingRecipe, ...] = ()
    """Stages, one after the other, with the keys of a training recipe except `model` and `output`."""
    same: bool = False
    """For chat_cp_ft only: train it by the stages that make target and ft, starting from chat."""

    @pydantic.field_validator("train", mode="before")
    @classmethod
    def _without_model(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        for number, stage in enumerate(value):
            for key in ("model", "output"):
                if isinstance(stage, Mapping) and key in stage:
                    raise ValueError(f"stage {number + 1}: {key} is the ladder's to say; remove the key")
        return tuple({**stage, "model": BEFORE} if isinstance(stage, Mapping) else stage for stage in value)

    @pydantic.field_serializer("train")
    def _plain_stages(self, stages: tuple[TrainingRecipe, ...]) -> list[dict[str, Any]]:
        return [one.model_dump(mode="json", exclude={"model", "output"}, exclude_defaults=True) for one in stages]

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.model is None and not self.train and not self.same:
            raise ValueError("names no model and no stages that train one")
        if self.same and (self.model is not None or self.train):
            raise ValueError("same: stands alone, without model and train")
        return self


def _named(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


Model = Annotated[Source, pydantic.BeforeValidator(_named)]


class Questions(Strict):
    """What all rungs are asked, and what marks the replies."""

    suite: str | None = None
    """A suite of `chatvector eval`; `quick` if no suite, axis or task is named."""
    axis: tuple[str, ...] = ()
    """All tasks of these axes."""
    task: tuple[str, ...] = ()
    """These tasks."""
    language: tuple[str, ...] = ()
    """`ko`, `zh-Hant` …; by default the suite's own."""
    limit: Count | None = None
    """Items per task in each half: so many to choose the scale on, and so many others to report."""
    seed: int = 0
    """Seed of items, samples and resampling."""
    max_new_tokens: Count | None = None
    """Largest number of tokens in a reply, instead of each task's own."""
    chat_format_from: str | None = None
    """A model or file whose chat template is used for models without one; by default chat."""
    judge: str | None = None
    """Marks open replies: a URL or a model."""
    toxicity: str | None = None
    """Scorer of toxicity, as `chatvector eval` takes it."""
    guard: str | None = None
    """Says which replies are unsafe."""
    guard_format: str | None = None
    """How the guard's verdicts are read, if its name does not tell."""


class LadderRecipe(Document):
    """The whole comparison."""

    KEYS = "base, chat, target"
    PARTS = (Source, Questions, TrainingRecipe, LoraSpec)

    base: Model
    """The model that chat and target come from."""
    chat: Model
    """The chat model; by training: stages from base."""
    target: Model
    """The continually pre-trained model; by training: stages from base."""
    ft: Model | None = None
    """The target fine-tuned on instructions of its language; by training: stages from target."""
    chat_cp_ft: Model | None = None
    """chat → CP → FT: the chat model, continually pre-trained and fine-tuned alike; `{same: true}` trains it so."""
    rungs: tuple[RungKey, ...] | None = None
    """The rungs to build; by default all that there are models for."""
    scales: tuple[Scale, ...] = (0.5, 0.75, 1.0)
    """Scales that are tried for target + τ and FT + τ each, on the items to choose on; a single one is used as it
    is."""
    vocabulary: Literal["shared", "skip", "strict"] = "shared"
    """What happens to embedding and head: see docs/chat-format.md."""
    chat_format: str = "auto"
    """Chat format of target + τ: `auto`, `target`, `vector`, or a template file."""
    ft_chat_format: str = "target"
    """Chat format of FT + τ: `target` is FT's own."""
    system_prompt: str = "keep"
    """`keep`, `none`, or the text that replaces what the template injects by itself."""
    force_lineage: bool = False
    """Go on although the lineage is a reason to refuse: see docs/lineage.md."""
    ask: Questions = Questions()
    """What the rungs are asked."""
    weights: dict[str, Factor] = Field(default_factory=dict)
    """Weights of the parts of the figure of merit by which the scale is chosen; 1 if not named. See docs/sweep.md."""
    dtype: str | None = None
    """Number format in which models are loaded to be asked: `auto`, `fp32`, `bf16`, `fp16`."""
    device: str | None = None
    """Device on which models are asked: `cpu`, `cuda`, `cuda:1` …"""
    output: str | None = None
    """The directory to write."""

    @pydantic.field_validator("scales")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("name at least one scale")
        return tuple(sorted(set(value)))

    @pydantic.model_validator(mode="after")
    def _has_its_models(self) -> Self:
        if self.base.train and self.base.model is None:
            raise ValueError("base: say what its training starts from: model: …")
        for key in MODELS:
            source = self.source(key)
            if source is not None and source.same:
                if key != "chat_cp_ft":
                    raise ValueError(f"{key}: same is for chat_cp_ft only")
                if not self.target.train or self.ft is None or not self.ft.train:
                    raise ValueError("chat_cp_ft: same needs the stages of target and ft: train both here")
        if self.rungs is not None:
            if len(set(self.rungs)) < len(self.rungs) or not self.rungs:
                raise ValueError("rungs: name each once, and at least one")
            for rung in RUNGS:
                if rung.key in self.rungs and self.source(rung.start) is None:
                    raise ValueError(f"rungs: {rung.key} needs {rung.start}: name that model, or train it")
        wrong = [part for part, weight in self.weights.items() if weight < 0 or not math.isfinite(weight)]
        if wrong:
            raise ValueError(f"weights: {wrong[0]} must be 0 or more")
        return self

    def with_settings(self, settings: list[str]) -> LadderRecipe:
        """The recipe with `key=value` overrides, values read as YAML; `ask.limit=50` reaches inside."""
        document = self.model_dump(mode="json")
        assign_settings(document, settings, "ask.limit=50")
        return LadderRecipe.from_mapping(document, "--set")

    def source(self, key: ModelKey) -> Source | None:
        """Where a model comes from; None if the recipe does not name it."""
        return getattr(self, key)

    def stages(self, key: ModelKey) -> tuple[TrainingRecipe, ...]:
        """The trainings that make a model, in order; empty for a model that is taken as it is."""
        source = self.source(key)
        if source is None:
            return ()
        if source.same:
            assert self.ft is not None
            return (*self.target.train, *self.ft.train)
        return source.train

    def start(self, key: ModelKey) -> str | ModelKey:
        """The model itself if it is taken; else what its first stage starts from: a name, or the key of another
        model."""
        source = self.source(key)
        assert source is not None
        return source.model if source.model is not None else STARTS[key]

    @property
    def wanted(self) -> tuple[Rung, ...]:
        """The rungs to build, in the ladder's order."""
        return tuple(
            rung
            for rung in RUNGS
            if (self.rungs is None or rung.key in self.rungs) and self.source(rung.start) is not None
        )

    @property
    def left_out(self) -> dict[str, str]:
        """Title of a rung that is not built → why."""
        found = {}
        for rung in RUNGS:
            if rung not in self.wanted:
                there = self.source(rung.start) is not None
                found[rung.title] = "not among rungs:" if there else f"no {rung.start}: in the recipe"
        return found

    @property
    def needed(self) -> tuple[ModelKey, ...]:
        """The models that the rungs are made of, each after the models that its training uses."""
        used = {rung.start for rung in self.wanted}
        if any(rung.vector for rung in self.wanted) or self.ask.chat_format_from is None:
            used |= set(PARENTS)
        for key in reversed(MODELS):
            if key in used and self.stages(key):
                lent = {self.start(key), *(stage.chat_template for stage in self.stages(key))}
                used |= {one for one in MODELS if one in lent and self.source(one) is not None}
        return tuple(key for key in MODELS if key in used)

    def place(self) -> str:
        """The output directory. Raises RecipeError if none is named."""
        if self.output is None:
            raise RecipeError("output: where to? name a directory with output: or --out")
        return self.output
