# SPDX-License-Identifier: Apache-2.0
"""Families of small models made from a seed, each with what is true of it; and the table that judging them gives.

    python tests/checks/lineage_cases.py            prints the table of docs/lineage.md

The calibration set fixed the thresholds of `chatvector.checks`; the held-out set measures them. They differ in more
than the seed: in widths, and in the steps (low rank and Gaussian noise; low rank and heavy-tailed noise that moves some
columns more than others).

In half of the families how far a tensor moves, and how much it shares with τ, depends mostly on its kind and its depth,
as in real training: then what looks like independent evidence of many tensors is that of a few kinds. In half of them
the template is made of tokens that base has too (Llama 3, Qwen, Gemma; not Llama 2). Plain text does not hold these, so
pre-training moves their rows by weight decay alone, or, where the head is tied, by one step that all such rows share.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.roles import Role
from chatvector.checkpoint.fingerprint import Grid, blocks_of, sampled_tensors
from chatvector.checks.geometry import measure
from chatvector.checks.lineage import Lineage, alarming, judge
from chatvector.checks.signs import RowSigns, Signs, compare_rows

Weights = dict[str, NDArray[Any]]
Kind = Literal[
    "honest",
    "honest, heavy",
    "swapped",
    "swapped, heavy",
    "doubled",
    "half doubled",
    "descendant",
    "descendant, heavy",
    "unrelated",
    "other base version",
    "chat from target",
    "base off by 5 %",
    "base off by 10 %",
    "base off by 15 %",
    "base off by 30 %",
]
EVERY_KIND: tuple[Kind, ...] = get_args(Kind)
# Bases that are another version than the one that chat and target grew from. The weights can be those of a descendant
# of chat, or of a target that chat was tuned from, so no single verdict is right: the causes that are named count.
FAR_BASES = EVERY_KIND[-4:]
KINDS = EVERY_KIND[:-4]
DTYPES = (np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16), np.dtype(np.float32))
ROLES: Mapping[str, Role] = {
    "input_layernorm": "norm",
    "q_proj": "attention",
    "k_proj": "attention",
    "v_proj": "attention",
    "o_proj": "attention",
    "post_attention_layernorm": "norm",
    "gate_proj": "mlp",
    "up_proj": "mlp",
    "down_proj": "mlp",
}
VOCABULARY = 512
# What is read of a model on this machine, and over a network: a sixteenth of the real samples, as the models are small.
FULL, THIN = Grid(16, 64), Grid(1, 1024, 16)
# What the verdict should be; with files that tell swapped parents from descendants, and without any.
HOLDS = frozenset({"holds the vector"})
EITHER = frozenset({"swapped or holds the vector"})
RIGHT: Mapping[Kind, tuple[frozenset[str], frozenset[str]]] = {
    "honest": (frozenset({"ok"}), frozenset({"ok"})),
    "honest, heavy": (frozenset({"ok"}), frozenset({"ok"})),
    "swapped": (frozenset({"swapped"}), EITHER),
    "swapped, heavy": (frozenset({"swapped"}), EITHER),
    "doubled": (HOLDS, EITHER),
    "half doubled": (frozenset({"holds part of the vector"}), frozenset({"holds part of the vector"})),
    "descendant": (HOLDS, EITHER),
    "descendant, heavy": (HOLDS, EITHER),
    "unrelated": (frozenset({"unrelated"}), frozenset({"unrelated"})),
    "other base version": (frozenset({"other base version"}), frozenset({"other base version"})),
    "chat from target": (frozenset({"target is the ancestor"}), frozenset({"target is the ancestor"})),
}


@dataclass(frozen=True)
class Blocks:
    """Weights in memory, sampled as a checkpoint's are."""

    blocks: Mapping[str, NDArray[Any]]
    grid: Grid


@dataclass(frozen=True)
class Case:
    """Three models, as someone hands them over, and what is true."""

    kind: Kind
    base: Blocks
    chat: Blocks
    target: Blocks
    roles: Mapping[str, Role]
    signs: Signs
    drift_over_tau: float
    correlation: float

    def judge(self, *, files: bool = True) -> Lineage:
        geometry = measure(self.target, self.base, self.chat, self.roles)
        rows = self.signs.rows if alarming(geometry) else None
        return judge(geometry, replace(self.signs, rows=rows) if files else Signs())


class Family:
    """Ancestors and steps of one architecture, from one seed."""

    def __init__(self, seed: int, *, held_out: bool) -> None:
        self.rng = np.random.default_rng([seed, int(held_out)])
        self.held_out = held_out
        self.hidden = int(self.rng.choice([80, 112, 160] if held_out else [64, 96, 128]))
        self.layers = int(self.rng.integers(2, 9))
        self.dtype = DTYPES[int(self.rng.integers(3))]
        self.spread = self.rng.uniform(0.15, 0.5)
        self.structured = bool(self.rng.random() < 0.5)
        self.template_rows = int(self.rng.integers(1, 5)) if self.rng.random() < 0.5 else 0
        self.tied = bool(self.rng.random() < 0.5)

    def roles(self) -> dict[str, Role]:
        named: dict[str, Role] = {"embed": "embedding"}
        named.update({f"layers.{n}.{name}": role for n in range(self.layers) for name, role in ROLES.items()})
        return named

    def ancestor(self) -> Weights:
        rng = self.rng
        weights: Weights = {"embed": rng.standard_normal((VOCABULARY, self.hidden)) * 0.02}
        for name, role in self.roles().items():
            if role == "norm":
                weights[name] = 1 + rng.standard_normal(self.hidden) * 0.2
            elif role != "embedding":
                columns = np.exp(rng.standard_normal(self.hidden) * 0.3)
                weights[name] = rng.standard_normal((self._rows(name), self.hidden)) * columns * 0.02
        return weights

    def step(self, like: Weights, size: float, *, touched: float = 1.0) -> Weights:
        """A direction for every tensor, `size` of its norm on average; norms move less, as in practice."""
        scatter = self._scatter(self.spread)
        return {
            name: self._embedding_step(values, size, touched)
            if name == "embed"
            else self._direction(values.shape)
            * norm(values)
            * size
            * (0.2 if values.ndim == 1 else np.exp(scatter[name]))
            for name, values in like.items()
        }

    def correlated(self, like: Weights, tau: Weights, size: float, correlation: float) -> Weights:
        """A step of its own that shares on average `correlation` with `tau` (more or less by tensor)."""
        own = self.step(like, size)
        scatter = self._scatter(0.03)
        for name, values in own.items():
            if name != "embed":
                c = correlation + scatter[name]
                length, along = norm(values), tau[name] / norm(tau[name])
                own[name] = length * c * along + np.sqrt(1 - c * c) * values
        return own

    def spoken(self, tau: Weights) -> Weights:
        """τ whose rows of the template's tokens, the last ones, were trained from scratch."""
        rows = tau["embed"].copy()
        rows[VOCABULARY - self.template_rows :] = (
            self.rng.standard_normal((self.template_rows, self.hidden)) * 0.02 * self.rng.uniform(0.2, 1)
        )
        return {**tau, "embed": rows}

    def unseen(self, start: Weights, end: Weights) -> Weights:
        """`end` of a training from `start` on text that holds no token of the template."""
        rows, first = end["embed"].copy(), VOCABULARY - self.template_rows
        shared = self.rng.standard_normal(self.hidden) * 0.02 * self.rng.uniform(0, 0.05) if self.tied else 0.0
        rows[first:] = start["embed"][first:] * (1 - self.rng.uniform(0, 0.05)) + shared
        return {**end, "embed": rows}

    def stored(self, weights: Weights, grid: Grid) -> Blocks:
        """Rounded to the family's dtype and sampled."""
        taken: dict[str, NDArray[Any]] = {}
        for name in sampled_tensors(weights, grid):
            flat = weights[name].astype(self.dtype).ravel()
            taken[name] = np.concatenate([flat[start : start + count] for start, count in blocks_of(len(flat), grid)])
        return Blocks(taken, grid)

    def _scatter(self, width: float) -> dict[str, float]:
        """A number for each tensor, `width` in deviation: its own, or mostly that of its kind and depth."""
        rng, shares = self.rng, (0.6, 0.3, 0.1) if self.structured else (0.0, 0.0, 1.0)
        of_kind = {kind: rng.standard_normal() for kind in ROLES}
        slope = rng.standard_normal()
        found: dict[str, float] = {}
        for number in range(self.layers):
            depth = np.sqrt(3) * (2 * number / (self.layers - 1) - 1)  # deviation 1, as the others
            for kind in ROLES:
                parts = (of_kind[kind], slope * depth, rng.standard_normal())
                total = sum(np.sqrt(share) * part for share, part in zip(shares, parts, strict=True))
                found[f"layers.{number}.{kind}"] = width * float(total)
        return found

    def _rows(self, name: str) -> int:
        return self.hidden * 3 if "gate" in name or "up" in name else self.hidden

    def _embedding_step(self, values: NDArray[Any], size: float, touched: float) -> NDArray[Any]:
        still = self.rng.random(len(values)) >= touched
        step = self.rng.standard_normal(values.shape) * 0.02 * size
        step[still] *= 0.02
        return step

    def _direction(self, shape: tuple[int, ...]) -> NDArray[Any]:
        rng = self.rng
        noise = rng.standard_t(4, shape) if self.held_out else rng.standard_normal(shape)
        if len(shape) == 2:
            rank = int(rng.integers(4, 17))
            left, right = rng.standard_normal((shape[0], rank)), rng.standard_normal((rank, shape[1]))
            low = np.einsum("ir,rj->ij", left, right)  # no threads of a linear algebra library
            noise = noise / norm(noise) + rng.uniform(0.3, 1.5) * low / norm(low)
            if self.held_out:
                noise *= np.exp(rng.standard_normal(shape[1]) * 0.5)
        return noise / norm(noise)


def norm(values: NDArray[Any]) -> float:
    """The length of all numbers; without threads of the linear algebra library."""
    return float(np.sqrt(np.sum(values * values)))


def plus(*parts: Weights) -> Weights:
    """Sums by tensor."""
    return {name: sum((part[name] for part in parts), np.zeros_like(parts[0][name])) for name in parts[0]}


def times(factor: float, weights: Weights) -> Weights:
    return {name: factor * values for name, values in weights.items()}


def make_case(kind: Kind, seed: int, *, held_out: bool, thin: bool = False) -> Case:
    """One case. Sizes: τ 0.3 to 6 % of base, drift 0.2 to 3 times τ (3 to 10 where heavy), correlation −0.05 to 0.2."""
    family = Family(seed * 8 + EVERY_KIND.index(kind), held_out=held_out)
    rng = family.rng
    truth, _, heavy = kind.partition(", ")
    size = float(np.exp(rng.uniform(np.log(0.003), np.log(0.03 if heavy else 0.06))))
    drift = float(rng.uniform(3, 10) if heavy else np.exp(rng.uniform(np.log(0.2), np.log(3))))
    correlation = float(rng.uniform(0.0 if heavy else -0.05, 0.2))
    ancestor = family.ancestor()
    # Embeddings frozen, trained on the tokens seen, or tied to the head, whose gradient moves every row.
    tau = family.spoken(family.step(ancestor, size, touched=float(rng.choice([0.0, 0.3, 0.6, 1.0]))))
    own = family.correlated(ancestor, tau, size * drift, correlation)
    base, chat = ancestor, plus(ancestor, tau)
    target = family.unseen(base, plus(base, own))
    base_talks, target_talks = bool(rng.random() < 0.1), bool(rng.random() < 0.05)
    templates = {"chat"} | ({"base"} if base_talks else set()) | ({"target"} if target_talks else set())
    differences: tuple[str, ...] = ()
    if truth == "swapped":
        base, chat = chat, base
        templates = {"base"} | ({"target"} if target_talks else set())
    elif truth == "doubled":
        target = plus(target, times(float(rng.uniform(0.9, 1.2)), tau))
        templates = {"chat", "target"}
    elif truth == "half doubled":
        target = plus(target, times(float(rng.uniform(0.35, 0.5)), tau))
        templates = {"chat", "target"}
    elif truth == "descendant":
        target = family.unseen(chat, plus(chat, own))
        templates = {"chat"} | ({"target"} if rng.random() < 0.5 else set())
    elif truth == "unrelated":
        stranger = family.ancestor()
        which = int(rng.integers(4))
        base = stranger if which == 0 else base
        chat = plus(stranger, tau) if which == 1 else chat
        target = plus(stranger, own) if which == 2 else target
        if which == 3:
            chat, target = plus(family.ancestor(), tau), plus(stranger, own)
    elif truth == "chat from target":
        chat = plus(target, tau)
    elif truth == "other base version":
        version = family.step(ancestor, float(rng.uniform(0.12, 0.4)))
        chat = plus(chat, version)
        differences = ("rope_theta",) if rng.random() < 0.5 else ()
    elif kind in FAR_BASES:
        base = plus(base, family.step(ancestor, float(truth.split()[3]) / 100))
        differences = ("rope_theta",) if rng.random() < 0.5 else ()
    signs = Signs(sorted(templates), rows=_rows(base, chat, target, family), differences=differences)
    base_blocks, chat_blocks, target_blocks = (
        family.stored(model, THIN if thin else FULL) for model in (base, chat, target)
    )
    return Case(kind, base_blocks, chat_blocks, target_blocks, family.roles(), signs, drift, correlation)


@dataclass(frozen=True)
class _Rows:
    values: NDArray[Any]

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.values[rows].astype(np.float32)


def _rows(base: Weights, chat: Weights, target: Weights, family: Family) -> RowSigns | None:
    ids = {str(row): row for row in range(VOCABULARY - family.template_rows, VOCABULARY)}
    models = {"base": base, "chat": chat, "target": target}
    rows = {role: _Rows(weights["embed"].astype(family.dtype)) for role, weights in models.items()}
    return compare_rows(ids, dict.fromkeys(models, ids), rows)


def cases(number: int, *, held_out: bool, thin: bool = False, kinds: Sequence[Kind] = KINDS) -> Iterator[Case]:
    """`number` cases of each kind."""
    return (make_case(kind, seed, held_out=held_out, thin=thin) for kind in kinds for seed in range(number))


@dataclass(frozen=True)
class Confusion:
    """What was said of each kind: with files, by the weights alone, and by the plain projection.

    `version`: whether another version of base is named, with files: as the cause, beside another, or not.
    """

    files: Mapping[Kind, Counter[str]]
    alone: Mapping[Kind, Counter[str]]
    projection: Mapping[Kind, Counter[str]]
    version: Mapping[Kind, Counter[str]]


def confusion(number: int, *, held_out: bool, thin: bool = False, kinds: Sequence[Kind] = KINDS) -> Confusion:
    """Judge `number` cases of each kind three times."""
    tables = Confusion(*(dict[Kind, Counter[str]]((kind, Counter()) for kind in kinds) for _ in range(4)))
    for case in cases(number, held_out=held_out, thin=thin, kinds=kinds):
        judged = case.judge()
        tables.files[case.kind][judged.verdict] += 1
        tables.version[case.kind][naming(judged)] += 1
        tables.alone[case.kind][case.judge(files=False).verdict] += 1
        total = judged.geometry.total
        far = total.projection is not None and total.projection >= 0.75 and total.cosine >= 0.1
        tables.projection[case.kind]["refused" if far else "not refused"] += 1
    return tables


def naming(judged: Lineage) -> str:
    """Whether another version of base is named as `the cause`, `beside another` or `not`."""
    if judged.verdict == "other base version":
        return "the cause"
    return "beside another" if any("another version" in reason for reason in judged.reasons) else "not"


def markdown(table: Mapping[Kind, Counter[str]], *, files: bool) -> str:
    """A table as the page shows it."""
    lines = ["| true | right | undecided | wrong | verdicts |", "|---|---|---|---|---|"]
    for kind, counts in table.items():
        right = sum(counts[verdict] for verdict in RIGHT[kind][0 if files else 1])
        total, open_ = counts.total(), counts["undecided"]
        said = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
        shares = (right / total, open_ / total, (total - right - open_) / total)
        lines.append(f"| {kind} | {' | '.join(f'{share:.0%}' for share in shares)} | {said} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="cases of each kind")
    parser.add_argument("--calibration", action="store_true", help="the calibration set instead of the held-out one")
    parser.add_argument("--honest", action="store_true", help="only the two honest kinds")
    parser.add_argument("--thin", action="store_true", help="sampled as models are that are read over a network")
    options = parser.parse_args(arguments)
    kinds = KINDS[:2] if options.honest else KINDS
    tables = confusion(options.cases, held_out=not options.calibration, thin=options.thin, kinds=kinds)
    print(f"\nWith templates, {options.cases} cases of each kind\n\n{markdown(tables.files, files=True)}")
    print(f"\nWeights alone\n\n{markdown(tables.alone, files=False)}")
    print("\nA rule of thumb instead: projection at least 0.75, cosine at least 0.1\n")
    for kind, counts in tables.projection.items():
        print(f"{kind}: refused {counts['refused'] / counts.total():.0%}")
    if not options.honest:
        far = confusion(options.cases, held_out=not options.calibration, thin=options.thin, kinds=FAR_BASES)
        print("\nWhether another version of base is named\n\n| true | the cause | beside another | not | verdicts |")
        print("|---|---|---|---|---|")
        for kind, counts in [*tables.version.items(), *far.version.items()]:
            verdicts = {**tables.files, **far.files}[kind].most_common()
            said = ", ".join(f"{verdict} {count}" for verdict, count in verdicts)
            print(f"| {kind} | {counts['the cause']} | {counts['beside another']} | {counts['not']} | {said} |")


if __name__ == "__main__":
    main(sys.argv[1:])
