# SPDX-License-Identifier: Apache-2.0
"""The models of a ladder: taken by their names, or trained stage by stage into `models/`.

A stage that exists already is used if its training's identity (recipe, start, data, template) is the one asked for;
otherwise it is refused by name. A killed stage continues from its newest checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chatvector.errors import OutputRefused, RecipeError
from chatvector.lab.ladder import world
from chatvector.lab.ladder.files import DATA, MODELS
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import MODELS as KEYS
from chatvector.lab.ladder.rungs import ModelKey
from chatvector.messages import Say
from chatvector.training.output import RECORD
from chatvector.training.recipe import TrainingRecipe
from chatvector.training.run import identity_of, train


class Meters(Protocol):
    """Makes a progress meter for a step, as a context manager."""

    def __call__(self, what: str, unit: str, /) -> Any:
        """`what` names the step; `unit` is `steps` or `replies`."""
        ...


@dataclass(frozen=True)
class Stage:
    """One training of a model.

    Attributes:
        key: the model that it leads to.
        name: name of its directory.
        recipe: the training recipe as written; model and output are still to be filled in.
    """

    key: ModelKey
    name: str
    recipe: TrainingRecipe


def stages_of(recipe: LadderRecipe, key: ModelKey) -> list[Stage]:
    """The trainings that make a model, in order. The last one's directory is the model."""
    return [
        Stage(key, f"{key.replace('_', '-')}.{number}-{one.stage}", one)
        for number, one in enumerate(recipe.stages(key), 1)
    ]


def make(recipe: LadderRecipe, out: Path, *, restart: bool, meters: Meters, say: Say) -> dict[ModelKey, str]:
    """Makes all models that the rungs need: key → name or directory.

    Raises what `train` raises, and OutputRefused for a checkpoint of another recipe, which `restart` discards.
    """
    made: dict[ModelKey, str] = {}
    for key in recipe.needed:
        stages = stages_of(recipe, key)
        name = _start(recipe, key, made) if stages else str(recipe.start(key))
        for stage in stages:
            name = _stage(_filled(stage, name, made, out), stage, restart=restart, meters=meters, say=say)
        made[key] = name
    return made


def _start(recipe: LadderRecipe, key: ModelKey, made: Mapping[ModelKey, str]) -> str:
    start = recipe.start(key)
    return made[start] if start in KEYS and start in made else str(start)


def _filled(stage: Stage, start: str, made: Mapping[ModelKey, str], out: Path) -> TrainingRecipe:
    """The stage's recipe with model, data, template and output filled in. `chat_template` may be the key of a model.
    Raises RecipeError if that model is not made before this stage."""
    template = stage.recipe.chat_template
    if template in KEYS and not Path(str(template)).exists():
        if template not in made:
            raise RecipeError(
                f"{stage.name}: chat_template: {template} is not made before it; name a file or another model"
            )
        template = made[template]
    data = tuple(world.text_file(name, out / DATA) if world.is_ours(name) else name for name in stage.recipe.data)
    changes = {"model": start, "chat_template": template, "data": data, "output": str(out / MODELS / stage.name)}
    return stage.recipe.model_copy(update=changes)


def _stage(recipe: TrainingRecipe, stage: Stage, *, restart: bool, meters: Meters, say: Say) -> str:
    """The directory of one stage, which is trained if it does not exist. Raises OutputRefused for another recipe's."""
    output = Path(str(recipe.output))
    if output.exists():
        if _identity_in(output) == identity_of(recipe, say):
            say(f"{stage.name}: found in {output}")
            return str(output)
        if not restart or not (output / RECORD).is_file():
            raise OutputRefused(
                f"{output}: a checkpoint of another recipe is in the way; take another --out, or discard it with"
                " --restart"
            )
        shutil.rmtree(output)
    say(f"{stage.name}: training from {recipe.model}")
    with meters(stage.name, "steps") as meter:
        train(recipe, restart=restart, meter=meter, say=lambda line: say(f"{stage.name}: {line}"))
    return str(output)


def _identity_in(output: Path) -> str | None:
    try:
        return json.loads((output / RECORD).read_text("utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not a training of ours, so it is refused
