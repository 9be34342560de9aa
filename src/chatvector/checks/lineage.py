# SPDX-License-Identifier: Apache-2.0
"""A first look at the family tree, from the sampled blocks: are base and chat swapped?

With τ = chat − base and δ = target − base, the projection p = ⟨δ, τ⟩ / ⟨τ, τ⟩ says how far the target lies along the
chat vector. A target that grew from base has p near 0: continual pre-training knows nothing of chat tuning, and in so
many dimensions unrelated directions are orthogonal. When base and chat are swapped, the true base plays chat, and
p is near 1; so it is when the target grew from the chat model, which then already holds the vector. Three models that
have nothing in common give p near 1/2. The sampling error of p is estimated from its spread over tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chatvector.arithmetic.kernels import dot
from chatvector.arithmetic.roles import Role
from chatvector.checkpoint.fingerprint import Sample
from chatvector.errors import LineageError

# A target beyond this projection is refused. Unrelated models sit at 0.5, swapped ones at 1: halfway between.
SWAPPED_PROJECTION = 0.75
# … and only when the estimate is this many standard errors above 0.5, …
CERTAINTY = 4.0
# … and the directions agree beyond chance: with thousands of sampled weights unrelated ones stay under 0.05.
SWAPPED_COSINE = 0.1
# Roles whose rows or tokens differ between vocabularies say nothing about descent.
_LEFT_OUT: tuple[Role, ...] = ("embedding", "head", "other")


@dataclass(frozen=True)
class Lineage:
    """What the sample says.

    Attributes:
        projection: p, 0 for a child of base, 1 for a child of chat (or for swapped parents); None when τ is zero.
        error: its standard error.
        cosine: of δ and τ.
        drift_over_tau: ‖δ‖ / ‖τ‖.
        elements: sampled weights.
        verdict: `ok`, `swapped`, `zero vector`, `unrelated` or `unknown`.
    """

    projection: float | None
    error: float
    cosine: float
    drift_over_tau: float
    elements: int
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        return asdict(self)


def judge_lineage(target: Sample, base: Sample, chat: Sample, roles: Mapping[str, Role]) -> Lineage:
    """Compare the sampled blocks of three models that share a grid. Takes about 20 ms for 10 million weights."""
    products: list[tuple[float, float, float]] = []
    elements = 0
    for name, role in roles.items():
        blocks = [sample.blocks.get(name) for sample in (target, base, chat)]
        sizes = {len(block) for block in blocks if block is not None}
        if role in _LEFT_OUT or any(block is None for block in blocks) or len(sizes) != 1:
            continue
        start, origin, tuned = (np.asarray(block).astype(np.float64) for block in blocks)
        delta, tau = start - origin, tuned - origin
        products.append((dot(delta, tau), dot(tau, tau), dot(delta, delta)))
        elements += len(tau)
    return _judge(products, elements)


def refuse_swapped(lineage: Lineage, names: tuple[str, str, str], *, template: tuple[bool, bool]) -> None:
    """Raise LineageError when base and chat look swapped.

    Args:
        names: target, base, chat, as the user wrote them.
        template: whether base and chat have a chat template, which tells a swap from a descendant.
    """
    if lineage.verdict != "swapped":
        return
    target, base, chat = names
    if template == (True, False):
        cause = "base and chat are swapped (only the one given as base has a chat template): exchange them"
    else:
        cause = "either base and chat are swapped, or the target already descends from the chat model"
    raise LineageError(
        f"lineage: {target} lies {lineage.projection:.2f} of the way from base ({base}) to chat ({chat}), where a child"
        f" of base lies near 0; {cause}; --force-lineage goes on all the same"
    )


def _judge(products: list[tuple[float, float, float]], elements: int) -> Lineage:
    cross, length, drift = (
        (math.fsum(column) for column in zip(*products, strict=True)) if products else (0.0, 0.0, 0.0)
    )
    if not (math.isfinite(cross) and math.isfinite(length) and math.isfinite(drift)):
        return Lineage(None, math.inf, 0.0, 0.0, elements, "unknown")
    if length == 0:
        return Lineage(None, math.inf, 0.0, 0.0, elements, "zero vector" if elements else "unknown")
    projection = cross / length
    error = _standard_error(products, projection, length)
    cosine = cross / math.sqrt(length * drift) if drift > 0 else 0.0
    certain = error == 0 or (projection - 0.5) / error >= CERTAINTY
    verdict = "ok"
    if projection >= SWAPPED_PROJECTION and cosine >= SWAPPED_COSINE and certain:
        verdict = "swapped"
    elif 0.4 <= projection <= 0.6 and cosine > 0.5:
        verdict = "unrelated"
    return Lineage(projection, error, cosine, math.sqrt(drift / length), elements, verdict)


def _standard_error(products: list[tuple[float, float, float]], projection: float, length: float) -> float:
    """Of a ratio of sums over tensors (delete-none linearisation: residuals of the numerator around p·denominator)."""
    if len(products) < 2:
        return 0.0
    residuals = [cross - projection * own for cross, own, _ in products]
    count = len(products)
    return math.sqrt(math.fsum(value * value for value in residuals) * count / (count - 1)) / length
