# SPDX-License-Identifier: Apache-2.0
"""The settings of the family's training, in one place. `docs/lab.md` tells how they were found."""

from __future__ import annotations

from dataclasses import dataclass, field

from chatvector.lab.world.documents import Mixture


@dataclass(frozen=True)
class Stage:
    """One training stage with AdamW, linear warm-up and cosine decay to a tenth of the learning rate."""

    steps: int
    learning_rate: float
    batch_tokens: int = 1024
    """Tokens per step, padding included."""
    warmup: int = 50
    embedding_factor: float = 1.0
    """Factor on the learning rate of the (tied) embedding."""
    embedding_epsilon: float = 1e-8
    """Adam's epsilon for the embedding. A large one keeps rows that hardly get a gradient (those of other languages)
    where they are; otherwise Adam would amplify the faint push of the softmax on every unused row."""
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Tuning:
    """One training stage of `chatvector.training` (TRL). Its batch size counts conversations or pairs, not tokens."""

    steps: int
    learning_rate: float
    batch_size: int
    warmup: int = 10


@dataclass(frozen=True)
class Shape:
    """The architecture: a Llama of just over one million parameters."""

    vocabulary: int = 3584
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    feed_forward: int = 344
    positions: int = 512
    rope_theta: float = 1000.0
    initial_std: float = 0.06


@dataclass(frozen=True)
class FamilyRecipe:
    """Everything that determines the family's bytes on one machine. A stage is kept while the settings that determine
    it are unchanged."""

    seed: int = 5
    """Seed of all stages: of 2, 4, 5 and 6, the one that did best on development items (docs/lab.md)."""
    shape: Shape = Shape()
    drill: Stage = Stage(steps=800, learning_rate=2.5e-3)
    base: Stage = Stage(steps=5000, learning_rate=2.5e-3)
    drill_share: float = 0.12
    """Share of drill documents in all stages of plain text."""
    base_text: Mixture = field(default_factory=Mixture)
    target: Stage = Stage(steps=500, learning_rate=5e-4, warmup=20)
    """Training of each of the three targets."""
    added_tokens: int = 192
    """Number of new tokens that the extended target appends to the vocabulary."""
    sft: Stage = Stage(steps=300, learning_rate=5e-4, warmup=10, embedding_factor=0.1, embedding_epsilon=1e-5)
    skills: float = 0.5
    """Share of the dialogues of sft and ft with a request of form, which nothing but tuning teaches."""
    dpo: Tuning = Tuning(steps=60, learning_rate=2e-5, batch_size=16)
    beta: float = 0.1
    preferred_skills: float = 0.25
    """Share of the preference pairs that ask for a form."""
    ft: Tuning = Tuning(steps=200, learning_rate=5e-4, batch_size=16)
