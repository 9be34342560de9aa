# SPDX-License-Identifier: Apache-2.0
"""The compiled kernel: the bytes, checksums and refusals of the numpy kernels, whatever the formats and lengths."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from builders import write_weights
from chatvector.arithmetic.native import LIBRARY, NativeKernel, engine, library
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan, Term, Unit, working_format
from chatvector.arithmetic.reading import Buffers
from chatvector.arithmetic.worker import NonFiniteFound, Worker
from chatvector.checkpoint.staging import checksum
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.checkpoint.tensor_files import TensorFiles
from chatvector.errors import UsageError
from plans import code_of
from reference import BF16, F16, F32, F64

compiled = pytest.mark.skipif(library() is None, reason="no C compiler was there when chatvector was installed")
floats = st.sampled_from([BF16, F16, F32, F64])
# Around the lanes (32), the steps (1024) and the blocks (as many steps as the scratch holds).
lengths = st.sampled_from([1, 7, 31, 32, 33, 1023, 1024, 1025, 2048, 3100, 4096, 5000])
scales = st.sampled_from([1.0, 0.8, -0.5, 1 / 3, 2.5, 1e-3])


def test_a_compiler_at_hand_makes_a_kernel() -> None:
    assert library() is not None or shutil.which("cc") is None, f"{LIBRARY} is not there: run `make setup`"


@pytest.mark.parametrize("word", ["", "auto", "numpy"])
def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("CHATVECTOR_ENGINE", word)
    assert engine() == ("numpy" if word == "numpy" or library() is None else "native")


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATVECTOR_ENGINE", "cuda")
    with pytest.raises(UsageError, match=r"^CHATVECTOR_ENGINE=cuda: must be auto, native or numpy"):
        engine()


def test_a_kernel_that_is_asked_for_and_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATVECTOR_ENGINE", "native")
    monkeypatch.setattr("chatvector.arithmetic.native.library", lambda: None)
    with pytest.raises(UsageError, match=r"^CHATVECTOR_ENGINE=native: there is no compiled kernel"):
        engine()


@contextmanager
def on_disk(folder: Path, arrays: dict[str, NDArray[Any]]) -> Iterator[dict[str, Slice]]:
    """Each array as the tensor `w` of a file of its own."""
    opened: dict[str, TensorFiles] = {}
    for name, values in arrays.items():
        (folder / name).mkdir(exist_ok=True)
        write_weights(folder / name, {"pad": np.zeros(3, np.uint8), "w": values})
        opened[name] = TensorFiles(LocalDirectory(folder / name), ("model.safetensors",), name)
    try:
        yield {name: Slice(files, files.tensors["w"]) for name, files in opened.items()}
    finally:
        for files in opened.values():
            files.close()


def plan_for(sources: dict[str, Slice], target: str | None, parts: list[tuple[str, str | None, float]]) -> Plan:
    """One tensor; its dtype is the target's, or F32 for a difference written by itself."""
    first = sources[target or parts[0][0]]
    terms = tuple(
        Term(number, scale, "scale", sources[plus], None if minus is None else sources[minus])
        for number, (plus, minus, scale) in enumerate(parts)
    )
    used = [first.ref.dtype, *(sources[name].ref.dtype for part in parts for name in part[:2] if name)]
    dtype = first.ref.dtype if target else code_of(F32)
    own = sources[target] if target else None
    tensor = TensorPlan("w", "other", None, dtype, first.ref.shape, "out", own, terms, working_format(used))
    return Plan((tensor,))


def merged_both_ways(plan: Plan, out: Path, room: int) -> tuple[tuple[int, Any] | None, bytes, int, Any]:
    """The compiled kernel's account and bytes, then checksum and sums of the numpy kernels."""
    (unit,) = plan.units
    native = NativeKernel(plan, np.empty(room, np.uint8), Buffers())
    descriptor = os.open(out, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        made = native.merge(unit, descriptor, 24)
        written = os.pread(descriptor, unit.stop * 8 + 8, 24)
    finally:
        os.close(descriptor)
    data, sums = Worker(plan).compute(unit)
    if made is not None:
        assert written == data.tobytes()
    return made, written, checksum(data), sums


@compiled
@given(
    floats,
    st.lists(st.tuples(floats, floats | st.none(), scales), max_size=3),
    st.booleans(),
    lengths,
    st.sampled_from([48 << 10, 100_000, 3 << 20]),
    st.integers(0, 1 << 16),
)
@settings(max_examples=150)
def test_the_same_bytes_as_the_numpy_kernels(
    tmp_path_factory: pytest.TempPathFactory,
    own: np.dtype,
    parts: list[tuple[np.dtype, np.dtype | None, float]],
    with_target: bool,
    length: int,
    room: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("native")
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[Any]] = {"target": rng.standard_normal(length).astype(own)}
    named: list[tuple[str, str | None, float]] = []
    for number, (plus, minus, scale) in enumerate(parts):
        arrays[f"plus{number}"] = rng.standard_normal(length).astype(plus)
        if minus is not None:
            arrays[f"minus{number}"] = rng.standard_normal(length).astype(minus)
        named.append((f"plus{number}", None if minus is None else f"minus{number}", scale))
    with on_disk(folder, arrays) as sources:
        plan = plan_for(sources, "target" if with_target or not parts else None, named)
        made, _, digest, sums = merged_both_ways(plan, folder / "out", room)
    tensor = plan.tensors[0]
    if tensor.terms and tensor.work == "F64" and tensor.dtype.bits == 16:
        assert made is None, "two roundings in one: left to the numpy kernels"
        return
    width = sum(part.ref.dtype.bits // 8 for part in tensor.slices()) + tensor.dtype.bits // 8
    if made is None:
        assert room < 1024 * width + 64 * 10, "only too little scratch for one step is a reason"
        return
    assert made[0] == digest
    assert made[1] == pytest.approx(sums, rel=3e-6)


def finite_patterns(dtype: np.dtype) -> NDArray[Any]:
    """Every finite number of a 16-bit format."""
    values = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    with np.errstate(invalid="ignore"):
        return values[np.isfinite(values)]


@compiled
@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
@pytest.mark.parametrize("scale", [1.0, 0.5, 1.7])
def test_every_number_of_a_format(tmp_path: Path, dtype: np.dtype, scale: float) -> None:
    """Subnormal numbers, both zeros, ties: as target, as chat and as base."""
    all_values = finite_patterns(dtype)
    # The sums of squares are float32 within a step: larger differences are left to the numpy kernels.
    small = all_values[np.abs(all_values.astype(F64)) < (1e17 if dtype == BF16 else 2e4)]
    rng = np.random.default_rng(5)
    for kind in ("target", "plus", "minus"):
        arrays = {name: (rng.standard_normal(len(small)) * 1e-3).astype(dtype) for name in ("target", "plus", "minus")}
        arrays[kind] = small
        with on_disk(tmp_path, arrays) as sources:
            plan = plan_for(sources, "target", [("plus", "minus", scale)])
            made, *_ = merged_both_ways(plan, tmp_path / "out", 3 << 20)
        assert made is not None


@compiled
@pytest.mark.parametrize("dtype", [BF16, F16, F32, F64], ids=str)
@pytest.mark.parametrize("where", ["target", "plus", "minus"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1500, 2999])
def test_what_is_not_finite_is_left_to_the_kernels_that_say_where(
    tmp_path: Path, dtype: np.dtype, where: str, value: float, place: int
) -> None:
    arrays = {name: np.ones(3000, dtype) for name in ("target", "plus", "minus")}
    arrays[where][place] = value
    with on_disk(tmp_path, arrays) as sources:
        plan = plan_for(sources, "target", [("plus", "minus", 0.8)])
        with pytest.raises(NonFiniteFound):
            merged_both_ways(plan, tmp_path / "out", 3 << 20)
        copied = plan_for(sources, where, [])
        with pytest.raises(NonFiniteFound):
            merged_both_ways(copied, tmp_path / "copy", 3 << 20)


@compiled
def test_an_overflow_of_the_result_is_seen(tmp_path: Path) -> None:
    arrays = {"target": np.full(5000, 60_000, F16), "plus": np.full(5000, 9000, F16), "minus": np.zeros(5000, F16)}
    with on_disk(tmp_path, arrays) as sources, pytest.raises(NonFiniteFound):
        merged_both_ways(plan_for(sources, "target", [("plus", "minus", 1.0)]), tmp_path / "out", 3 << 20)


@compiled
def test_errors_of_the_system_are_left_to_the_kernels_that_have_the_words(tmp_path: Path) -> None:
    values = np.ones(4096, BF16)
    with on_disk(tmp_path, {"target": values, "plus": values, "minus": values}) as sources:
        plan = plan_for(sources, "target", [("plus", "minus", 0.8)])
        kernel = NativeKernel(plan, np.empty(3 << 20, np.uint8), Buffers())
        descriptor = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
        readable = os.open(tmp_path / "out", os.O_RDONLY)
        try:
            assert kernel.merge(plan.units[0], descriptor, 0) is not None
            assert kernel.merge(plan.units[0], readable, 0) is None, "a file that cannot be written"
            with open(tmp_path / "plus" / "model.safetensors", "r+b") as file:
                file.truncate(3000)
            assert kernel.merge(plan.units[0], descriptor, 0) is None, "a file that ends early"
        finally:
            os.close(descriptor)
            os.close(readable)


@compiled
@pytest.mark.parametrize(
    ("rows", "known"),
    [([2, 3, 4, 5], True), ([0, 1, 2, 3], True), ([2, 3, 5, 6], True), ([3, 2, 1, 0], True), ([-1, 0, 1, 2], False)],
)
def test_rows_are_known_unless_one_is_missing(tmp_path: Path, rows: list[int], known: bool) -> None:
    arrays = {
        name: np.random.default_rng(seed).standard_normal((8, 600)).astype(BF16)
        for seed, name in enumerate(("target", "plus", "minus"))
    }
    with on_disk(tmp_path, arrays) as sources:
        mapped = {name: Slice(one.reader, one.ref, np.array(rows)) for name, one in sources.items()}
        mapped["target"] = Slice(sources["target"].reader, sources["target"].ref, np.arange(4))
        terms = (Term(0, 0.8, "scale", mapped["plus"], mapped["minus"]),)
        tensor = TensorPlan("w", "embedding", None, code_of(BF16), (4, 600), "out", mapped["target"], terms, "F32")
        made, *_ = merged_both_ways(Plan((tensor,)), tmp_path / "out", 3 << 20)
    assert (made is not None) == known


@compiled
@given(lengths, st.sampled_from([1.0, 0.8, -0.37]), st.data())
@settings(max_examples=60)
def test_comparing_finds_every_flipped_bit(
    tmp_path_factory: pytest.TempPathFactory, length: int, scale: float, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("compared")
    rng = np.random.default_rng(length)
    arrays = {name: rng.standard_normal(length).astype(BF16) for name in ("target", "plus", "minus")}
    with on_disk(folder, arrays) as sources:
        plan = plan_for(sources, "target", [("plus", "minus", scale)])
        right, _ = Worker(plan).compute(plan.units[0])
        right = right.copy()
        kernel = NativeKernel(plan, np.empty(64 << 10, np.uint8), Buffers())
        with on_disk(folder, {"written": right.view(BF16)}) as written:
            assert kernel.same(plan.units[0], written["written"])
        place, bit = data.draw(st.integers(0, 2 * length - 1)), data.draw(st.integers(0, 7))
        right[place] ^= 1 << bit
        with on_disk(folder, {"written": right.view(BF16)}) as written:
            assert not kernel.same(plan.units[0], written["written"])


@compiled
def test_comparing_agrees_on_every_number(tmp_path: Path) -> None:
    """Both zeros, subnormal numbers and ties, computed by two formulas."""
    small = finite_patterns(BF16)
    small = small[np.abs(small.astype(F64)) < 1e38]
    rng = np.random.default_rng(3)
    for kind in ("target", "plus", "minus"):
        arrays = {name: (rng.standard_normal(len(small)) * 1e-3).astype(BF16) for name in ("target", "plus", "minus")}
        arrays[kind] = small
        with on_disk(tmp_path, arrays) as sources:
            plan = plan_for(sources, "target", [("plus", "minus", 1 / 3)])
            right, _ = Worker(plan).compute(plan.units[0])
            with on_disk(tmp_path, {"written": right.view(BF16)}) as written:
                assert NativeKernel(plan, np.empty(1 << 20, np.uint8), Buffers()).same(
                    plan.units[0], written["written"]
                )


@compiled
def test_comparing_takes_one_neighbour_only(tmp_path: Path) -> None:
    """At ties and beside them, at powers of two, around zero and at the end of the numbers."""
    around = [0x0000, 0x0001, 0x007F, 0x0080, 0x0081, 0x3F7F, 0x3F80, 0x3F81, 0x3FFF, 0x7F00, 0x7F7E, 0x7F7F]
    own = np.array([sign | bits for sign in (0, 0x8000) for bits in around for _ in range(6)], np.uint16)
    value = own.view(BF16).astype(F64)
    half = np.spacing(np.abs(value).astype(np.float32)).astype(F64) * 2.0**15
    # Half a unit in the last place to either side, a little less, and next to nothing; BF16 holds all of them.
    part = half * np.tile([1, -1, 255 / 256, -255 / 256, 2.0**-9, 0], len(own) // 6)
    arrays = {"target": own.view(BF16), "plus": part.astype(BF16), "minus": np.zeros(len(own), BF16)}
    with on_disk(tmp_path, arrays) as sources:
        plan = plan_for(sources, "target", [("plus", "minus", 1.0)])
        total = own.view(BF16).astype(np.float32) + arrays["plus"].astype(np.float32)
        right = total.astype(BF16).view(np.uint16)
        finite = np.isfinite(right.view(BF16).astype(np.float32))
        assert 0 < np.count_nonzero(~finite) < 5, "the sums reach the end of the numbers"
        kernel = NativeKernel(plan, np.empty(1 << 20, np.uint8), Buffers())
        for change in (0, 1, 2, 0x7FFE, 0x8000, 0xFFFE, 0xFFFF):
            written = {"written": (right + np.uint16(change)).view(BF16)}
            with on_disk(tmp_path, written) as found:
                same = [kernel.same(Unit(0, 0, at, at + 1), found["written"]) for at in range(len(own))]
            assert same == (finite & (change == 0)).tolist(), f"{change:#x}"
