# SPDX-License-Identifier: Apache-2.0
"""Measure a subject in one pass: norms, share changed, cosines between layers; ranks in further passes on request.

Memory is bounded whatever the model's size: tensors of one kind are read side by side, a part of each layer's at a
time, so that the inner products of all pairs of layers come out of a single reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.kernels import DOT_ELEMENTS, dot
from chatvector.arithmetic.reading import Buffer
from chatvector.arithmetic.roles import Role
from chatvector.errors import UsageError
from chatvector.inspection.spectrum import Energy, energy_at_rank
from chatvector.inspection.subject import Entry, Subject

# Numbers held at once, over all layers, in float64: 32 MiB.
HELD_ELEMENTS = 1 << 22
# A part of one tensor: 128 KiB of 16-bit weights, 512 KiB in float64, which stays in cache.
PART_ELEMENTS = 1 << 16
# Tables of one row per token: their rank says nothing about layers and costs most of the time.
NO_RANK: tuple[Role, ...] = ("embedding", "head", "vision", "other")

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Sums:
    """What is added up over numbers; of a sample, scaled to the whole tensor.

    Attributes:
        square: Σ W² or Σ τ², non-finite numbers left out.
        base: Σ base², None where there is no base.
        changed: how many numbers differ between base and chat; of a checkpoint or vector, how many are not zero.
        non_finite: how many are NaN or infinite.
        elements, nbytes, tensors: how much it is.
    """

    square: float
    base: float | None
    changed: float
    non_finite: int
    elements: int
    nbytes: int
    tensors: int = 1

    @property
    def norm(self) -> float:
        """Root of the sum of squares."""
        return math.sqrt(self.square)

    @property
    def relative(self) -> float | None:
        """‖τ‖ / ‖base‖."""
        return math.sqrt(self.square / self.base) if self.base else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data; schema in docs/inspect.md."""
        count = self.elements or 1
        return {
            "tensors": self.tensors,
            "elements": self.elements,
            "bytes": self.nbytes,
            "norm": self.norm,
            "rms": math.sqrt(self.square / count),
            "base_norm": None if self.base is None else math.sqrt(self.base),
            "relative": self.relative,
            "changed": self.changed / count,
            "non_finite": self.non_finite,
        }


@dataclass(frozen=True, eq=False)
class Survey:
    """What was measured.

    Attributes:
        subject: of what.
        sampled: whether figures are estimates from the fixed sample.
        sums: tensor → sums; buffers are missing.
        energies: tensor → energy at the rank asked for; matrices outside of `NO_RANK` only.
        products: role → [L, L] inner products between layers, over tensors that all layers have.
        layers: the L layers, ascending.
    """

    subject: Subject
    sampled: bool
    sums: Mapping[str, Sums]
    energies: Mapping[str, Energy]
    products: Mapping[Role, NDArray[np.float64]]
    layers: tuple[int, ...]

    def by(self, key: Callable[[Entry], Any]) -> dict[Any, Sums]:
        """Sums over groups of tensors, in the order in which they first come; None is no group."""
        groups: dict[Any, list[Sums]] = {}
        for entry in self.subject.entries:
            if entry.name in self.sums and (group := key(entry)) is not None:
                groups.setdefault(group, []).append(self.sums[entry.name])
        return {group: add(parts) for group, parts in groups.items()}

    def cosines(self, role: Role | None = None) -> NDArray[np.float64] | None:
        """[L, L] cosines between layers, of one role or of all; None where there are fewer than two layers."""
        wanted = [product for name, product in self.products.items() if role in (None, name)]
        if len(self.layers) < 2 or not wanted:
            return None
        product = np.sum(wanted, axis=0)
        norms = np.sqrt(np.diag(product))
        scale = np.outer(norms, norms)
        return np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)

    def as_dict(self) -> dict[str, Any]:
        """The document of `chatvector inspect --json`; schema in docs/inspect.md."""
        layers = dict(sorted(self.by(lambda entry: entry.layer).items()))
        return {
            "kind": self.subject.kind,
            "names": list(self.subject.names),
            "sampled": self.sampled,
            "notes": list(self.subject.notes),
            "total": add(self.sums.values()).as_dict(),
            "roles": {role: self._with_energy(sums, role=role) for role, sums in self.by(lambda e: e.role).items()},
            "layers": {
                str(layer): self._with_energy(sums, layer=layer)
                | {"roles": {r: self._with_energy(s, role=r, layer=layer) for r, s in self._roles_of(layer).items()}}
                for layer, sums in layers.items()
            },
            "layer_cosines": {
                "layers": list(self.layers),
                "all": _listed(self.cosines()),
                "roles": {role: _listed(self.cosines(role)) for role in self.products},
            },
            "tensors": {entry.name: self._tensor(entry) for entry in self.subject.entries},
        }

    def energy(self, role: Role | None = None, layer: int | None = None) -> Energy | None:
        """Energy at the rank, over the matrices of a role or layer, weighed by their squares."""
        chosen = [
            (self.sums[entry.name].square, self.energies[entry.name])
            for entry in self.subject.entries
            if entry.name in self.energies and role in (None, entry.role) and layer in (None, entry.layer)
        ]
        total = sum(square for square, _ in chosen)
        if not total:
            return None
        low, high = (
            sum(square * bound for square, bound in zip((s for s, _ in chosen), bounds, strict=True)) / total
            for bounds in ([e.low for _, e in chosen], [e.high for _, e in chosen])
        )
        return Energy(chosen[0][1].rank, low, high)

    def _roles_of(self, layer: int) -> dict[Role, Sums]:
        return self.by(lambda entry: entry.role if entry.layer == layer else None)

    def _with_energy(self, sums: Sums, **where: Any) -> dict[str, Any]:
        return sums.as_dict() | {"energy": _energy_dict(self.energy(**where))}

    def _tensor(self, entry: Entry) -> dict[str, Any]:
        known = {"role": entry.role, "layer": entry.layer, "dtype": entry.dtype, "shape": list(entry.shape)}
        sums = self.sums.get(entry.name)
        if sums is None:
            return known | {"bytes": entry.nbytes, "measured": False}
        figures = sums.as_dict() | {"energy": _energy_dict(self.energies.get(entry.name))}
        del figures["tensors"]
        return known | {"measured": True} | figures


def survey(
    subject: Subject, *, sample: bool = False, rank: int | None = None, advance: Advance = lambda _nbytes: None
) -> Survey:
    """Measure `subject`.

    Args:
        sample: read only the fixed sample, at most 32 MiB a model; figures are estimates then.
        rank: also the energy that matrices of this rank capture.
        advance: is told of bytes read.

    Raises UsageError for a rank below 1 or together with `sample`, and what reading raises.
    """
    if rank is not None and rank < 1:
        raise UsageError(f"--rank {rank}: a rank is at least 1")
    if rank is not None and sample:
        raise UsageError("--rank needs whole matrices; leave --sample out")
    sums: dict[str, Sums] = {}
    layers = tuple(sorted({entry.layer for entry in subject.entries if entry.layer is not None}))
    products: dict[Role, NDArray[np.float64]] = {}
    for group in subject.groups():
        gram = _measure(group, sums, sample=sample, tensors=len(subject.entries), advance=advance)
        if subject.kind != "checkpoint" and tuple(entry.layer for entry in group) == layers and layers:
            role = group[0].role
            products[role] = products[role] + gram if role in products else gram
    energies: dict[str, Energy] = {}
    for entry in subject.entries if rank is not None else ():
        if entry.plus is not None and len(entry.shape) == 2 and entry.role not in NO_RANK:
            assert rank is not None
            if (found := _energy(entry, rank)) is not None:
                energies[entry.name] = found
    return Survey(subject, sample, sums, energies, products, layers)


def add(parts: Iterable[Sums]) -> Sums:
    """Sums of sums; the base counts only where all have one."""
    listed = list(parts)
    bases = [part.base for part in listed if part.base is not None]
    return Sums(
        math.fsum(part.square for part in listed),
        math.fsum(bases) if bases and len(bases) == len(listed) else None,
        math.fsum(part.changed for part in listed),
        sum(part.non_finite for part in listed),
        sum(part.elements for part in listed),
        sum(part.nbytes for part in listed),
        sum(part.tensors for part in listed),
    )


def bytes_to_read(subject: Subject) -> int:
    """Bytes of the tensors that a whole survey reads once."""
    return sum(entry.nbytes * (1 if entry.minus is None else 2) for entry in subject.entries if entry.plus is not None)


def _measure(
    group: list[Entry], sums: dict[str, Sums], *, sample: bool, tensors: int, advance: Advance
) -> NDArray[np.float64]:
    """Add up a group of equally shaped tensors; returns the [L, L] inner products between them."""
    count = len(group)
    gram, base2 = np.zeros((count, count)), np.zeros(count)
    changed, bad = np.zeros(count), np.zeros(count, np.int64)
    buffer, read = Buffer(), 0
    held = np.empty(0)  # used again for every part: fresh memory costs more than the arithmetic
    for piece in group[0].pieces(min(PART_ELEMENTS, HELD_ELEMENTS // count), sample=sample, tensors=tensors):
        size = piece[1] - piece[0]
        if len(held) < count * size:
            held = np.empty(count * size)
        block = held[: count * size].reshape(count, size)
        for number, entry in enumerate(group):
            base = entry.read(piece, block[number], buffer)
            finite = np.isfinite(block[number])
            if not finite.all():
                bad[number] += size - int(np.count_nonzero(finite))
                block[number][~finite] = 0
            changed[number] += np.count_nonzero(block[number]) + (size - np.count_nonzero(finite))
            if base is not None:
                base[~np.isfinite(base)] = 0
                base2[number] += dot(base, base)
            advance(round(entry.nbytes * size / entry.elements) * (1 if base is None else 2))
        gram += _inner_products(block)
        read += size
    factor = group[0].elements / read if read else 0.0
    for number, entry in enumerate(group):
        base = float(base2[number]) * factor if entry.minus is not None else None
        square = float(gram[number, number]) * factor
        sums[entry.name] = Sums(
            square, base, float(changed[number]) * factor, int(bad[number]), entry.elements, entry.nbytes
        )
    return gram * factor


def _inner_products(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """[L, L] inner products of L rows. In short pieces, which start no threads of the linear algebra library: on a busy
    machine those wait for each other many times longer than they compute.
    """
    count, size = block.shape
    whole = size // DOT_ELEMENTS * DOT_ELEMENTS
    pieces = block[:, :whole].reshape(count, -1, DOT_ELEMENTS)
    products = np.zeros((count, count))
    for row in range(count):
        products[row, row:] = np.vecdot(pieces[row:], pieces[row]).sum(axis=1)
        products[row, row:] += np.vecdot(block[row:, whole:], block[row, whole:])
        products[row:, row] = products[row, row:]
    return products


def _energy(entry: Entry, rank: int) -> Energy | None:
    width = entry.shape[1]
    buffer = Buffer()

    def rows(start: int, stop: int) -> NDArray[np.float64]:
        block = np.empty((stop - start) * width)
        entry.read((start * width, stop * width), block, buffer)
        block[~np.isfinite(block)] = 0
        return block.reshape(-1, width)

    return energy_at_rank(rows, (entry.shape[0], width), rank) if entry.elements else None


def _energy_dict(energy: Energy | None) -> dict[str, Any] | None:
    return None if energy is None else {"rank": energy.rank, "low": energy.low, "high": energy.high}


def _listed(cosines: NDArray[np.float64] | None) -> list[list[float]] | None:
    return None if cosines is None else np.round(cosines, 6).tolist()
