# SPDX-License-Identifier: Apache-2.0
"""The rungs of the ladder and the models that they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ModelKey = Literal["base", "chat", "target", "ft", "chat_cp_ft"]
RungKey = Literal["target", "target+tau", "ft", "ft+tau", "chat-cp-ft", "chat", "base+tau"]

MODELS: tuple[ModelKey, ...] = ("base", "chat", "target", "ft", "chat_cp_ft")
"""Keys of all models, each after the one that it is usually trained from."""
PARENTS: tuple[ModelKey, ...] = ("base", "chat")
"""Keys of the models that τ is made of."""
STARTS: Mapping[ModelKey, ModelKey] = {"chat": "base", "target": "base", "ft": "target", "chat_cp_ft": "chat"}
"""Model → model that its training starts from, unless the recipe says otherwise."""


@dataclass(frozen=True)
class Rung:
    """One model of the comparison.

    Attributes:
        key: its name in recipes and in names of its files.
        title: its name in reports and in the results.
        start: the model that it is, or that τ is added to.
        vector: whether τ is added.
        chosen: whether its scale is chosen on the development items; if not, it has the scale of target + τ, or the
            largest one asked for if target + τ is not a rung.
    """

    key: RungKey
    title: str
    start: ModelKey
    vector: bool = False
    chosen: bool = False


RUNGS: tuple[Rung, ...] = (
    Rung("target", "target", "target"),
    Rung("target+tau", "target + τ", "target", vector=True, chosen=True),
    Rung("ft", "FT", "ft"),
    Rung("ft+tau", "FT + τ", "ft", vector=True, chosen=True),
    Rung("chat-cp-ft", "chat → CP → FT", "chat_cp_ft"),
    Rung("chat", "chat", "chat"),
    Rung("base+tau", "base + τ", "base", vector=True),
)

PAIRS: tuple[tuple[RungKey, RungKey, str], ...] = (
    ("target+tau", "target", "what τ gives the target"),
    ("ft+tau", "ft", "what τ gives a target that was fine-tuned"),
    ("target+tau", "ft", "τ in place of fine-tuning"),
    ("target+tau", "chat-cp-ft", "τ added after, against pre-training the chat model on"),
    ("ft+tau", "target+tau", "fine-tuning beneath τ"),
    ("target+tau", "chat", "against the chat model that τ comes from"),
    ("target+tau", "base+tau", "the target beneath τ, against the base"),
)
"""Comparisons of the ladder: first rung, second rung (the difference is first − second), and what they show."""
