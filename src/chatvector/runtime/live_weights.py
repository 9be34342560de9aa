# SPDX-License-Identifier: Apache-2.0
"""The parameters of a loaded model, moved along chat vectors in place: the weights of `apply` at any scale.

Every change starts from the target and computes each affected tensor anew, by the plan and the kernels of
`apply` (promise 2); nothing is added to the present values, so that rounding errors do not accumulate and any order of
changes gives the same bytes. Where the model was loaded in another dtype than its files', a parameter holds what
loading the written file would have made of it: the same bytes, cast once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from chatvector.arithmetic.execute import MOST_THREADS, available_cores
from chatvector.arithmetic.held import Holder
from chatvector.arithmetic.native import NOWHERE, NativeKernel, engine
from chatvector.arithmetic.nonfinite import explain_non_finite
from chatvector.arithmetic.plan import Plan, TensorPlan, Unit
from chatvector.arithmetic.reading import Buffer
from chatvector.arithmetic.scales import ScaleRules
from chatvector.arithmetic.worker import NonFiniteFound, Worker
from chatvector.errors import UsageError
from chatvector.runtime.placement import Placement

Replan = Callable[[Sequence[ScaleRules]], Iterable[TensorPlan]]
"""Function from the scales of every vector to the plans of all tensors. Shapes, dtypes, names and order are fixed."""

Effective = tuple[tuple[int, float], ...]
"""(vector, scale) of every term of a tensor."""


@dataclass(frozen=True)
class Change:
    """Cost of a change of scale: seconds, number of tensors computed, and their bytes (as in the files)."""

    seconds: float
    tensors: int
    nbytes: int


class LiveWeights:
    """The parameters and their sources. Not safe for two threads at once: `LiveBackend` locks."""

    def __init__(self, replan: Replan, placement: Placement, *, holder: Holder | None, threads: int | None) -> None:
        """Nothing is computed before `set`.

        Args:
            holder: keeps all sources in memory; None reads them from their files at every change.
            threads: the most threads to use; None chooses by the machine.
        """
        self._replan, self._placement, self._holder = replan, placement, holder
        self._threads = threads or min(MOST_THREADS, available_cores())
        self._now: dict[str, TensorPlan] | None = None
        self._rules: tuple[ScaleRules, ...] = ()

    def require_whole(self) -> None:
        """Raise UsageError if a change was interrupted, so that the weights are mixed."""
        if self._now is None:
            raise UsageError(
                "the last change of scale was interrupted, and the weights are half one thing, half another:"
                " set the scale again"
            )

    def at(self, rules: Sequence[ScaleRules]) -> bool:
        """Whether the weights have these scales."""
        return self._now is not None and self._rules == tuple(rules)

    @property
    def rules(self) -> tuple[ScaleRules, ...]:
        """The scales of every vector, as set last; raises as `require_whole`."""
        self.require_whole()
        return self._rules

    @property
    def tensors(self) -> tuple[TensorPlan, ...]:
        """The plans of all float tensors at the present scales; raises as `require_whole`."""
        self.require_whole()
        return tuple(tensor for tensor in (self._now or {}).values() if tensor.dtype.kind == "float")

    @property
    def effective(self) -> Mapping[str, Effective]:
        """Effective scales of every tensor that a vector moves; raises as `require_whole`."""
        self.require_whole()
        return {name: _effective(tensor) for name, tensor in (self._now or {}).items() if tensor.terms}

    def set(self, rules: Sequence[ScaleRules]) -> Change:
        """Move all parameters to these scales; only tensors whose scale changes are computed.

        Raises UsageError for rules that match nothing and NonFiniteValues where a scale overflows; the weights are
        then as they were before.
        """
        started = time.perf_counter()
        wanted = {tensor.name: tensor for tensor in self._replan(rules)}
        before, old = self._now, self._now or {}
        moved = [one for name, one in wanted.items() if name not in old or _effective(old[name]) != _effective(one)]
        moved = [one for one in moved if self._placement.views.get(one.name)]
        self._now = None
        try:
            self._compute(moved)
        except NonFiniteFound as found:
            plan = Plan(tuple(wanted.values()))
            error = explain_non_finite(plan, wanted[found.tensor.name])
            if before is not None:
                self._compute([before[one.name] for one in moved])
                self._now = before
            raise error from None
        self._now, self._rules = wanted, tuple(rules)
        return Change(
            time.perf_counter() - started, len(moved), sum(one.elements * one.dtype.bits // 8 for one in moved)
        )

    def _compute(self, tensors: Sequence[TensorPlan]) -> None:
        held = tensors if self._holder is None else self._holder.hold(tensors)
        plan = Plan(tuple(held))
        jobs: list[list[Unit]] = []
        for unit in plan.units:
            name = plan.tensors[unit.tensor].name
            whole = any(not view.is_contiguous() for view in self._placement.views[name])
            if whole and jobs and jobs[-1][0].tensor == unit.tensor:
                jobs[-1].append(unit)
            else:
                jobs.append([unit])
        count = max(1, min(self._threads, len(jobs)))
        if count == 1:
            _Hand(plan, self._placement).work(jobs)
            return
        waiting = iter(jobs)  # `next` of a list's iterator is one step: no lock is needed
        with ThreadPoolExecutor(count, "live") as pool:
            for future in [pool.submit(_Hand(plan, self._placement).work, waiting) for _ in range(count)]:
                future.result()


class _Hand:
    """One thread's buffers and kernels."""

    def __init__(self, plan: Plan, placement: Placement) -> None:
        self._plan, self._placement = plan, placement
        self._worker = Worker(plan)
        self._native = None
        if engine() == "native":
            self._native = NativeKernel(plan, self._worker.scratch.raw, self._worker.buffers)
        self._whole = Buffer()

    def work(self, jobs: Iterable[list[Unit]]) -> None:
        """Compute job after job and write each to its parameters. Raises NonFiniteFound."""
        for units in jobs:
            tensor = self._plan.tensors[units[0].tensor]
            views = self._placement.views[tensor.name]
            if len(units) == 1 and self._directly(units[0], tensor, views):
                continue
            self._by_copy(units, tensor, views)

    def _directly(self, unit: Unit, tensor: TensorPlan, views: Sequence[Any]) -> bool:
        """Let the compiled kernel write into the parameter, if its layout is the file's; whether it did."""
        if self._native is None or len(views) != 1:
            return False
        (view,) = views
        if view.device.type != "cpu" or view.dtype != _torch_dtype(tensor) or not view.is_contiguous():
            return False
        address = view.data_ptr() + unit.start * view.element_size()
        return self._native.merge(unit, NOWHERE, 0, address) is not None

    def _by_copy(self, units: Sequence[Unit], tensor: TensorPlan, views: Sequence[Any]) -> None:
        import torch

        item = tensor.dtype.bits // 8
        first, last = units[0].start, units[-1].stop
        whole = self._whole.take((last - first) * item)
        for unit in units:
            piece = whole[(unit.start - first) * item : (unit.stop - first) * item]
            if self._native is None or self._native.merge(unit, NOWHERE, 0, piece.ctypes.data) is None:
                piece[:] = self._worker.compute(unit)[0]
        values = torch.from_numpy(whole).view(_torch_dtype(tensor))
        for view in views:
            if view.is_contiguous():
                view.view(-1)[first:last].copy_(values)
            else:
                view.copy_(values.view(tensor.shape))


def _effective(tensor: TensorPlan) -> Effective:
    return tuple((term.vector, term.scale) for term in tensor.terms)


def _torch_dtype(tensor: TensorPlan) -> Any:
    import torch

    return {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}[tensor.dtype.code]
