# SPDX-License-Identifier: Apache-2.0
"""The lazy typed algebra: `target + 0.8 * (chat - base)`.

Two kinds of things, as points and arrows in geometry: `Weights` are a model, `Delta` is a difference of models.

| expression            | gives   |
|-----------------------|---------|
| `Weights - Weights`   | `Delta` |
| `Weights ± Delta`     | `Weights` |
| `Delta ± Delta`, `number * Delta`, `-Delta` | `Delta` |
| `Weights + Weights`, `number * Weights` | TypeError: a sum of models is no model |

Nothing is read before `save`. A Delta is kept as a sum of scaled pairs in the order written, so that a chat vector of
chat vectors (`(a - b) - (c - d)`) is streamed like any other and promise 2 says how it is rounded.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, SupportsFloat, overload

from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe, VectorSpec


@dataclass(frozen=True)
class _Term:
    """`scale · (plus − minus)`, where both are names of models; or the directory `stored` of a vector on disk."""

    scale: float
    plus: str | None = None
    minus: str | None = None
    stored: str | None = None

    def spec(self) -> VectorSpec:
        return VectorSpec(base=self.minus, chat=self.plus, vector=self.stored, scale=self.scale)

    def scaled(self, factor: float) -> _Term:
        return _Term(factor * self.scale, self.plus, self.minus, self.stored)


@dataclass(frozen=True)
class Delta:
    """A difference of models; made by subtracting `Weights`, or by `load_vector`.

    `number * Delta` raises ValueError for a number that is not finite, `Delta / 0` ZeroDivisionError.
    """

    terms: tuple[_Term, ...] = ()

    def __add__(self, other: Delta) -> Delta:
        return Delta(self.terms + other.terms) if isinstance(other, Delta) else NotImplemented

    def __sub__(self, other: Delta) -> Delta:
        return self + -other if isinstance(other, Delta) else NotImplemented

    def __neg__(self) -> Delta:
        return -1.0 * self

    def __mul__(self, factor: SupportsFloat) -> Delta:
        if isinstance(factor, bool) or not isinstance(factor, numbers.Real):
            return NotImplemented
        if not math.isfinite(factor):
            raise ValueError(f"a scale must be a finite number, not {factor}")
        return Delta(tuple(term.scaled(float(factor)) for term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Delta:
        return self * (1 / divisor)

    def __str__(self) -> str:
        return (
            " + ".join(f"{term.scale:g}·({term.stored or f'{term.plus} − {term.minus}'})" for term in self.terms) or "0"
        )


@dataclass(frozen=True)
class Weights:
    """A model, or a model plus a Delta. `load` makes the former.

    A sum of two models and a scaled model raise TypeError: neither is a model. Subtract first.
    """

    name: str
    delta: Delta = Delta()

    def __add__(self, other: Delta) -> Weights:
        if isinstance(other, Weights):
            raise TypeError("a sum of two models is no model; subtract them first: target + (chat - base)")
        return Weights(self.name, self.delta + other) if isinstance(other, Delta) else NotImplemented

    __radd__ = __add__

    @overload
    def __sub__(self, other: Delta) -> Weights: ...

    @overload
    def __sub__(self, other: Weights) -> Delta: ...

    def __sub__(self, other: Delta | Weights) -> Weights | Delta:
        if isinstance(other, Delta):
            return self + -other
        if isinstance(other, Weights):
            between = Delta() if self.name == other.name else Delta((_Term(1.0, self.name, other.name),))
            return between + self.delta - other.delta
        return NotImplemented

    def __mul__(self, factor: object) -> Weights:
        raise TypeError("a scaled model is no model; scale a difference: target + 0.8 * (chat - base)")

    __rmul__ = __mul__

    def recipe(self, output: str | None = None, **settings: Any) -> Recipe:
        """The recipe of this expression; `settings` are the recipe's other keys.

        Raises RecipeError when nothing was added to the model, or a setting is unknown.
        """
        vectors = [term.spec().model_dump() for term in self.delta.terms]
        return Recipe.from_mapping(
            {"target": self.name, "vectors": vectors, "output": None if output is None else str(output), **settings},
            "expression",
        )

    def save(self, output: str, **settings: Any) -> Result:
        """Make the model and write it to the directory `output`; see `chatvector.apply` for guarantees and errors.

        With several terms the chat format is that of the first, unless `chat_format` says otherwise.
        """
        if "chat_format" not in settings and len(self.delta.terms) > 1:
            settings["chat_format"] = "vector:1"
        return apply(self.recipe(output, **settings))

    def __str__(self) -> str:
        return f"{self.name} + {self.delta}" if self.delta.terms else self.name


def load(name: str) -> Weights:
    """A model by name: a directory, a hub name `org/name[@revision]`, or `demo:base` and the like.

    Nothing is opened yet: a model that is missing or unreadable raises its error in `save`.
    """
    return Weights(str(name))


def load_vector(path: str) -> Delta:
    """A chat vector that `extract` wrote, by its directory. Nothing is opened yet: its errors are raised in `save`."""
    return Delta((_Term(1.0, stored=str(path)),))
