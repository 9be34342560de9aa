# SPDX-License-Identifier: Apache-2.0
"""The numbers of the trio's training, in one place. `docs/lab.md` tells how they were found."""

from __future__ import annotations

from dataclasses import dataclass, field

from chatvector.lab.world1.documents import Mixture


@dataclass(frozen=True)
class Stage:
    """One training stage of AdamW with linear warm-up and cosine decay to a tenth."""

    steps: int
    learning_rate: float
    batch_tokens: int = 1024
    """Tokens a step, padding included."""
    warmup: int = 50
    embedding_factor: float = 1.0
    """Factor on the learning rate of the (tied) embedding."""
    embedding_epsilon: float = 1e-8
    """Adam's epsilon for the embedding. A large one keeps rows that hardly get a gradient (the other language's)
    where they are; Adam would otherwise blow up the faint push of the softmax on every unused row."""
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Shape:
    """The architecture: a Llama of just under one million parameters."""

    vocabulary: int = 1536
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    feed_forward: int = 344
    positions: int = 512
    rope_theta: float = 1000.0
    initial_std: float = 0.06


@dataclass(frozen=True)
class TrioRecipe:
    """Everything that decides the trio's bytes on one machine; a stage's files are reused while it is unchanged."""

    seed: int = 3
    shape: Shape = Shape()
    drill: Stage = Stage(steps=600, learning_rate=2.5e-3)
    base: Stage = Stage(steps=4500, learning_rate=2.5e-3)
    chat: Stage = Stage(steps=140, learning_rate=5e-4, warmup=10, embedding_factor=0.3, embedding_epsilon=1e-5)
    target: Stage = Stage(steps=500, learning_rate=5e-4, warmup=20)
    drill_share: float = 0.12
    """Share of drill documents kept in the base and target stages."""
    base_text: Mixture = field(default_factory=Mixture)
    target_text: Mixture = field(default_factory=lambda: Mixture(languages=(0.0, 1.0, 0.0)))
