# SPDX-License-Identifier: Apache-2.0
"""The streaming executor: threads read a unit, compute it and write it at its final place, within one memory budget.

The bytes do not depend on threads, memory, order or interruptions: a unit is computed from the plan alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from chatvector.arithmetic.native import NativeKernel, engine
from chatvector.arithmetic.nonfinite import explain_non_finite
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan, Unit
from chatvector.arithmetic.read_ahead import Block, ReadAhead, reads_from_afar
from chatvector.arithmetic.reading import Buffer, read_slice
from chatvector.arithmetic.statistics import BASIC_SUMS, Sums, add_up
from chatvector.arithmetic.worker import NonFiniteFound, Worker
from chatvector.checkpoint.staging import Staging, checksum
from chatvector.errors import IncompatibleParents, NotEnoughSpace
from chatvector.sizes import memory_size

DEFAULT_MEMORY = 128 << 20
# Written data is flushed whenever this many bytes are pending, so that the disk works during the arithmetic and not
# after it.
FLUSH_BYTES = 256 << 20
MOST_THREADS = 8
# Integer buffers are compared in pieces of this many elements.
COMPARED_ELEMENTS = 32_768


class Progress(Protocol):
    """Receiver of the executor's progress."""

    def advance(self, nbytes: int, /) -> None:
        """`nbytes` more of the output are done. Called from several threads."""
        ...


@dataclass(frozen=True)
class Outcome:
    """Result of a run: sums per tensor, bytes kept from an earlier run, threads used, kernels (`native` or `numpy`)."""

    sums: dict[str, Sums]
    reused_bytes: int
    threads: int
    engine: str


def available_cores() -> int:
    """Cores that this process may use; all cores of the machine where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_threads(plan: Plan, memory: int, threads: int | None, *, far: bool | None = None) -> int:
    """Number of threads whose buffers fit into `memory` bytes: `threads` at most, by default one per core, or more
    when parents are read over a network.

    `far`: whether parents will be read over a network; None: as the plan has them now. Raises NotEnoughSpace when not
    even one thread fits.
    """
    if plan.thread_bytes > memory:
        raise NotEnoughSpace(
            f"--memory {memory_size(memory)}: one thread needs {memory_size(plan.thread_bytes)} of buffers for these"
            " models; raise it"
        )
    far = reads_from_afar(plan) if far is None else far
    wanted = threads or (MOST_THREADS if far else min(MOST_THREADS, available_cores()))
    return max(1, min(wanted, memory // max(1, plan.thread_bytes), len(plan.units)))


def execute(
    plan: Plan,
    staging: Staging,
    *,
    memory: int = DEFAULT_MEMORY,
    threads: int | None = None,
    full: bool = False,
    count_inexact: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Make every tensor of `plan` in `staging`.

    Units that an earlier run finished are checked against the journal and kept. Raises NonFiniteValues when a parent
    holds NaN or infinity or the result overflows, IncompatibleParents when buffers differ, NotEnoughSpace when disk or
    budget do not suffice; the staging directory then stays as it is.

    Args:
        memory: bytes of all buffers together.
        threads: the most threads to use; None: one per core, or more where parents are read over a network.
        full: also gather the sums of `--stats full`.
        count_inexact: for a difference without target, count elements whose stored value differs from float64's.
        progress: told of every finished unit.
    """
    threads = choose_threads(plan, memory, threads)
    for tensor in plan.tensors:
        check_equal(tensor)
    earlier = staging.finished_units()
    for shard in plan.shards:
        staging.create(shard.file, shard.size, shard.header)
    run = _Run(plan, staging, earlier, progress, threads, full=full)
    # Only the numpy kernels can measure these.
    kernels = "numpy" if full or count_inexact else engine()
    hands = [_Hands(plan, Worker(plan, full=full, count_inexact=count_inexact), kernels) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads + 1, "chatvector")
    try:
        futures = [pool.submit(run.work, one) for one in hands]
        flusher = pool.submit(run.flush_beside)
        _wait(futures)
        run.end()
        flusher.result()
    except NonFiniteFound as found:
        raise explain_non_finite(plan, found.tensor) from None
    finally:
        # An interruption may come at any point, even while threads are being started: tell them before the wait.
        run.end()
        pool.shutdown()
    staging.close_files()
    return run.outcome(threads, kernels)


class _Hands:
    """One thread's kernels: numpy's, and the compiled one if it is used; both share the same scratch."""

    def __init__(self, plan: Plan, worker: Worker, kernels: str) -> None:
        self.worker = worker
        self.native = NativeKernel(plan, worker.scratch.raw, worker.buffers) if kernels == "native" else None


class _Run:
    """State shared by the threads of one run."""

    def __init__(
        self,
        plan: Plan,
        staging: Staging,
        earlier: dict[int, tuple[int, Sums]],
        progress: Progress | None,
        threads: int,
        *,
        full: bool,
    ) -> None:
        self.stop = threading.Event()
        self.wake = threading.Event()
        self._plan = plan
        self._staging = staging
        self._earlier = earlier
        self._progress = progress
        self._full = full
        self._units = ReadAhead(plan.units, self._blocks, self._nbytes, threads=threads, far=reads_from_afar(plan))
        self._lock = threading.Lock()
        self._sums: dict[int, Sums] = {}
        self._reused = 0
        self._waiting = 0

    def work(self, hands: _Hands) -> None:
        """Take units until none is left or another thread failed."""
        try:
            for unit in self._units:
                if self.stop.is_set():
                    return
                self._do(hands, unit)
        except BaseException:
            self.stop.set()
            raise

    def end(self) -> None:
        """Tell all threads to finish their current unit and stop."""
        self.stop.set()
        self.wake.set()

    def flush_beside(self) -> None:
        """Flush written data to the disk while the other threads compute."""
        while not self.stop.is_set():
            self.wake.wait()
            self.wake.clear()
            if not self.stop.is_set():
                self._staging.flush()

    def outcome(self, threads: int, kernels: str) -> Outcome:
        """The result of the run, with sums for the tensors that have any."""
        parts: dict[str, list[Sums]] = {}
        for unit in self._plan.units:
            if self._sums[unit.number]:
                parts.setdefault(self._plan.tensors[unit.tensor].name, []).append(self._sums[unit.number])
        return Outcome({name: add_up(sums) for name, sums in parts.items()}, self._reused, threads, kernels)

    def _blocks(self, unit: Unit) -> Iterator[Block]:
        """The source elements to read for a unit; none where an earlier run made it."""
        if unit.number not in self._earlier:
            yield from ((part, unit.start, unit.stop) for part in self._plan.tensors[unit.tensor].slices())

    def _nbytes(self, unit: Unit) -> int:
        """Output bytes of a unit."""
        return (unit.stop - unit.start) * self._plan.tensors[unit.tensor].dtype.bits // 8

    def _do(self, hands: _Hands, unit: Unit) -> None:
        tensor = self._plan.tensors[unit.tensor]
        nbytes = self._nbytes(unit)
        place = self._plan.offsets[unit.tensor] + unit.start * tensor.dtype.bits // 8
        if self._is_kept(unit, tensor, place, nbytes):
            self._reused += nbytes
        else:
            digest, sums = self._write(hands, unit, tensor, place)
            self._staging.record(unit.number, digest, sums)
            self._sums[unit.number] = sums
            self._note_written(nbytes)
        if self._progress is not None:
            self._progress.advance(nbytes)

    def _write(self, hands: _Hands, unit: Unit, tensor: TensorPlan, place: int) -> tuple[int, Sums]:
        """Make a unit and write it at its final place; return its checksum and sums."""
        if hands.native is not None:
            made = hands.native.merge(unit, self._staging.descriptor(tensor.file), place)
            if made is not None:
                return made
        data, sums = hands.worker.compute(unit)
        self._staging.write(tensor.file, place, data.data)
        return checksum(data), sums

    def _is_kept(self, unit: Unit, tensor: TensorPlan, place: int, nbytes: int) -> bool:
        if unit.number not in self._earlier:
            return False
        digest, sums = self._earlier[unit.number]
        if self._full and tensor.terms and tensor.target is not None and "target²" not in sums:
            return False  # the earlier run measured less than this one needs
        if not self._full:
            sums = {key: value for key, value in sums.items() if key.startswith(BASIC_SUMS)}
        data = np.empty(nbytes, np.uint8)
        if not self._staging.read_into(tensor.file, place, data.data) or checksum(data) != digest:
            return False
        self._sums[unit.number] = sums
        return True

    def _note_written(self, nbytes: int) -> None:
        with self._lock:
            self._waiting += nbytes
            if self._waiting < FLUSH_BYTES:
                return
            self._waiting = 0
        self.wake.set()


def _wait(futures: list[Future[None]]) -> None:
    pending = set(futures)
    while pending:
        # Short waits let the main thread see Ctrl-C.
        finished, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()


def check_equal(tensor: TensorPlan) -> None:
    """Check that chat's and base's buffers hold the same bytes, as adding them makes no sense.

    Raises IncompatibleParents.
    """
    if len(tensor.must_equal) < 2:
        return
    first, *others = tensor.must_equal
    for other in others:
        if not _same_bytes(first, other):
            raise IncompatibleParents(
                f"{tensor.name}: {tensor.dtype.code} buffer differs between {first.reader.name} and"
                f" {other.reader.name}; integer buffers cannot be added, make the parents agree"
            )


def _same_bytes(one: Slice, other: Slice) -> bool:
    if (one.ref.dtype, one.ref.shape) != (other.ref.dtype, other.ref.shape):
        return False
    buffers = Buffer(), Buffer()
    for start in range(0, one.ref.elements, COMPARED_ELEMENTS):
        stop = min(start + COMPARED_ELEMENTS, one.ref.elements)
        left, right = (read_slice(part, start, stop, piece) for part, piece in zip((one, other), buffers, strict=True))
        if left.view(np.uint8).data != right.view(np.uint8).data:
            return False
    return True
