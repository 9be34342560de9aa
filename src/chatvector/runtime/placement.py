# SPDX-License-Identifier: Apache-2.0
"""Where the tensors of a checkpoint's files end up in a model that transformers has loaded.

Names in files and in memory differ (experts are stacked, projections joined, matrices turned), and each version of
transformers has its own conversions. None of them is repeated here: a checkpoint with the real headers and no weights,
only a few marks in every tensor, goes through `from_pretrained`, and the marks are looked for in the parameters. The
file is sparse: it takes no more disk than the pages of the marks.

A tensor's first element and its neighbour along each axis give origin and strides of the view that it has become;
further marks, at places drawn at random, must lie where that view says. What no view explains is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.plan import Plan, TensorPlan
from chatvector.errors import UnsupportedFormat, first_five

if TYPE_CHECKING:
    from torch import Tensor

CHECKS = 24
"""Marks a tensor beside those that give origin and strides: a permutation of rows or columns moves one of them."""

# Numbers that F16 and BF16 both hold exactly: 7 bits of mantissa, exponents from −14 to 15, two signs.
_MANTISSAS, _EXPONENTS = 128, 30
_VALUES = 2 * _MANTISSAS * _EXPONENTS


@dataclass(frozen=True)
class Mark:
    """A number at one element of a tensor."""

    index: tuple[int, ...]
    value: float


@dataclass(frozen=True, eq=False)
class Placement:
    """Views of parameters, by file tensor: of the tensor's shape, in the parameter's dtype.

    Attributes:
        views: none for a tensor that transformers leaves out, several for one that it copies.
        left_out: names of those tensors, of which it has the values from elsewhere (a tied head) or computes them.
    """

    views: dict[str, tuple[Tensor, ...]]
    left_out: tuple[str, ...]


def write_outline(plan: Plan, directory: Path) -> None:
    """Write the plan's files with real headers, marks in all float tensors, the target's bytes in the others."""
    for shard in plan.shards:
        with open(directory / shard.file, "wb") as file:
            file.write(shard.header)
            file.truncate(shard.size)
    for number, (tensor, offset) in enumerate(zip(plan.tensors, plan.offsets, strict=True)):
        with open(directory / tensor.file, "r+b") as file:
            if tensor.dtype.kind != "float":
                file.seek(offset)
                file.write(_whole(tensor))
                continue
            item = tensor.dtype.bits // 8
            for mark in marks_of(tensor, number):
                file.seek(offset + int(np.ravel_multi_index(mark.index, tensor.shape) if mark.index else 0) * item)
                file.write(np.array(mark.value, tensor.dtype.numpy).tobytes())


def marks_of(tensor: TensorPlan, number: int) -> list[Mark]:
    """The marks of the plan's tensor `number`: origin, a neighbour along each longer axis, then others; each place
    once, always the same."""
    if tensor.elements == 0:
        return []
    rng = np.random.default_rng([number, *tensor.shape])
    corners = [tuple(0 for _ in tensor.shape), *(step for _, step in _steps(tensor.shape))]
    drawn = (tuple(int(rng.integers(extent)) for extent in tensor.shape) for _ in range(CHECKS))
    last = tuple(extent - 1 for extent in tensor.shape)
    places = list(dict.fromkeys([*corners, last, *drawn]))
    # The origin's value differs from one tensor to the next, so that tensors of one element are told apart too.
    codes = [number % _VALUES, *(int(code) for code in rng.integers(_VALUES, size=len(places) - 1))]
    return [Mark(place, _value(code)) for place, code in zip(places, codes, strict=True)]


def find_placement(plan: Plan, model: Any) -> Placement:
    """Find every float tensor of the plan in a model that was loaded from its outline.

    Raises UnsupportedFormat for parameters whose elements are not all explained by tensors of the files.
    """
    holders = list(_holders(model))
    marked = [_Marked.of(name, values) for name, values in holders]
    views: dict[str, tuple[Tensor, ...]] = {}
    covered = dict.fromkeys((name for name, _ in holders), 0)
    left_out = []
    for number, tensor in enumerate(plan.tensors):
        if tensor.dtype.kind != "float" or tensor.elements == 0:
            continue
        found = [(one.name, view) for one in marked for view in one.find(tensor.shape, marks_of(tensor, number))]
        views[tensor.name] = tuple(view for _, view in found)
        for name, view in found:
            covered[name] += view.numel()
        if not found:
            left_out.append(tensor.name)
    lost = [name for name, values in holders if covered[name] != values.numel()]
    if lost:
        raise UnsupportedFormat(
            f"{len(lost)} parameters of the loaded model are not made of whole tensors of the files, so their"
            f" scale cannot be moved in place: {first_five(lost)}; write the model by `chatvector apply` and load that"
        )
    return Placement(views, tuple(left_out))


def _holders(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Every float tensor of the model's state, one of those that share memory."""
    seen: set[int] = set()
    for name, values in model.state_dict().items():
        if values.is_floating_point() and values.numel() and values.data_ptr() not in seen:
            seen.add(values.data_ptr())
            yield name, values


@dataclass(frozen=True, eq=False)
class _Marked:
    """A parameter and the marks in it: flat places in order, and the places of each value."""

    name: str
    values: Tensor
    flat: NDArray[np.int64]
    places: dict[float, list[int]]
    at: dict[int, float]

    @classmethod
    def of(cls, name: str, values: Tensor) -> _Marked:
        flat = values.reshape(-1).nonzero().reshape(-1)
        numbers = values.reshape(-1)[flat].double().tolist()
        where = flat.tolist()
        places: dict[float, list[int]] = {}
        for place, number in zip(where, numbers, strict=True):
            places.setdefault(number, []).append(place)
        return cls(name, values, np.array(where, np.int64), places, dict(zip(where, numbers, strict=True)))

    def find(self, shape: tuple[int, ...], marks: Sequence[Mark]) -> list[Tensor]:
        """Every view of `shape` that has the marks."""
        if not self.values.is_contiguous() or math.prod(shape) > self.values.numel():
            return []
        origin, *others = marks
        steps = dict(_steps(shape))
        values = {mark.index: mark.value for mark in marks}
        found = []
        for start in self.places.get(origin.value, []):
            choices: list[tuple[int, ...]] = [()]
            for axis in range(len(shape)):
                strides = [0]
                if axis in steps:
                    strides = [place - start for place in self.places.get(values[steps[axis]], []) if place > start]
                choices = [(*before, stride) for before in choices for stride in strides]
            for strides in choices:
                if all(self._has(start, strides, mark) for mark in others) and self._holds(start, strides, shape):
                    view = self.values.as_strided(shape, strides, self.values.storage_offset() + start)
                    found.append(view)
        return found

    def _has(self, start: int, strides: Iterable[int], mark: Mark) -> bool:
        place = start + sum(index * stride for index, stride in zip(mark.index, strides, strict=True))
        return self.at.get(place) == mark.value

    def _holds(self, start: int, strides: Sequence[int], shape: Sequence[int]) -> bool:
        """Does the view stay inside, and use no element twice?"""
        last = start + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
        reach = 0
        for stride, extent in sorted((one, extent) for one, extent in zip(strides, shape, strict=True) if extent > 1):
            if stride <= reach:
                return False
            reach += (extent - 1) * stride
        return last < self.values.numel()


def _steps(shape: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(axis, index of the origin's neighbour along it) for every axis that has one."""
    for axis, extent in enumerate(shape):
        if extent > 1:
            yield axis, tuple(int(other == axis) for other in range(len(shape)))


def _value(code: int) -> float:
    sign, rest = divmod(code, _MANTISSAS * _EXPONENTS)
    exponent, mantissa = divmod(rest, _MANTISSAS)
    return math.ldexp(1 + mantissa / _MANTISSAS, exponent - 14) * (-1) ** sign


def _whole(tensor: TensorPlan) -> bytes:
    data = bytearray(tensor.elements * tensor.dtype.bits // 8)
    assert tensor.target is not None
    tensor.target.reader.read_into(tensor.target.ref, 0, memoryview(data))
    return bytes(data)
