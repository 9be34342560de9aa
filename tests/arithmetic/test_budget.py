# SPDX-License-Identifier: Apache-2.0
"""Promise 4: buffers stay under the budget, whatever the size of a tensor. Measured, not computed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatvector.arithmetic.execute import execute
from chatvector.arithmetic.plan import Plan, Slice
from chatvector.checkpoint.dtypes import DTYPES
from chatvector.checkpoint.staging import open_staging
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.errors import IncompatibleParents, NonFiniteValues
from plans import Arrays, Case, code_of, plan_of
from reference import BF16, F32, F64, Part

MIB = 1 << 20
# Per thread: lists of units, locks, thread objects, pieces of 8192 elements on the way. Well under one unit of scratch.
BOOKKEEPING = 400_000


def peak_of(plan: Plan, output: Path, **arguments: Any) -> int:
    """Bytes that the executor allocated at most, numpy's arrays among them."""
    with open_staging(output, plan.hash, restart=False, on_resume=lambda _: None) as staging:
        _ = plan.units, plan.shards, plan.offsets
        tracemalloc.start()
        try:
            execute(plan, staging, **arguments)
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    return peak


def wide_plan(dtype: np.dtype, vectors: int = 1, elements: int = 3_000_000) -> Plan:
    """One tensor of `elements`; all sources share one array, so that the test itself stays small."""
    values = np.full(elements, 0.25, dtype)
    return plan_of({"w": Case(values, [Part(values, values, 0.5)] * vectors)})


@pytest.mark.parametrize("dtype", [BF16, F32, F64], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("full", [False, True])
def test_a_tensor_far_larger_than_the_budget(tmp_path: Path, dtype: np.dtype, threads: int, full: bool) -> None:
    plan = wide_plan(dtype)
    memory = threads * plan.thread_bytes
    assert memory < plan.bytes_written * 3
    assert peak_of(plan, tmp_path / "out", memory=memory, threads=threads, full=full) < memory + threads * BOOKKEEPING


def test_a_mixture_and_several_vectors(tmp_path: Path) -> None:
    values, wide = np.full(2_000_000, 0.25, BF16), np.full(2_000_000, 0.25, F32)
    plan = plan_of({"w": Case(values, [Part(wide, values, 0.5), Part(values, wide, 0.5), Part(wide, wide, 0.1)])})
    assert peak_of(plan, tmp_path / "out", memory=plan.thread_bytes, threads=4) < plan.thread_bytes + BOOKKEEPING


def test_mapped_rows(tmp_path: Path) -> None:
    """Rows in reverse order: every row is a run of its own."""
    rows, width = 2000, 1000
    values = np.full((rows, width), 0.25, BF16)
    backwards: Sequence[int] = range(rows - 1, -1, -1)
    maps = {"target": range(rows), "chat0": backwards, "base0": backwards, "transplant": [-1] * (rows - 9) + [3] * 9}
    plan = plan_of({"w": Case(values, [Part(values, values, 0.5)], maps=maps, raw=values)})
    assert peak_of(plan, tmp_path / "out", memory=plan.thread_bytes, threads=1) < plan.thread_bytes + BOOKKEEPING


def test_extraction_counts_too(tmp_path: Path) -> None:
    plan = wide_plan(F32)
    plan = replace(plan, tensors=tuple(replace(tensor, target=None) for tensor in plan.tensors))
    memory = plan.thread_bytes
    assert peak_of(plan, tmp_path / "out", memory=memory, threads=1, count_inexact=True) < memory + BOOKKEEPING


def test_a_resumed_run_reads_back_within_the_budget(tmp_path: Path) -> None:
    plan = wide_plan(BF16)
    assert peak_of(plan, tmp_path / "out", memory=plan.thread_bytes, threads=1) < plan.thread_bytes + BOOKKEEPING
    assert peak_of(plan, tmp_path / "out", memory=plan.thread_bytes, threads=1) < plan.thread_bytes + BOOKKEEPING


def test_the_search_for_a_bad_value_stays_within_it(tmp_path: Path) -> None:
    plan = wide_plan(BF16)
    target = plan.tensors[0].target
    assert target is not None
    target.reader.arrays["w"][2_999_999] = np.nan  # type: ignore[attr-defined]
    with open_staging(tmp_path / "out", plan.hash, restart=False, on_resume=lambda _: None) as staging:
        tracemalloc.start()
        with pytest.raises(NonFiniteValues):
            execute(plan, staging, memory=plan.thread_bytes, threads=1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 * plan.thread_bytes + BOOKKEEPING


class Counting(Arrays):
    """A reader that notes the largest read."""

    largest = 0

    def read_into(self, ref: TensorRef, start: int, buffer: memoryview) -> None:
        self.largest = max(self.largest, len(buffer))
        super().read_into(ref, start, buffer)


@pytest.mark.parametrize("differ", [False, True])
def test_integer_buffers_are_compared_piece_by_piece(tmp_path: Path, differ: bool) -> None:
    values = np.arange(2_000_000, dtype=np.int64)
    other = values.copy()
    other[-1] += differ
    plan = wide_plan(BF16, elements=len(values))
    readers = [Counting(name, {"w": array}) for name, array in (("chat", values), ("base", other))]
    slices = tuple(Slice(reader, reader.ref("w")) for reader in readers)
    copied = replace(plan.tensors[0], dtype=code_of(values.dtype), target=slices[0], terms=(), must_equal=slices)
    plan = replace(plan, tensors=(copied,))
    assert DTYPES["I64"] == copied.dtype
    if differ:
        with pytest.raises(IncompatibleParents, match=r"w: I64 buffer differs between chat and base"):
            peak_of(plan, tmp_path / "out", memory=plan.thread_bytes, threads=1)
    else:
        assert peak_of(plan, tmp_path / "out", memory=plan.thread_bytes, threads=1) < plan.thread_bytes + BOOKKEEPING
    assert max(reader.largest for reader in readers) <= plan.thread_bytes
