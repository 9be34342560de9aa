# SPDX-License-Identifier: Apache-2.0
"""The compiled kernel, if available: a whole unit of work in one call, without the interpreter lock.

`kernel.c` is compiled when the package is built, if there is a C compiler. Otherwise, and for units that it does not
support, the numpy kernels do the work. Both give the same bytes. The manifest's `run` section says which one ran.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.held import HeldTensors
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan, Unit
from chatvector.arithmetic.reading import Buffers, read_slice
from chatvector.arithmetic.statistics import Sums
from chatvector.checkpoint.remote_file import Loan, RemoteFile
from chatvector.checkpoint.staging import finish_checksum
from chatvector.checkpoint.storage import LocalFile
from chatvector.checkpoint.tensor_files import TensorFiles
from chatvector.errors import UsageError

LIBRARY = Path(__file__).with_name("libkernel.so")
ENGINE_VARIABLE = "CHATVECTOR_ENGINE"
DTYPE_NUMBERS = {"BF16": 0, "F16": 1, "F32": 2, "F64": 3}
MOST_TERMS = 64
REVISION = 3  # of the structures below and their meaning; compared with the revision and sizes the library reports
STORED = {"F32": ("BF16", "F16", "F32"), "F64": ("F32", "F64")}
"""Working format → dtypes that `merge_unit` can write from it."""
DONE = 0  # from `compare_unit` too, where it means: all bytes are the same
NOWHERE = -1
NEXT = -1
"""An offset that means: the next bytes of a socket."""


class Source(ctypes.Structure):
    """`struct source` of kernel.h: a dtype, and an open file with the first byte, or an address."""

    _fields_ = [
        ("fd", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
        ("offset", ctypes.c_int64),
        ("data", ctypes.c_void_p),
    ]


class NativeTerm(ctypes.Structure):
    """`struct term` of kernel.c."""

    _fields_ = [
        ("plus", Source),
        ("minus", Source),
        ("scale", ctypes.c_double),
        ("has_minus", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]


class NativeUnit(ctypes.Structure):
    """`struct unit` of kernel.c."""

    _fields_ = [
        ("elements", ctypes.c_int64),
        ("wide", ctypes.c_int32),
        ("terms", ctypes.c_int32),
        ("target", Source),
        ("output", Source),
        ("term", ctypes.POINTER(NativeTerm)),
    ]


class NativeResult(ctypes.Structure):
    """`struct result` of kernel.c."""

    _fields_ = [
        ("status", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("sum", ctypes.c_uint64),
        ("mixed", ctypes.c_uint64),
    ]


def wanted_engine() -> str:
    """The value of CHATVECTOR_ENGINE: `auto`, `native` or `numpy`.

    Raises UsageError for any other value, and for `native` where there is no compiled kernel.
    """
    name = os.environ.get(ENGINE_VARIABLE, "auto") or "auto"
    if name not in ("auto", "native", "numpy"):
        raise UsageError(f"{ENGINE_VARIABLE}={name}: must be auto, native or numpy")
    if name == "native" and library() is None:
        raise UsageError(
            f"{ENGINE_VARIABLE}=native: there is no compiled kernel; install chatvector anew where a C compiler is"
        )
    return name


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernel; None where it was not built, or was built for another revision of this file."""
    if not LIBRARY.exists():
        return None
    loaded = ctypes.CDLL(str(LIBRARY))
    sizes = [ctypes.sizeof(one) for one in (NativeUnit, NativeTerm, NativeResult)]
    if [loaded.kernel_layout(number) for number in range(4)] != [REVISION, *sizes]:
        return None
    loaded.merge_unit.argtypes = [*[ctypes.c_void_p] * 4, ctypes.c_int64]
    loaded.compare_unit.argtypes = [*[ctypes.c_void_p] * 2, ctypes.c_int64]
    return loaded


def engine() -> str:
    """`native` or `numpy`: which kernels do the work."""
    return "native" if wanted_engine() != "numpy" and library() is not None else "numpy"


class NativeKernel:
    """One thread's access to the compiled kernel: its scratch, and the C structures of the current unit."""

    def __init__(self, plan: Plan, scratch: NDArray[np.uint8], buffers: Buffers) -> None:
        """Calls overwrite `scratch` and `buffers`. More than 4 MiB of scratch makes it no faster."""
        loaded = library()
        assert loaded is not None
        self._library = loaded
        self._plan = plan
        self._scratch, self._buffers = scratch, buffers
        self._squares = (ctypes.c_double * MOST_TERMS)()
        self._result = NativeResult()
        self._terms = (NativeTerm * MOST_TERMS)()
        self._unit = NativeUnit(term=self._terms)
        self._loans: list[Loan] = []
        self._places = [ctypes.addressof(one) for one in (self._unit, self._result, self._squares)]
        self._scratch_place = self._scratch.ctypes.data

    def merge(self, unit: Unit, descriptor: int, place: int, address: int | None = None) -> tuple[int, Sums] | None:
        """Write the unit at byte `place` of an open file, or to memory at `address`; return its checksum and sums.

        None where the numpy kernels have to do the unit: formats and row maps that this kernel does not support,
        non-finite values, system errors.
        """
        tensor = self._plan.tensors[unit.tensor]
        if tensor.dtype.code not in (STORED[tensor.work] if tensor.terms else DTYPE_NUMBERS):
            return None
        _set(self._unit.output, descriptor, tensor.dtype.code, place, address)
        if not self._call(tensor, unit, self._library.merge_unit, self._places):
            return None
        nbytes = (unit.stop - unit.start) * tensor.dtype.bits // 8
        digest = finish_checksum(self._result.sum, self._result.mixed, nbytes)
        return digest, {f"tau²/{term.vector}": self._squares[place] for place, term in enumerate(tensor.terms)}

    def same(self, unit: Unit, written: Slice) -> bool:
        """Whether the unit's elements in `written` are what its sources give, computed in another way than by `merge`.

        False also where the kernel cannot tell: the caller then has to compare by other means.
        """
        tensor = self._plan.tensors[unit.tensor]
        if not self._place(self._unit.output, written, unit, 0):
            return False
        return self._call(tensor, unit, self._library.compare_unit, self._places[:1])

    def _call(self, tensor: TensorPlan, unit: Unit, work: Callable[..., int], places: Sequence[int]) -> bool:
        """Call the C function `work` on the unit; whether it supported the unit and returned DONE."""
        well = False
        try:
            if self._describe(tensor, unit):
                well = work(*places, self._scratch_place, len(self._scratch)) == DONE
        finally:
            for loan in self._loans:
                loan.settle(well)
            self._loans.clear()
        return well

    def _describe(self, tensor: TensorPlan, unit: Unit) -> bool:
        if tensor.dtype.code not in DTYPE_NUMBERS or len(tensor.terms) > MOST_TERMS:
            return False
        if tensor.transplant is not None and _first_row(tensor.transplant, unit) != NOWHERE:
            return False
        self._unit.elements = unit.stop - unit.start
        self._unit.wide = int(tensor.work == "F64")
        self._unit.terms = len(tensor.terms)
        if tensor.target is None:
            self._unit.target.fd, self._unit.target.data = NOWHERE, None
        elif not self._place(self._unit.target, tensor.target, unit, 1):
            return False
        for number, (term, native) in enumerate(zip(tensor.terms, self._terms, strict=False)):
            native.scale = term.scale
            native.has_minus = int(term.minus is not None)
            if not self._place(native.plus, term.plus, unit, 3 + 2 * number):
                return False
            if term.minus is not None and not self._place(native.minus, term.minus, unit, 4 + 2 * number):
                return False
        return True

    def _place(self, native: Source, part: Slice, unit: Unit, buffer: int) -> bool:
        """Point `native` at the unit's bytes in `part`.

        Where they are one run, that is held memory, a local file, or a connection that delivers them next; else they
        are read into `buffer` first. False for formats that are not float, and where a row is missing.
        """
        if part.ref.dtype.code not in DTYPE_NUMBERS or not isinstance(part.reader, TensorFiles | HeldTensors):
            return False
        start = unit.start
        if part.rows is not None:
            first = _first_row(part, unit)
            if first == NOWHERE or (first is None and bool((_rows(part, unit) < 0).any())):
                return False
            start = None if first is None else first * part.ref.row_elements
        item = part.ref.dtype.bits // 8
        if start is not None and isinstance(part.reader, HeldTensors):
            _set(native, NOWHERE, part.ref.dtype.code, 0, part.reader.address(part.ref) + start * item)
            return True
        if start is not None and isinstance(part.reader, TensorFiles):
            source = part.reader.source(part.ref.file)
            first_byte = part.ref.offset + start * item
            if isinstance(source, LocalFile):
                _set(native, source.descriptor, part.ref.dtype.code, first_byte)
                return True
            if isinstance(source, RemoteFile) and (loan := source.lend(first_byte, (unit.stop - unit.start) * item)):
                self._loans.append(loan)
                _set(native, loan.descriptor, part.ref.dtype.code, NEXT)
                return True
        values = read_slice(part, unit.start, unit.stop, self._buffers.at(buffer))
        _set(native, NOWHERE, part.ref.dtype.code, 0, values.ctypes.data)
        return True


def _rows(part: Slice, unit: Unit) -> NDArray[np.int64]:
    assert part.rows is not None
    width = part.ref.row_elements
    return part.rows[unit.start // width : unit.stop // width]


def _first_row(part: Slice, unit: Unit) -> int | None:
    """The source row at which the unit's rows begin, if they are one run; −1 if all are absent; else None."""
    rows = _rows(part, unit)
    first = int(rows[0])
    if first < 0:
        return NOWHERE if (rows < 0).all() else None
    return first if int(rows[-1]) == first + len(rows) - 1 and bool((np.diff(rows) == 1).all()) else None


def _set(native: Source, descriptor: int, dtype: str, offset: int, data: int | None = None) -> None:
    native.fd, native.dtype, native.offset, native.data = descriptor, DTYPE_NUMBERS[dtype], offset, data
