# SPDX-License-Identifier: Apache-2.0
"""Plans over arrays in memory: what the executor needs, without files or models around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.execute import Outcome, execute
from chatvector.arithmetic.plan import UNIT_ELEMENTS, Plan, Slice, TensorPlan, Term, working_format
from chatvector.checkpoint.dtypes import DTYPES, DType
from chatvector.checkpoint.header import parse_header
from chatvector.checkpoint.staging import open_staging
from chatvector.checkpoint.tensor_files import TensorRef
from reference import Part, merged, work_of


def code_of(dtype: np.dtype) -> DType:
    """The safetensors dtype of a numpy dtype."""
    return next(code for code in DTYPES.values() if code.kind != "low-precision" and code.numpy == dtype)


class Arrays:
    """Arrays as a `Reader`: what stands for a model's files."""

    def __init__(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.name = name
        self.arrays = {key: np.ascontiguousarray(array).reshape(array.shape) for key, array in arrays.items()}

    def ref(self, key: str) -> TensorRef:
        array = self.arrays[key]
        return TensorRef(key, code_of(array.dtype), array.shape, f"{self.name}.safetensors", 0, array.nbytes)

    def read_into(self, ref: TensorRef, start: int, buffer: memoryview) -> None:
        data = self.arrays[ref.name].reshape(-1).view(np.uint8).data
        buffer[:] = data[start : start + len(buffer)].cast("B")

    def slice(self, key: str, rows: Sequence[int] | None = None) -> Slice:
        return Slice(self, self.ref(key), None if rows is None else np.array(rows, np.int64))


@dataclass
class Case:
    """One tensor of the output: the target's array, and of each vector chat, base and scale."""

    target: NDArray[Any]
    parts: Sequence[Part] = ()
    file: str = "model.safetensors"
    maps: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """`target`, `chat0`, `base0`, `chat1` … to a row map; `transplant` to rows of `raw`."""
    raw: NDArray[Any] | None = None

    def expected(self) -> NDArray[Any]:
        """The tensor after the reference."""
        if not self.maps:
            return merged(self.target, self.parts)
        rows = len(next(iter(self.maps.values())))
        out = np.zeros((rows, *self.target.shape[1:]), self.target.dtype)
        sides = [side for part in self.parts for side in (part.chat, part.base) if side is not None]
        work = work_of(self.target.dtype, *(side.dtype for side in sides))
        for row in range(rows):
            own = self._row("target", self.target, row)
            start = np.zeros(out.shape[1:], out.dtype) if own is None else own
            here = []
            for number, part in enumerate(self.parts):
                chat, base = self._row(f"chat{number}", part.chat, row), None
                if part.base is not None:
                    base = self._row(f"base{number}", part.base, row)
                if chat is not None and (part.base is None or base is not None):
                    here.append(Part(chat, base, part.scale))
            out[row] = merged(start, here, work)
            if self.raw is not None and self.maps["transplant"][row] >= 0:
                out[row] = merged(self.raw[self.maps["transplant"][row]].astype(out.dtype), [])
        return out

    def _row(self, name: str, array: NDArray[Any], row: int) -> NDArray[Any] | None:
        place = self.maps[name][row] if name in self.maps else row
        return None if place < 0 else array[place]


def plan_of(cases: Mapping[str, Case], *, unit_elements: int = UNIT_ELEMENTS, identity: str = "") -> Plan:
    """The plan that makes every case, by name."""
    arrays: dict[str, dict[str, NDArray[Any]]] = {"target": {}, "raw": {}}
    for name, case in cases.items():
        arrays["target"][name] = case.target
        if case.raw is not None:
            arrays["raw"][name] = case.raw
        for number, part in enumerate(case.parts):
            arrays.setdefault(f"chat{number}", {})[name] = part.chat
            if part.base is not None:
                arrays.setdefault(f"base{number}", {})[name] = part.base
    readers = {source: Arrays(source, found) for source, found in arrays.items()}
    tensors = [_tensor_plan(name, case, readers) for name, case in cases.items()]
    return Plan(tuple(tensors), {}, {"test": identity}, unit_elements)


def _tensor_plan(name: str, case: Case, readers: Mapping[str, Arrays]) -> TensorPlan:
    def seen(source: str) -> Slice:
        return readers[source].slice(name, case.maps.get("transplant" if source == "raw" else source))

    terms = tuple(
        Term(number, part.scale, "test", seen(f"chat{number}"), None if part.base is None else seen(f"base{number}"))
        for number, part in enumerate(case.parts)
    )
    sides = [case.target, *(side for part in case.parts for side in (part.chat, part.base) if side is not None)]
    return TensorPlan(
        name=name,
        role="other",
        layer=None,
        dtype=code_of(case.target.dtype),
        shape=(len(case.maps["target"]), *case.target.shape[1:]) if case.maps else case.target.shape,
        file=case.file,
        target=seen("target"),
        terms=terms,
        work=working_format(code_of(side.dtype) for side in sides),
        transplant=None if case.raw is None else seen("raw"),
    )


def run_plan(plan: Plan, output: Path, **arguments: Any) -> tuple[dict[str, bytes], Outcome]:
    """Execute a plan into `output`; the bytes of every tensor by name, and the outcome."""
    with open_staging(output, plan.hash, restart=False, on_resume=lambda _line: None) as staging:
        outcome = execute(plan, staging, **arguments)
        staging.publish()
    return read_output(output), outcome


def read_output(output: Path) -> dict[str, bytes]:
    """The bytes of every tensor of a directory."""
    found: dict[str, bytes] = {}
    for path in sorted(output.glob("*.safetensors")):
        data = path.read_bytes()
        header = parse_header(data[8 : 8 + int.from_bytes(data[:8], "little")], len(data), path.name)
        found |= {entry.name: data[entry.offset : entry.offset + entry.nbytes] for entry in header.entries}
    return found
