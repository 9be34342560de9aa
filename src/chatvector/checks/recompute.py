# SPDX-License-Identifier: Apache-2.0
"""Written weights against their plan, computed again: a stated sample of every tensor, or every element.

No arithmetic here is shared with the kernels that wrote them. The formula is promise 2, written down once more (Chat
Vector, arXiv 2310.04799, equations 1 and 2; roundings in docs/how-it-works.md): plainly in `selfcheck.recompute`, and
for the common case of BF16 throughout in float64 by `compare.c` where it is compiled, else in integer steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.execute import available_cores
from chatvector.arithmetic.native import NativeKernel, engine
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan, Unit
from chatvector.arithmetic.read_ahead import Block, ReadAhead, have_at_hand, reads_from_afar
from chatvector.arithmetic.reading import Buffer, Buffers, read_slice
from chatvector.checkpoint.tensor_files import TensorFiles
from chatvector.checks.selfcheck import recompute

# The default sample: so many blocks of every tensor, evenly spread, of about so many elements, in whole rows where rows
# are mapped, and every transplanted row. Over a network fewer, fetched together before the comparison.
SAMPLE_BLOCKS, SAMPLE_ELEMENTS = 8, 4096
SAMPLE_BLOCKS_FROM_AFAR = 2
# Elements of one step in scratch: three arrays of 256 KiB stay in the second-level cache.
STEP_ELEMENTS = 65_536
# Elements that are read at once from each source where nothing but bytes is mapped: 1 MiB of BF16, which a disk likes
# better than the executor's smaller units.
READ_ELEMENTS = 1 << 19
# Scratch of the compiled comparison: four blocks of BF16.
NATIVE_BYTES = 1 << 20
# More threads than cores: while one waits for the disk, another computes.
THREADS_PER_CORE, MOST_THREADS = 2, 8

Advance = Callable[[int], None]
Piece = tuple[int, int, int]
"""Number of a tensor in the plan, and which elements of it."""


@dataclass(frozen=True)
class Difference:
    """A tensor that is not what the recipe means.

    Attributes:
        tensor: its name.
        reason: `missing`, `not in the plan`, how dtype or shape differ, or `values`.
        elements: differing elements among those compared.
        first: index of the first of them in the flat tensor.
    """

    tensor: str
    reason: str
    elements: int = 0
    first: int = 0

    def __str__(self) -> str:
        if self.reason != "values":
            return f"{self.tensor} ({self.reason})"
        return f"{self.tensor} ({self.elements} elements, the first is {self.first})"


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what differs."""

    tensors: int
    elements: int
    of_elements: int
    differences: tuple[Difference, ...]


def compare(
    plan: Plan, written: TensorFiles, *, full: bool, threads: int | None = None, advance: Advance = lambda _bytes: None
) -> Comparison:
    """Compare the tensors of `written` with what `plan` makes of the parents.

    Args:
        full: every element; else the sample.
        threads: at most so many; None chooses by the machine. Each needs 5 MiB of buffers for BF16, and up to 32 MiB
            where wider formats or mapped rows take the plain way.
        advance: told of bytes compared; called from several threads.

    Raises DamagedFile when a file ends early.
    """
    wrong = list(_by_header(plan, written))
    skipped = {difference.tensor for difference in wrong}
    far = written.is_remote or reads_from_afar(plan)
    blocks = SAMPLE_BLOCKS_FROM_AFAR if far else SAMPLE_BLOCKS
    pieces: Iterable[Piece] = (
        (index, start, stop)
        for index, tensor in enumerate(plan.tensors)
        if tensor.name not in skipped
        for start, stop in (_whole(plan, tensor) if full else _sample(tensor, blocks))
    )
    if far and not full:
        pieces = list(pieces)
        have_at_hand(block for piece in pieces for block in _blocks(plan, written, piece))
    count = min(threads or (MOST_THREADS if far else THREADS_PER_CORE * available_cores()), MOST_THREADS)
    run = _Run(plan, written, pieces, advance, threads=count, far=far and full)
    with ThreadPoolExecutor(count, "verify") as pool:
        pending = {pool.submit(run.work) for _ in range(count)}
        try:
            while pending:
                # Short waits let the main thread see Ctrl-C.
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
        finally:
            run.stop.set()
    wrong += run.differences()
    total = sum(tensor.elements for tensor in plan.tensors)
    return Comparison(len(plan.tensors), run.elements, total, tuple(wrong))


def _blocks(plan: Plan, written: TensorFiles, piece: Piece) -> Iterator[Block]:
    """What is read to compare a piece."""
    index, start, stop = piece
    tensor = plan.tensors[index]
    yield Slice(written, written.tensors[tensor.name]), start, stop
    yield from ((part, start, stop) for part in tensor.slices())


def _by_header(plan: Plan, written: TensorFiles) -> Iterator[Difference]:
    planned = {tensor.name: tensor for tensor in plan.tensors}
    for name, tensor in planned.items():
        ref = written.tensors.get(name)
        if ref is None:
            yield Difference(name, "missing")
        elif ref.dtype != tensor.dtype or ref.shape != tensor.shape:
            expected = f"{tensor.dtype.code} {list(tensor.shape)}"
            yield Difference(name, f"{ref.dtype.code} {list(ref.shape)} instead of {expected}")
    for name in written.tensors.keys() - planned.keys():
        yield Difference(name, "not in the plan")


def _whole(plan: Plan, tensor: TensorPlan) -> Iterator[tuple[int, int]]:
    step = READ_ELEMENTS if _is_copied(tensor) or _is_bf16(tensor) else plan.unit_elements
    if tensor.is_mapped:
        step = max(1, step // max(1, tensor.row_elements)) * tensor.row_elements
    for start in range(0, tensor.elements, max(1, step)):
        yield start, min(start + step, tensor.elements)


def _sample(tensor: TensorPlan, blocks: int) -> Iterator[tuple[int, int]]:
    """Even blocks, cut so that none overlaps; whole rows where rows are mapped, transplanted ones among them."""
    width = tensor.row_elements if tensor.is_mapped else 1
    if tensor.elements == 0 or width == 0:
        return
    rows = tensor.elements // width
    count = max(1, SAMPLE_ELEMENTS // width)
    starts = {(rows - count) * number // (blocks - 1) for number in range(blocks)} if rows > count else {0}
    chosen = {(start, min(start + count, rows)) for start in starts}
    if tensor.transplant is not None and tensor.transplant.rows is not None:
        chosen |= {(int(row), int(row) + 1) for row in np.flatnonzero(tensor.transplant.rows >= 0)}
    done = 0
    for start, stop in sorted(chosen):
        if stop > done:
            yield max(start, done) * width, stop * width
            done = stop


class _Run:
    """What the threads of one comparison share."""

    def __init__(
        self, plan: Plan, written: TensorFiles, pieces: Iterable[Piece], advance: Advance, *, threads: int, far: bool
    ) -> None:
        """`far`: whether threads take many pieces at a time, and ask for their bytes before."""
        self.stop = threading.Event()
        self.elements = 0
        self._plan = plan
        self._written = written
        self._pieces = ReadAhead(pieces, self._blocks, self._nbytes, threads=threads, far=far)
        self._advance = advance
        self._lock = threading.Lock()
        self._wrong: dict[int, tuple[int, int]] = {}

    def work(self) -> None:
        """Take pieces until none is left or another thread failed."""
        thread = _Thread(self._written)
        native = None
        if engine() == "native":
            native = NativeKernel(self._plan, np.empty(NATIVE_BYTES, np.uint8), Buffers())
        for index, start, stop in self._pieces:
            if self.stop.is_set():
                return
            tensor = self._plan.tensors[index]
            written = Slice(self._written, self._written.tensors[tensor.name])
            if native is not None and _is_bf16(tensor) and native.same(Unit(0, index, start, stop), written):
                count, first = 0, 0
            else:
                count, first = thread.differing(tensor, start, stop)
            with self._lock:
                self.elements += stop - start
                if count:
                    known, place = self._wrong.get(index, (0, tensor.elements))
                    self._wrong[index] = known + count, min(place, start + first)
            self._advance(self._nbytes((index, start, stop)))

    def _blocks(self, piece: Piece) -> Iterator[Block]:
        return _blocks(self._plan, self._written, piece)

    def _nbytes(self, piece: Piece) -> int:
        index, start, stop = piece
        return (stop - start) * self._plan.tensors[index].dtype.bits // 8

    def differences(self) -> Iterator[Difference]:
        """One for each tensor with a differing element, in the plan's order."""
        for index in sorted(self._wrong):
            count, first = self._wrong[index]
            yield Difference(self._plan.tensors[index].name, "values", count, first)


class _Thread:
    """Buffers and scratch of one thread."""

    def __init__(self, written: TensorFiles) -> None:
        self._written = written
        self._own, self._target, self._plus, self._minus = (Buffer() for _ in range(4))
        self._total, self._part, self._spare = (np.empty(STEP_ELEMENTS, np.uint32) for _ in range(3))
        self._narrow = np.empty(STEP_ELEMENTS, np.uint16)

    def differing(self, tensor: TensorPlan, start: int, stop: int) -> tuple[int, int]:
        """How many of the elements `start` to `stop` differ, and the first of them, counted from `start`."""
        ref = self._written.tensors[tensor.name]
        item = tensor.dtype.bits // 8
        actual = self._own.take((stop - start) * item)
        self._written.read_into(ref, start * item, actual.data)
        if _is_copied(tensor):
            assert tensor.target is not None
            # Copied bytes are compared as bytes, whatever they mean.
            raw = self._target.take((stop - start) * item)
            tensor.target.reader.read_into(tensor.target.ref, start * item, raw.data)
            return _count(actual.reshape(-1, item), raw.reshape(-1, item))
        if _is_bf16(tensor) and _has_all_rows(tensor, start, stop):
            return self._bf16(tensor, start, stop, actual.view(np.uint16))
        expected = recompute(tensor, start, stop).view(np.uint8)
        return _count(actual.reshape(-1, item), expected.reshape(-1, item))

    def _bf16(self, tensor: TensorPlan, start: int, stop: int, actual: NDArray[np.uint16]) -> tuple[int, int]:
        (term,) = tensor.terms
        assert tensor.target is not None
        assert term.minus is not None
        sources = [
            read_slice(part, start, stop, buffer).view(np.uint16)
            for part, buffer in ((tensor.target, self._target), (term.plus, self._plus), (term.minus, self._minus))
        ]
        wrong, first = 0, 0
        for begin in range(0, stop - start, STEP_ELEMENTS):
            end = min(begin + STEP_ELEMENTS, stop - start)
            narrow = self._step([source[begin:end] for source in sources], np.float32(term.scale))
            piece = actual[begin:end]
            # One comparison of memory where all is well, which is nearly always.
            if not np.array_equal(narrow, piece):
                count, place = _count(piece.reshape(-1, 1), narrow.reshape(-1, 1))
                first = first if wrong else begin + place
                wrong += count
        return wrong, first

    def _step(self, sources: list[NDArray[np.uint16]], scale: np.float32) -> NDArray[np.uint16]:
        """target + scale · (plus − minus) of BF16 bits, as BF16 bits."""
        count = len(sources[0])
        total, plus, minus = (bits[:count] for bits in (self._total, self._part, self._spare))
        for source, bits in zip(sources, (total, plus, minus), strict=True):
            # BF16 is the upper half of a float32. Widening first and shifting then is faster than doing both at once.
            np.copyto(bits, source)
            np.left_shift(bits, 16, out=bits)
        value, delta = total.view(np.float32), plus.view(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(delta, minus.view(np.float32), out=delta)
            if scale != 1:
                np.multiply(delta, scale, out=delta)
            np.add(value, delta, out=value)
        # To nearest even: add half of the last kept bit, less one where that bit is even.
        np.right_shift(total, 16, out=plus)
        np.bitwise_and(plus, 1, out=plus)
        np.add(total, plus, out=total)
        np.add(total, 0x7FFF, out=total)
        np.right_shift(total, 16, out=total)
        narrow = self._narrow[:count]
        np.copyto(narrow, total, casting="unsafe")
        return narrow


def _is_copied(tensor: TensorPlan) -> bool:
    """The target's bytes, all of them."""
    return not tensor.terms and tensor.transplant is None and tensor.target is not None and not tensor.is_mapped


def _is_bf16(tensor: TensorPlan) -> bool:
    """One vector of two parents, all in BF16."""
    if len(tensor.terms) != 1 or tensor.terms[0].minus is None or tensor.target is None:
        return False
    return tensor.dtype.code == "BF16" and all(part.ref.dtype.code == "BF16" for part in tensor.slices())


def _has_all_rows(tensor: TensorPlan, start: int, stop: int) -> bool:
    """Whether every row from element `start` to `stop` is in all sources, and none of them is transplanted."""
    width = max(1, tensor.row_elements)
    span = slice(start // width, stop // width)
    moved = None if tensor.transplant is None else tensor.transplant.rows
    if moved is not None and (moved[span] >= 0).any():
        return False
    parts = [part for part in tensor.slices() if part is not tensor.transplant]
    return all(part.rows is None or bool((part.rows[span] >= 0).all()) for part in parts)


def _count(actual: NDArray[np.generic], expected: NDArray[np.generic]) -> tuple[int, int]:
    """Differing rows of two [n, bytes] arrays, and the first; (0, 0) where there is none."""
    if np.array_equal(actual, expected):
        return 0, 0
    wrong = np.flatnonzero((actual != expected).any(axis=1))
    return len(wrong), int(wrong[0])
