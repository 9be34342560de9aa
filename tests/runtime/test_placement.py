# SPDX-License-Identifier: Apache-2.0
"""Tensors of files are found in a model however it was put together, and not found where they are not whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from builders import BF16, F16, F32
from chatvector.arithmetic.plan import Plan, TensorPlan
from chatvector.errors import UnsupportedFormat
from chatvector.runtime.placement import find_placement, marks_of, write_outline
from plans import Arrays, code_of

FILE = "model.safetensors"


def plan_of(shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> Plan:
    """A plan whose tensors are the target's, all zeros."""
    target = Arrays("target", {name: np.zeros(shape, dtype) for name, (shape, dtype) in shapes.items()})
    tensors = [
        TensorPlan(name, "mlp", None, code_of(dtype), shape, FILE, target.slice(name))
        for name, (shape, dtype) in shapes.items()
    ]
    return Plan(tuple(tensors))


class Loaded:
    """What stands for a model: a state."""

    def __init__(self, **state: torch.Tensor) -> None:
        self._state = state

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self._state


EXPERTS = {f"{part}{number}": ((6, 4), BF16) for number in range(3) for part in ("gate", "up")}


@pytest.fixture
def outline(tmp_path: Path) -> dict[str, torch.Tensor]:
    write_outline(plan_of(EXPERTS), tmp_path)
    return load_file(tmp_path / FILE)


def joined(outline: dict[str, torch.Tensor]) -> torch.Tensor:
    """[E, 2I, D]: as transformers stacks experts."""
    return torch.stack([torch.cat([outline[f"gate{n}"], outline[f"up{n}"]]) for n in range(3)])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float16])
def test_stacked_and_joined(outline: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    stacked = joined(outline).to(dtype)
    placement = find_placement(plan_of(EXPERTS), Loaded(experts=stacked))
    assert placement.left_out == ()
    for number in range(3):
        for half, part in enumerate(("gate", "up")):
            (view,) = placement.views[f"{part}{number}"]
            assert view.data_ptr() == stacked[number, half * 6 : half * 6 + 6].data_ptr()
            assert torch.equal(view, outline[f"{part}{number}"].to(dtype))


def test_turned_and_interleaved(outline: dict[str, torch.Tensor]) -> None:
    turned = joined(outline).transpose(1, 2).contiguous()
    placement = find_placement(plan_of(EXPERTS), Loaded(experts=turned))
    (view,) = placement.views["up2"]
    assert view.stride() == (1, 12)
    view.fill_(1)
    assert torch.equal(turned[2, :, 6:], torch.ones(4, 6, dtype=torch.bfloat16))
    mixed = torch.stack([torch.stack([outline[f"gate{n}"], outline[f"up{n}"]], 1).reshape(12, 4) for n in range(3)])
    (view,) = find_placement(plan_of(EXPERTS), Loaded(experts=mixed)).views["gate1"]
    assert view.stride() == (8, 1)


def test_copies_ties_and_what_is_left_out(tmp_path: Path) -> None:
    plan = plan_of({"one": ((5, 3), F32), "gone": ((5, 3), F32), "number": ((1,), F16), "bare": ((), F16)})
    write_outline(plan, tmp_path)
    files = load_file(tmp_path / FILE)
    one = files["one"]
    state = {"one": one, "tied": one, "copy": one.clone(), "number": files["number"], "bare": files["bare"]}
    placement = find_placement(plan, Loaded(**state))
    assert placement.left_out == ("gone",)
    assert [view.data_ptr() for view in placement.views["one"]] == [one.data_ptr(), state["copy"].data_ptr()]
    assert [len(placement.views[name]) for name in ("number", "bare")] == [1, 1]


def test_rows_in_another_order_are_refused(tmp_path: Path) -> None:
    """Rotary halves interleaved, as some formats store them: first and last row stay where they were."""
    plan = plan_of({"q": ((64, 8), BF16)})
    write_outline(plan, tmp_path)
    q = load_file(tmp_path / FILE)["q"]
    order = torch.arange(64).reshape(2, 32).T.reshape(-1)
    with pytest.raises(UnsupportedFormat, match=r"1 parameters of the loaded model are not made of whole tensors.* q;"):
        find_placement(plan, Loaded(q=q[order]))


def test_parameters_that_no_file_fills_are_refused(outline: dict[str, torch.Tensor]) -> None:
    with pytest.raises(UnsupportedFormat, match="extra"):
        find_placement(plan_of(EXPERTS), Loaded(experts=joined(outline), extra=torch.ones(3)))


def test_the_outline_takes_no_disk(tmp_path: Path) -> None:
    plan = plan_of({"large": ((1 << 14, 1 << 12), BF16)})
    write_outline(plan, tmp_path)
    status = (tmp_path / FILE).stat()
    assert status.st_size == plan.bytes_written == 2**27 + len(plan.shards[0].header)
    assert status.st_blocks * 512 < 1 << 20


def test_marks_are_always_the_same_and_differ_by_tensor() -> None:
    plan = plan_of({"a": ((3, 5), BF16), "b": ((3, 5), BF16), "empty": ((0, 5), BF16)})
    a, b, empty = plan.tensors
    assert marks_of(a, 0) == marks_of(a, 0) != marks_of(b, 1)
    assert marks_of(empty, 2) == []
    assert len({mark.index for mark in marks_of(a, 0)}) == len(marks_of(a, 0)) > 10
