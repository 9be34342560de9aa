# SPDX-License-Identifier: Apache-2.0
"""The merge that one hears, as a recipe, as YAML, and as the command that writes it."""

from __future__ import annotations

import shlex
from pathlib import Path

from chatvector.arithmetic.scales import ScaleRules, format_layers
from chatvector.errors import brief
from chatvector.recipe import Recipe
from chatvector.web.sentences import PageError

FILE = "recipe.yaml"


def recipe_at(recipe: Recipe, rules: ScaleRules, output: str | None = None) -> Recipe:
    """`recipe` with its first vector at other scales, and another output."""
    first, *others = recipe.vectors
    moved = first.model_copy(
        update={
            "scale": rules.scale,
            "scale_role": dict(rules.roles),
            "scale_layers": {format_layers(layers): scale for layers, scale in rules.layers.items()},
            "scale_tensors": dict(rules.tensors),
        }
    )
    return recipe.model_copy(update={"vectors": (moved, *others), "output": output})


def command_line(recipe: Recipe) -> str:
    """The `chatvector apply` that means the same; OUT stands where no output is named."""
    (spec,) = recipe.vectors
    scales = ["--scale", f"{spec.scale:.12g}"]
    for flag, rules in (
        ("--scale-role", spec.scale_role),
        ("--scale-layers", spec.scale_layers),
        ("--scale-tensors", spec.scale_tensors),
    ):
        for key, scale in rules.items():
            scales += [flag, f"{key}={scale:.12g}"]
    head, tail = parents_and_rest(recipe)
    return f"chatvector apply {head} {shlex.join(scales)} {tail}"


def parents_and_rest(recipe: Recipe) -> tuple[str, str]:
    """What stands before and behind the scales in that command."""
    (spec,) = recipe.vectors
    parents = ["--vector", spec.vector] if spec.vector else ["--base", spec.base or "", "--chat", spec.chat or ""]
    rest: list[str] = []
    for flag, value, usual in (
        ("--vocabulary", recipe.vocabulary, "shared"),
        ("--chat-format", recipe.chat_format, "auto"),
        ("--system-prompt", recipe.system_prompt, "keep"),
    ):
        rest += [flag, value] if value != usual else []
    rest += ["--force-lineage"] if recipe.force_lineage else []
    return shlex.join([recipe.target, *parents]), shlex.join([*rest, "-o", recipe.output or "OUT"])


def named_output(text: str) -> str:
    """The directory that somebody typed, `~` resolved. Raises UsageError for none and for the `~` of nobody; `apply`
    refuses the rest."""
    text = text.strip()
    if not text:
        raise PageError("no_output")
    if "://" in text:
        return text
    try:
        return str(Path(text).expanduser().absolute())
    except RuntimeError as error:
        raise PageError("no_home", value=brief(text)) from error
