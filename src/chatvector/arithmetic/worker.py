# SPDX-License-Identifier: Apache-2.0
"""Compute one unit at a time with numpy: from its sources to its output bytes and sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.kernels import (
    DOT_ELEMENTS,
    Operand,
    Scratch,
    add_vectors,
    count_inexact,
    count_non_finite,
    difference_squares,
    exact_sum,
    round_into,
    row_squares,
)
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan, Term, Unit
from chatvector.arithmetic.reading import Buffers, read_slice
from chatvector.arithmetic.roles import is_derived
from chatvector.arithmetic.statistics import Sums, measure_all

WORK_DTYPES = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64)}


class NonFiniteFound(Exception):
    """A unit holds NaN or infinity; the executor then searches the whole tensor to report where and how many."""

    def __init__(self, tensor: TensorPlan) -> None:
        super().__init__(tensor.name)
        self.tensor = tensor


class Worker:
    """Buffers and scratch of one thread. `compute` may be called for any unit, in any order.

    Between calls the compiled kernel may use `scratch` and `buffers`.
    """

    def __init__(self, plan: Plan, *, full: bool = False, count_inexact: bool = False) -> None:
        self._plan = plan
        self._full = full
        self._count_inexact = count_inexact
        self.scratch = Scratch(plan.scratch_elements, plan.work_dtype)
        self.buffers = Buffers()

    def compute(self, unit: Unit) -> tuple[NDArray[np.uint8], Sums]:
        """The unit's output bytes, valid until the next call, and its sums. Raises NonFiniteFound."""
        tensor = self._plan.tensors[unit.tensor]
        elements = unit.stop - unit.start
        out = self.buffers.at(0).take(elements * tensor.dtype.bits // 8)
        values = out.view(tensor.dtype.numpy) if tensor.dtype.kind != "low-precision" else out
        target = self._target(tensor, unit)
        sums: Sums = {}
        if tensor.terms:
            operands = [self._operand(tensor, term, place, unit) for place, term in enumerate(tensor.terms)]
            sums = self._add(tensor, target, operands, values)
            self._keep_rows(tensor, unit, target, values)
        else:
            np.copyto(values, target)
            self._check_copy(tensor, values)
        if tensor.transplant is not None:
            self._transplant(tensor, tensor.transplant, unit, values)
        return out, sums

    def _target(self, tensor: TensorPlan, unit: Unit) -> NDArray[Any]:
        if tensor.target is not None:
            return read_slice(tensor.target, unit.start, unit.stop, self.buffers.at(1))
        # x + (−0) is x for every x, including −0: a difference written without a target keeps all its bits.
        zeros = self.buffers.at(1).take((unit.stop - unit.start) * 4).view(np.float32)
        zeros.fill(-0.0)
        return zeros

    def _operand(self, tensor: TensorPlan, term: Term, place: int, unit: Unit) -> Operand:
        plus = read_slice(term.plus, unit.start, unit.stop, self.buffers.at(3 + 2 * place))
        minus = None
        if term.minus is not None:
            minus = read_slice(term.minus, unit.start, unit.stop, self.buffers.at(4 + 2 * place))
        present = _present(_parts(term), tensor, unit)
        absent = None if present is None or present.all() else ~present
        if absent is not None:
            # A row that one parent lacks gives no difference, whatever the other parent holds there.
            width = tensor.row_elements
            plus.reshape(-1, width)[absent] = 0
            if minus is not None:
                minus.reshape(-1, width)[absent] = 0
        with np.errstate(over="ignore"):  # a scale that overflows gives infinities, which are detected
            scale = WORK_DTYPES[tensor.work].type(term.scale)
        return Operand(plus, minus, scale, absent)

    def _add(self, tensor: TensorPlan, target: NDArray[Any], operands: list[Operand], values: NDArray[Any]) -> Sums:
        row = tensor.row_elements if tensor.is_mapped else DOT_ELEMENTS
        squares, finite = add_vectors(target, operands, values, self.scratch, row)
        if not finite:
            sources = [
                target,
                *(side for one in operands for side in (one.plus, one.minus) if side is not None),
            ]
            if any(count_non_finite(part) for part in (*sources, values)):
                raise NonFiniteFound(tensor)
            squares = [[difference_squares(operand)] for operand in operands]
        sums = {f"tau²/{term.vector}": exact_sum(part) for term, part in zip(tensor.terms, squares, strict=True)}
        if self._count_inexact:
            sums["inexact"] = float(sum(count_inexact(operand, values) for operand in operands))
        if self._full and tensor.target is not None:
            measured = measure_all(target, operands, values)
            numbers = [term.vector for term in tensor.terms]
            sums |= {_renumber(key, numbers): value for key, value in measured.items()}
        return sums

    def _keep_rows(self, tensor: TensorPlan, unit: Unit, target: NDArray[Any], values: NDArray[Any]) -> None:
        """Copy the target's bytes for rows that no vector touches. A cast to the working format and back preserves
        every number, but not every NaN payload."""
        touched = [rows for term in tensor.terms if (rows := _present(_parts(term), tensor, unit)) is not None]
        if len(touched) < len(tensor.terms):
            return
        kept = ~np.logical_or.reduce(touched)
        width = tensor.row_elements
        values.reshape(-1, width)[kept] = target.reshape(-1, width)[kept]

    def _transplant(self, tensor: TensorPlan, source: Slice, unit: Unit, values: NDArray[Any]) -> None:
        wanted = _present([source], tensor, unit)
        if wanted is None or not wanted.any():
            return
        raw = read_slice(source, unit.start, unit.stop, self.buffers.at(2))
        width = tensor.row_elements
        rows = raw.reshape(-1, width)[wanted].reshape(-1)
        stored = np.empty(len(rows), values.dtype)
        round_into(rows, stored)
        if count_non_finite(rows) or count_non_finite(stored):
            raise NonFiniteFound(tensor)
        values.reshape(-1, width)[wanted] = stored.reshape(-1, width)

    def _check_copy(self, tensor: TensorPlan, values: NDArray[Any]) -> None:
        # A derived buffer such as a mask may hold −inf; only weights must be finite.
        if tensor.dtype.kind != "float" or not len(values) or is_derived(tensor.name, tensor):
            return
        total, _, _ = self.scratch.take(len(values), np.dtype(np.float32))
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(total, values, casting="unsafe")
            suspicious = not math.isfinite(exact_sum(row_squares(total, DOT_ELEMENTS)))
        if suspicious and count_non_finite(values):
            raise NonFiniteFound(tensor)


def _parts(term: Term) -> list[Slice]:
    return [term.plus] if term.minus is None else [term.plus, term.minus]


def _present(parts: list[Slice], tensor: TensorPlan, unit: Unit) -> NDArray[np.bool_] | None:
    """[R] booleans: which rows of the unit all of `parts` have. None when no part is mapped."""
    width = tensor.row_elements
    mapped = [part.rows[unit.start // width : unit.stop // width] >= 0 for part in parts if part.rows is not None]
    return np.logical_and.reduce(mapped) if mapped else None


def _renumber(key: str, numbers: list[int]) -> str:
    name, slash, place = key.partition("/")
    return f"{name}/{numbers[int(place)]}" if slash else name
