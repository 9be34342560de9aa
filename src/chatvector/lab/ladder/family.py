# SPDX-License-Identifier: Apache-2.0
"""The ladder of the embedded family: what `chatvector ladder` builds without a recipe.

Fine-tuned models that the family has are taken; other models are trained in its world, in minutes on one core.
"""

from __future__ import annotations

from chatvector.checkpoint.names import DEMO_PREFIX, FAMILY
from chatvector.lab.ladder.recipe import LadderRecipe

CP = {
    "stage": "cp",
    "data": ["demo:text-ko:12000"],
    "max_length": 128,
    "batch_size": 8,
    "steps": 500,
    "learning_rate": 5e-4,
    "warmup": 20,
    "schedule": "cosine",
    "device": "cpu",
}
FT = {
    "stage": "sft",
    "data": ["demo:instructions-ko:4000"],
    "chat_template": "chat",
    "max_length": 256,
    "batch_size": 24,
    "steps": 140,
    "learning_rate": 5e-4,
    "warmup": 10,
    "schedule": "cosine",
    "device": "cpu",
}
"""CP and FT have batches, steps and rates like those of the family's own target and chat model (docs/lab.md)."""

UNTRAINED = "nothing to train it with: pip install 'chatvector[train]'"


def family_recipe(output: str, *, can_train: bool) -> tuple[LadderRecipe, dict[str, str]]:
    """The recipe, and title → reason of rungs that it leaves out because training is not installed."""
    document: dict[str, object] = {
        "base": f"{DEMO_PREFIX}base",
        "chat": f"{DEMO_PREFIX}chat",
        "target": f"{DEMO_PREFIX}target",
        "scales": [0.25, 0.5, 0.75, 1.0, 1.25],
        "ask": {"suite": "demo", "language": ["ko"], "limit": 20},
        "device": "cpu",
        "output": output,
    }
    notes: dict[str, str] = {}
    if (FAMILY / "ft").is_dir():
        document["ft"] = f"{DEMO_PREFIX}ft"
    elif can_train:
        document["ft"] = {"train": [FT]}
    else:
        notes |= dict.fromkeys(("FT", "FT + τ"), UNTRAINED)
    if can_train:
        template = f"{DEMO_PREFIX}ft" if document.get("ft") == f"{DEMO_PREFIX}ft" else "chat"
        document["chat_cp_ft"] = {"train": [CP, FT | {"chat_template": template}]}
    else:
        notes["chat → CP → FT"] = UNTRAINED
    return LadderRecipe.from_mapping(document, "the family's ladder"), notes
