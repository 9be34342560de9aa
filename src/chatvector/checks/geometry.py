# SPDX-License-Identifier: Apache-2.0
"""Three models as three points: how much of the chat vector is in the target, measured on sampled weights.

Two arrows leave the base model: τ = chat − base and δ = target − base. Per tensor k, on the sampled weights, δ has a
part along τ and a part across it; measured in lengths of the part across,

    y_k = ⟨δ, τ⟩ / (‖τ‖·‖δ⊥‖)        x_k = ‖τ‖ / ‖δ⊥‖

A target that grew from base by an arrow of its own has y_k = c, some small correlation that continual pre-training and
chat tuning may share (both shrink weights, both make the same layers work). If it also holds the share a of the chat
vector, then

    y_k = c + a·x_k

The plain projection ⟨δ, τ⟩ / ⟨τ, τ⟩ equals a + c·‖δ⊥‖/‖τ‖: after ten times more pre-training than tuning, a harmless
c of 0.1 looks like a whole chat vector. So a and c are fitted together over tensors, which differ in x_k, with a normal
prior on c. Where x_k hardly varies, the prior's width stays in the error of a, and nothing is claimed. Lengths across τ
do not depend on a, nor to first order on c: dividing by ‖δ‖ instead would make x and y err together.

Exchanging the arrows gives the other share: how much of the target's step is in the chat model. A triangle with a right
angle at the target has both shares by its sides: the target holds half of τ beside a step as long as that, or chat was
tuned from the target. But one of the two holds in every tensor alike, the other only on average, as lengths differ from
tensor to tensor: the points lie on one of the two lines, and off the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.kernels import dot, exact_sum
from chatvector.arithmetic.roles import Role, layer_of
from chatvector.checkpoint.fingerprint import Grid

# Correlation that two independent arrows may have: standard deviation of the prior on c, so 0.2 is two of them.
CORRELATION = 0.1
# Correlations that rise with x_k would look like a share. The error is therefore at least that of such a confounding
# of this size in y.
CONFOUNDING = 0.03
# Least share of the part across in the whole: about what 16-bit rounding of a sum leaves.
LEAST_ACROSS = 1e-3
# Least scatter of the cosines of single tensors, even if a small sample of them shows less.
LEAST_SCATTER = 0.01
# Their rows or tokens differ between vocabularies, so they say nothing about descent.
LEFT_OUT: tuple[Role, ...] = ("embedding", "head", "other")
# Gains and biases have few numbers and move together in any training: used only where there is nothing else.
VECTORS: tuple[Role, ...] = ("norm", "bias")
# The same holds for an activation's or a layer's constants. Two arrows of one number are always parallel, so the fit
# would rest on that tensor alone.
FEW = 32


@dataclass(frozen=True)
class Products:
    """Sums over the sampled weights of one or several tensors.

    Attributes:
        tau, drift, rest: ‖chat − base‖², ‖target − base‖², ‖target − chat‖².
        cross: ⟨target − base, chat − base⟩.
        base, chat, target: ‖W‖² of each model.
        elements: number of weights.
    """

    tau: float
    drift: float
    rest: float
    cross: float
    base: float
    chat: float
    target: float
    elements: int

    @property
    def cosine(self) -> float:
        """Cosine of δ and τ; 0 where one of them is zero."""
        return _cosine(self.cross, self.drift, self.tau)

    @property
    def projection(self) -> float | None:
        """⟨δ, τ⟩ / ⟨τ, τ⟩, None where τ is zero."""
        return self.cross / self.tau if self.tau else None

    @property
    def finite(self) -> bool:
        """Whether all sums are finite."""
        return math.isfinite(sum(getattr(self, key) for key in _SUMS))

    def as_dict(self) -> dict[str, Any]:
        """Figures for people: relative norms, cosine, projection; None where sums are not finite."""
        return {
            "tau_over_base": ratio(self.tau, self.base),
            "drift_over_base": ratio(self.drift, self.base),
            "cosine": self.cosine if self.finite else None,
            "projection": self.projection if self.finite else None,
            "elements": self.elements,
        }


_SUMS = ("tau", "drift", "rest", "cross", "base", "chat", "target")


@dataclass(frozen=True)
class Share:
    """The share of one arrow that another holds: 0 for nothing, 1 for all. `error` is one standard error.

    `scatter`: standard deviation of y_k around the line, at least `LEAST_SCATTER`; small where the points lie on it.
    """

    value: float
    error: float
    scatter: float = CORRELATION

    def above(self, threshold: float) -> float:
        """Standard errors above `threshold`."""
        return (self.value - threshold) / self.error if self.error > 0 else math.inf

    def __str__(self) -> str:
        return f"{self.value:+.2f} ± {self.error:.2f}"


@dataclass(frozen=True)
class Geometry:
    """What the sampled weights of three models say about their relations.

    Attributes:
        total: over the tensors that count (`LEFT_OUT` does not; `VECTORS`, and tensors of fewer than `FEW` numbers,
            only where there is nothing else).
        roles, layers: the same sums by role and by layer, over all but `LEFT_OUT`.
        chat_in_target: share of the chat vector that the target holds; None where there is no vector.
        target_in_chat: share of the target's step that the chat model holds.
        tensors: number of tensors that counted.
        same: names of the pair (`base chat`, `base target`, `chat target`) → tensors that are equal in that pair only.
        still_rows: share of the sampled blocks of the embedding that chat tuning left nearly as they were; None where
            the embeddings' shapes differ.
        non_finite: `model: tensor` of each sampled tensor that holds NaN or infinity.
    """

    total: Products
    roles: Mapping[str, Products]
    layers: Mapping[int, Products]
    chat_in_target: Share | None
    target_in_chat: Share | None
    tensors: int
    same: Mapping[str, int]
    still_rows: float | None
    non_finite: tuple[str, ...] = ()

    @property
    def finite(self) -> bool:
        """Whether all sampled weights are finite."""
        return self.total.finite

    def similarity(self) -> dict[str, float]:
        """Cosines of the models' weights: near 1 for related, near 0 for unrelated models. {} where not finite."""
        if not self.finite:
            return {}
        p = self.total
        return {
            "base chat": _cosine((p.base + p.chat - p.tau) / 2, p.base, p.chat),
            "base target": _cosine((p.base + p.target - p.drift) / 2, p.base, p.target),
            "chat target": _cosine((p.chat + p.target - p.rest) / 2, p.chat, p.target),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json` and the manifest."""
        return {
            **self.total.as_dict(),
            "tensors": self.tensors,
            "drift_over_tau": ratio(self.total.drift, self.total.tau),
            "chat_in_target": None if self.chat_in_target is None else asdict(self.chat_in_target),
            "target_in_chat": None if self.target_in_chat is None else asdict(self.target_in_chat),
            "similarity": self.similarity(),
            "same_tensors": dict(self.same),
            "still_rows": self.still_rows,
            "roles": {role: products.as_dict() for role, products in self.roles.items()},
            "layers": {str(layer): products.as_dict() for layer, products in self.layers.items()},
        }


class Sampled(Protocol):
    """Blocks of a model's tensors; `checkpoint.fingerprint.Sample` is one."""

    @property
    def grid(self) -> Grid:
        """The grid on which blocks were sampled."""
        ...

    @property
    def blocks(self) -> Mapping[str, NDArray[Any]]:
        """Tensor name → its sampled weights, flat."""
        ...


def measure(target: Sampled, base: Sampled, chat: Sampled, roles: Mapping[str, Role]) -> Geometry:
    """Compare the sampled blocks of three models that share a grid.

    `roles`: tensor name → role. Tensors that a model lacks or has in another size are left out.
    """
    found: dict[str, Products] = {}
    non_finite: list[str] = []
    same: dict[str, int] = dict.fromkeys(("base chat", "base target", "chat target"), 0)
    embedding: tuple[NDArray[Any], NDArray[Any]] | None = None
    for name, role in roles.items():
        blocks = [sample.blocks.get(name) for sample in (target, base, chat)]
        if any(block is None for block in blocks) or len({len(block) for block in blocks if block is not None}) != 1:
            continue
        if role == "embedding" and embedding is None:
            embedding = np.asarray(blocks[1]), np.asarray(blocks[2])
        if role in LEFT_OUT:
            continue
        found[name] = _products(*(np.asarray(block).astype(np.float64) for block in blocks))
        if not found[name].finite:
            pairs = zip(("target", "base", "chat"), blocks, strict=True)
            non_finite += [f"{model}: {name}" for model, block in pairs if not np.isfinite(np.asarray(block)).all()]
        equal = [pair for pair, value in _distances(found[name]).items() if value == 0]
        if len(equal) == 1:
            same[equal[0]] += 1
    counted = {name: products for name, products in found.items() if roles[name] not in VECTORS} or found
    counted = {name: products for name, products in counted.items() if products.elements >= FEW} or counted
    total = add(counted.values())
    return Geometry(
        total=total,
        roles=_grouped(found, lambda name: roles[name]),
        layers=dict(sorted(_grouped(found, layer_of).items())),
        chat_in_target=_share([(p.tau, p.drift, p.cross, p.elements) for p in counted.values()]),
        target_in_chat=_share([(p.drift, p.tau, p.cross, p.elements) for p in counted.values()]),
        tensors=len(counted),
        same=same,
        still_rows=None if embedding is None else _still(*embedding, base.grid.elements, ratio(total.tau, total.base)),
        non_finite=tuple(non_finite),
    )


def add(parts: Iterable[Products]) -> Products:
    """Add the sums of several `Products`."""
    listed = list(parts)
    sums = {key: _sum([getattr(part, key) for part in listed]) for key in _SUMS}
    return Products(**sums, elements=sum(part.elements for part in listed))


def _sum(values: Sequence[float]) -> float:
    """The sum, rounded once; NaN where a number is not finite or the sum overflows."""
    return exact_sum(values) if math.isfinite(sum(values)) else math.nan


def ratio(squares: float, other: float) -> float | None:
    """‖a‖ / ‖b‖ from their squares; None where b is zero."""
    return math.sqrt(squares / other) if other > 0 else None


def _products(target: NDArray[Any], base: NDArray[Any], chat: NDArray[Any]) -> Products:
    with np.errstate(all="ignore"):  # non-finite weights are reported by the executor, with their place
        tau, drift, rest = chat - base, target - base, target - chat
        if not (np.isfinite(tau).all() and np.isfinite(drift).all()):
            return Products(*[math.nan] * len(_SUMS), elements=len(tau))
        pairs = ((tau, tau), (drift, drift), (rest, rest), (drift, tau), (base, base), (chat, chat), (target, target))
        return Products(*(dot(left, right) for left, right in pairs), elements=len(tau))


def _distances(products: Products) -> dict[str, float]:
    return {"base chat": products.tau, "base target": products.drift, "chat target": products.rest}


def _grouped(found: Mapping[str, Products], key: Callable[[str], Any]) -> dict[Any, Products]:
    groups: dict[Any, list[Products]] = {}
    for name, products in found.items():
        if (group := key(name)) is not None:
            groups.setdefault(group, []).append(products)
    return {group: add(parts) for group, parts in groups.items()}


def _cosine(product: float, left: float, right: float) -> float:
    return product / math.sqrt(left * right) if left > 0 and right > 0 else 0.0


def _share(tensors: Sequence[tuple[float, float, float, int]]) -> Share | None:
    """Fit y_k = c + a·x_k by weighted least squares with c ~ N(0, CORRELATION²); rows are (u², v², ⟨u, v⟩, n).

    a is the share of u in v. Returns None where no tensor has both arrows, or sums are not finite.
    """
    usable = [row for row in tensors if row[0] > 0 and row[1] > 0 and math.isfinite(sum(row))]
    if not usable:
        return None
    u, v, cross, n = (np.array(column, np.float64) for column in zip(*usable, strict=True))
    # Where v is parallel to u, only rounding remains across.
    across = np.sqrt(np.maximum(v - cross**2 / u, LEAST_ACROSS**2 * v))
    x, y = np.sqrt(u) / across, cross / np.sqrt(u) / across
    # Weight of a tensor by its sample: a cosine of n numbers scatters by 1/√n, in addition to the common scatter.
    scatter = max(LEAST_SCATTER, _scatter(x, y))
    weight = 1 / (scatter**2 + 1 / n)
    information = np.array(
        [[weight.sum() + CORRELATION**-2, (weight * x).sum()], [(weight * x).sum(), (weight * x * x).sum()]]
    )
    covariance = np.linalg.inv(information)
    share = float((covariance @ np.array([(weight * y).sum(), (weight * x * y).sum()]))[1])
    error = math.sqrt(float(covariance[1, 1]) + (CONFOUNDING / float(np.average(x, weights=weight))) ** 2)
    return Share(share, error, scatter)


def _scatter(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Standard deviation of y around its straight line; CORRELATION where there are two tensors or fewer."""
    if len(x) < 3:
        return CORRELATION
    columns = np.stack([np.ones_like(x), x], axis=1)
    coefficients, *_ = np.linalg.lstsq(columns, y, rcond=None)
    residuals = y - columns @ coefficients
    return math.sqrt(float(residuals @ residuals) / (len(x) - 2))


def _still(base: NDArray[Any], chat: NDArray[Any], block: int, moved: float | None) -> float | None:
    """Share of blocks of the embedding that moved less than a tenth as far, relative to base, as the other weights."""
    count = len(base) // block
    if not moved or not count:
        return None
    before, after = (
        np.asarray(rows[: count * block]).astype(np.float64).reshape(count, block) for rows in (base, chat)
    )
    norms, steps = np.sqrt(np.vecdot(before, before)), np.sqrt(np.vecdot(after - before, after - before))
    return float(np.mean(steps <= 0.1 * moved * norms))
