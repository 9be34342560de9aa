# SPDX-License-Identifier: Apache-2.0
"""The executor: the same bytes whatever the units, threads, memory, files and interruptions."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chatvector.arithmetic.execute import available_cores, choose_threads, execute
from chatvector.arithmetic.plan import Plan
from chatvector.arithmetic.statistics import report
from chatvector.checkpoint.staging import open_staging
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.errors import NonFiniteValues, NotEnoughSpace
from plans import Arrays, Case, plan_of, read_output, run_plan
from reference import BF16, F16, F32, F64, Part

floats = st.sampled_from([BF16, F16, F32, F64])
shapes = st.lists(st.integers(0, 9), max_size=3).map(tuple)
scales = st.sampled_from([1.0, 0.8, -0.5, 1.7, 1 / 3])


def draw_array(draw: st.DrawFn, shape: tuple[int, ...]) -> NDArray[Any]:
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    return np.asarray(rng.standard_normal(shape) * draw(st.sampled_from([0.05, 3.0]))).astype(draw(floats))


@st.composite
def plain_cases(draw: st.DrawFn) -> dict[str, Case]:
    """Tensors of any shape with 0 to 3 vectors, over 1 to 3 files."""
    cases: dict[str, Case] = {}
    for number in range(draw(st.integers(1, 4))):
        shape = draw(shapes)
        parts = [
            Part(draw_array(draw, shape), draw_array(draw, shape) if draw(st.booleans()) else None, draw(scales))
            for _ in range(draw(st.integers(0, 3)))
        ]
        cases[f"t{number}"] = Case(draw_array(draw, shape), parts, f"model-{draw(st.integers(1, 3))}.safetensors")
    return cases


@st.composite
def mapped_cases(draw: st.DrawFn) -> dict[str, Case]:
    """An embedding whose rows are mapped: reordered, missing, added, transplanted."""
    width, rows = draw(st.integers(1, 5)), draw(st.integers(1, 12))

    def row_map(source: int) -> list[int]:
        return draw(st.lists(st.integers(-1, source - 1), min_size=rows, max_size=rows))

    target = draw_array(draw, (draw(st.integers(1, 12)), width))
    own = [row if row < len(target) else -1 for row in range(rows)]
    maps: dict[str, list[int]] = {"target": own}
    parts: list[Part] = []
    for number in range(draw(st.integers(0, 2))):
        chat = draw_array(draw, (draw(st.integers(1, 12)), width))
        base = draw_array(draw, (draw(st.integers(1, 12)), width)) if draw(st.booleans()) else None
        parts.append(Part(chat, base, draw(scales)))
        maps[f"chat{number}"] = row_map(len(chat))
        if base is not None:
            maps[f"base{number}"] = row_map(len(base))
    raw = None
    if draw(st.booleans()):
        raw = draw_array(draw, (draw(st.integers(1, 12)), width)).astype(target.dtype)
        maps["transplant"] = row_map(len(raw))
    return {"embed": Case(target, parts, maps=maps, raw=raw)}


def check(cases: dict[str, Case], output: Path, unit_elements: int, threads: int) -> None:
    plan = plan_of(cases, unit_elements=unit_elements)
    memory = plan.thread_bytes * threads + 1
    found, outcome = run_plan(plan, output, memory=memory, threads=threads)
    assert found == {name: case.expected().tobytes() for name, case in cases.items()}
    assert outcome.reused_bytes == 0
    assert outcome.threads <= threads
    assert sum(unit.stop - unit.start for unit in plan.units) == sum(tensor.elements for tensor in plan.tensors)


@given(plain_cases(), st.integers(1, 40), st.integers(1, 4))
def test_any_tensors(tmp_path_factory: pytest.TempPathFactory, cases: dict[str, Case], unit: int, threads: int) -> None:
    check(cases, tmp_path_factory.mktemp("run") / "out", unit, threads)


@given(mapped_cases(), st.integers(1, 40), st.integers(1, 4))
def test_any_rows(tmp_path_factory: pytest.TempPathFactory, cases: dict[str, Case], unit: int, threads: int) -> None:
    check(cases, tmp_path_factory.mktemp("run") / "out", unit, threads)


def big_case(elements: int = 400_000, dtype: np.dtype = BF16) -> dict[str, Case]:
    rng = np.random.default_rng(1)
    target, chat, base = ((rng.standard_normal(elements) * 0.05).astype(dtype) for _ in range(3))
    return {"big": Case(target, [Part(chat, base, 0.8)])}


def test_units_threads_and_memory_change_no_byte_and_no_sum(tmp_path: Path) -> None:
    cases = big_case()
    expected, first = None, None
    for number, (unit, threads, memory) in enumerate(
        [
            (131_072, 1, 128 << 20),
            (131_072, 4, 128 << 20),
            (131_072, 4, 4 << 20),
            (1000, 3, 1 << 20),
            (400_000, 2, 1 << 26),
        ]
    ):
        found, outcome = run_plan(
            plan_of(cases, unit_elements=unit), tmp_path / str(number), memory=memory, threads=threads
        )
        expected = expected or found
        assert found == expected
        if unit == 131_072:
            first = first or outcome.sums
            assert outcome.sums == first, "statistics may not depend on threads either"
    difference = cases["big"].parts[0].chat.astype(F64) - cases["big"].parts[0].base.astype(F64)  # type: ignore[union-attr]
    assert first is not None
    assert first["big"]["tau²/0"] == pytest.approx(float((difference**2).sum()), rel=1e-6)


class Meeting(Arrays):
    """A reader whose first read in each thread waits until a second thread reads as well."""

    def __init__(self, name: str, arrays: dict[str, NDArray[Any]], threads: int) -> None:
        super().__init__(name, arrays)
        self.barrier = threading.Barrier(threads, timeout=30)
        self.met: set[int] = set()

    def read_into(self, ref: TensorRef, start: int, buffer: memoryview) -> None:
        if threading.get_ident() not in self.met:
            self.met.add(threading.get_ident())
            self.barrier.wait()
        super().read_into(ref, start, buffer)


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_work_side_by_side(tmp_path: Path, threads: int) -> None:
    """Were units done one after the other, nobody would come to the meeting and the barrier would break."""
    plan = plan_of(big_case(40_000), unit_elements=1000)
    target = plan.tensors[0].target
    assert target is not None
    meeting = Meeting("target", target.reader.arrays, threads)  # type: ignore[attr-defined]
    object.__setattr__(target, "reader", meeting)
    run_plan(plan, tmp_path / "out", threads=threads)
    assert len(meeting.met) == threads
    assert not meeting.barrier.broken


class Stop(Exception):
    """What stands for an interruption."""


class StopAfter:
    """A progress meter that interrupts the run after so many units."""

    def __init__(self, units: int) -> None:
        self.left = units

    def advance(self, nbytes: int) -> None:
        assert nbytes > 0
        self.left -= 1
        if self.left == 0:
            raise Stop


def interrupt(plan: Plan, output: Path, units: int, threads: int = 1) -> Path:
    with (
        open_staging(output, plan.hash, restart=False, on_resume=lambda _: None) as staging,
        pytest.raises(Stop),
    ):
        execute(plan, staging, threads=threads, progress=StopAfter(units))
    assert not output.exists()
    return staging.path


@given(mapped_cases() | plain_cases(), st.data())
@settings(max_examples=30)
def test_an_interrupted_run_is_continued_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, cases: dict[str, Case], data: st.DataObject
) -> None:
    plan = plan_of(cases, unit_elements=3)
    output = tmp_path_factory.mktemp("run") / "out"
    if not plan.units:
        return
    stops = data.draw(st.integers(1, len(plan.units)))
    interrupt(plan, output, stops)
    found, outcome = run_plan(plan, output, threads=data.draw(st.integers(1, 3)))
    assert found == {name: case.expected().tobytes() for name, case in cases.items()}
    done = plan.units[:stops]
    assert outcome.reused_bytes == sum(
        (unit.stop - unit.start) * plan.tensors[unit.tensor].dtype.bits // 8 for unit in done
    )


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_statistics_of_a_continued_run_are_those_of_a_whole_one(tmp_path: Path, before: bool, after: bool) -> None:
    """Also where the earlier run measured more, or less (then its units are made again)."""
    plan = plan_of(big_case(20_000), unit_elements=1000)
    _, whole = run_plan(plan, tmp_path / "whole", full=after)
    with (
        open_staging(tmp_path / "out", plan.hash, restart=False, on_resume=lambda _: None) as staging,
        pytest.raises(Stop),
    ):
        execute(plan, staging, threads=1, full=before, progress=StopAfter(7))
    _, continued = run_plan(plan, tmp_path / "out", full=after)
    assert continued.sums == whole.sums
    assert continued.reused_bytes == (0 if after and not before else 14_000)


def test_a_unit_damaged_on_disk_is_made_again(tmp_path: Path) -> None:
    """A lost power supply may keep the journal and lose the pages: what the journal says is checked."""
    cases = big_case(20_000)
    plan = plan_of(cases, unit_elements=1000)
    path = interrupt(plan, tmp_path / "out", 10)
    with open(path / "model.safetensors", "r+b") as file:
        file.seek(plan.offsets[0] + 2 * 3500)  # inside the fourth unit
        file.write(bytes(1000))
    found, outcome = run_plan(plan, tmp_path / "out")
    assert found["big"] == cases["big"].expected().tobytes()
    assert outcome.reused_bytes == 9 * 2000


def test_a_file_lost_or_cut_is_made_again(tmp_path: Path) -> None:
    cases = big_case(20_000)
    plan = plan_of(cases, unit_elements=1000)
    for number, damage in enumerate((lambda path: path.unlink(), lambda path: path.write_bytes(b""))):
        path = interrupt(plan, tmp_path / f"out-{number}", 10)
        damage(path / "model.safetensors")
        found, outcome = run_plan(plan, tmp_path / f"out-{number}")
        assert found["big"] == cases["big"].expected().tobytes()
        assert outcome.reused_bytes == 0


def test_too_small_a_budget_names_what_is_needed() -> None:
    plan = plan_of(big_case(), unit_elements=131_072)
    with pytest.raises(NotEnoughSpace, match=r"^--memory 1\.0 MiB: one thread needs 2\.5 MiB of buffers") as raised:
        choose_threads(plan, 1 << 20, None)
    assert raised.value.exit_code == 5
    assert plan.thread_bytes == 131_072 * (4 * 2 + 3 * 4)
    assert choose_threads(plan, plan.thread_bytes, 8) == 1
    assert choose_threads(plan, plan.thread_bytes * 3 + 5, 8) == 3
    assert choose_threads(plan, 1 << 30, 2) == 2
    assert choose_threads(plan, 1 << 30, 99) == len(plan.units) == 4


def test_threads_that_wait_for_a_network_are_more_than_cores() -> None:
    plan = plan_of(big_case(20_000), unit_elements=1000)
    assert choose_threads(plan, 1 << 30, None) == choose_threads(plan, 1 << 30, None, far=False)
    assert choose_threads(plan, 1 << 30, None, far=False) == min(8, available_cores())
    assert choose_threads(plan, 1 << 30, None, far=True) == 8
    assert choose_threads(plan, 1 << 30, 2, far=True) == 2
    assert choose_threads(plan, plan.thread_bytes * 3, None, far=True) == 3


@pytest.mark.parametrize("where", ["target", "chat0", "base0"])
@pytest.mark.parametrize("threads", [1, 3])
def test_non_finite_values_are_counted_and_placed(tmp_path: Path, where: str, threads: int) -> None:
    cases = big_case(20_000)
    plan = plan_of(cases, unit_elements=1000)
    part = next(part for part in plan.tensors[0].slices() if part.reader.name == where)
    values = part.reader.arrays["big"]  # type: ignore[attr-defined]
    values[[4321, 4322, 17_000]] = [np.nan, np.inf, -np.inf]
    with pytest.raises(NonFiniteValues) as raised:
        run_plan(plan, tmp_path / "out", threads=threads)
    assert str(raised.value).startswith(
        f"{where}: big in {where}.safetensors holds 3 non-finite values (NaN or Inf), the first at element 4321;"
    )
    assert not (tmp_path / "out").exists()


def test_an_overflow_names_the_tensor_and_the_dtype(tmp_path: Path) -> None:
    values = np.full(100, 40_000, F16)
    plan = plan_of({"w": Case(values, [Part(values, np.zeros(100, F16), 1.0)])})
    with pytest.raises(NonFiniteValues, match=r"^w: the result overflows F16 \(non-finite values\); lower the scale"):
        run_plan(plan, tmp_path / "out")


@pytest.mark.parametrize("dtype", [BF16, F32, F64], ids=str)
@pytest.mark.parametrize("size", [1, 3000])
def test_values_whose_squares_overflow_are_no_error(tmp_path: Path, dtype: np.dtype, size: int) -> None:
    """The quick test for non-finite values is a sum of squares; large finite numbers pass the slow one."""
    huge = np.full(size, 1e30 if dtype != F64 else 1.3e154).astype(dtype)
    zero = np.zeros(size, dtype)
    cases = {"w": Case(zero, [Part(huge, zero, 0.5)]), "copied": Case(huge)}
    found, outcome = run_plan(plan_of(cases), tmp_path / "out")
    assert found == {name: case.expected().tobytes() for name, case in cases.items()}
    assert read_output(tmp_path / "out") == found
    norm = report(plan_of(cases), outcome.sums, 1)["total"]["tau_norm"][0]
    assert norm == pytest.approx(min(float(huge[0]) * size**0.5, 1.34e154), rel=1e-2)
