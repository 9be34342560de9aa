# SPDX-License-Identifier: Apache-2.0
"""Recomputing finds every kind of wrong byte, and none where there is none: dtypes, rows, vectors, samples."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DTYPES, Shape, load_weights, trio_specs, write_trio, write_weights
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checks.recompute import SAMPLE_BLOCKS, Comparison, _has_all_rows, _sample, _Thread, compare
from chatvector.pipeline import apply
from chatvector.preparation import Job, prepare
from chatvector.recipe import Recipe, VectorSpec

BF16 = np.dtype(ml_dtypes.bfloat16)
DOWN = "model.layers.0.mlp.down_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


def silent(_line: str) -> None:
    return


@pytest.fixture(scope="module", params=["BF16", "F16", "F32"])
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("merged")
    trio = write_trio(folder, trio_specs(Shape(vocabulary=64), dtype=DTYPES[request.param]))
    pair = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.8, scale_role={"norm": 0})
    recipe = Recipe(target=str(trio.target), vectors=(pair, pair), output=str(folder / "out"))
    apply(recipe)
    return recipe


@pytest.fixture
def job(merged: Recipe) -> Any:
    with ExitStack() as stack:
        yield prepare(merged, stack, silent)


def compared(job: Job, weights: dict[str, Any], folder: Path, **options: Any) -> Comparison:
    folder.mkdir()
    write_weights(folder, weights)
    (folder / "config.json").write_text("{}")
    with Checkpoint.open(str(folder)) as written:
        return compare(job.plan, written, **options)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_what_apply_wrote_has_no_difference(job: Job, full: bool, threads: int) -> None:
    seen: list[int] = []
    assert job.recipe.output is not None
    with Checkpoint.open(job.recipe.output) as written:
        found = compare(job.plan, written, full=full, threads=threads, advance=seen.append)
    assert found.differences == ()
    assert found.tensors == len(job.plan.tensors)
    assert found.of_elements == sum(tensor.elements for tensor in job.plan.tensors)
    # The tensors are smaller than the sample: both read everything.
    assert found.elements == found.of_elements
    assert sum(seen) == sum(tensor.elements * tensor.dtype.bits // 8 for tensor in job.plan.tensors)


def test_pieces_with_and_without_transplanted_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces: some hold rows of all parents and go by integer steps, others hold transplanted or kept rows."""
    monkeypatch.setattr("chatvector.checks.recompute.READ_ELEMENTS", 32)
    monkeypatch.setattr("chatvector.checks.recompute.STEP_ELEMENTS", 24)
    trio = write_trio(tmp_path / "trio", trio_specs(Shape(vocabulary=64)))
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.8)
    recipe = Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "out"))
    weights = load_weights(apply(recipe).output)
    with ExitStack() as stack:
        single = prepare(recipe, stack, silent)
        (tensor,) = (one for one in single.plan.tensors if one.name == EMBEDDING)
        width = tensor.row_elements
        ways = {_has_all_rows(tensor, row * width, (row + 2) * width) for row in range(0, 64, 2)}
        assert ways == {True, False}
        assert compared(single, weights, tmp_path / "whole", full=True).differences == ()
        for row in range(64):
            weights[EMBEDDING].view(np.uint16)[row, row % width] ^= 1
        (difference,) = compared(single, weights, tmp_path / "spoilt", full=True).differences
        assert (difference.tensor, difference.elements, difference.first) == (EMBEDDING, 64, 0)


@pytest.mark.parametrize("name", [DOWN, EMBEDDING, "model.norm.weight", "lm_head.weight"])
def test_every_flipped_bit_is_found_where_it_is(job: Job, tmp_path: Path, name: str) -> None:
    assert job.recipe.output is not None
    weights = load_weights(Path(job.recipe.output))
    flat = weights[name].reshape(-1)
    raw = flat.view(np.uint8).reshape(len(flat), -1)
    for element in (3, len(flat) - 1):
        raw[element, 0] ^= 1
    found = compared(job, weights, tmp_path / "spoilt", full=True)
    (difference,) = found.differences
    assert (difference.tensor, difference.reason, difference.elements, difference.first) == (name, "values", 2, 3)
    assert str(difference) == f"{name} (2 elements, the first is 3)"


def test_tensors_that_are_missing_left_over_or_of_another_kind(job: Job, tmp_path: Path) -> None:
    assert job.recipe.output is not None
    weights = load_weights(Path(job.recipe.output))
    del weights["model.norm.weight"]
    weights["model.extra.weight"] = np.ones(3, np.float32)
    weights[DOWN] = weights[DOWN][:, :4].astype(np.float64)
    found = compared(job, weights, tmp_path / "spoilt", full=True)
    code = next(tensor.dtype.code for tensor in job.plan.tensors if tensor.name == DOWN)
    assert {str(each) for each in found.differences} == {
        "model.norm.weight (missing)",
        "model.extra.weight (not in the plan)",
        f"{DOWN} (F64 [16, 4] instead of {code} [16, 24])",
    }


def test_the_sample_of_a_large_tensor_is_spread_and_holds_every_transplanted_row(tmp_path: Path) -> None:
    trio = write_trio(tmp_path, trio_specs(Shape(vocabulary=8192, hidden=64, mlp=4096, layers=1)))
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    with ExitStack() as stack:
        job = prepare(Recipe(target=str(trio.target), vectors=(vector,)), stack, silent)
        for tensor in job.plan.tensors:
            pieces = list(_sample(tensor, SAMPLE_BLOCKS))
            assert all(start < stop <= tensor.elements for start, stop in pieces)
            assert all(one[1] <= other[0] for one, other in pairwise(pieces)), "none overlaps"
            assert pieces[0][0] == 0
            assert pieces[-1][1] == tensor.elements
            if tensor.name == DOWN:
                assert len(pieces) == SAMPLE_BLOCKS
            if tensor.transplant is not None:
                assert tensor.transplant.rows is not None
                rows = np.flatnonzero(tensor.transplant.rows >= 0)
                width = tensor.row_elements
                assert len(rows) == 4
                assert all(any(start <= row * width < stop for start, stop in pieces) for row in rows)


bf16 = st.integers(0, (1 << 16) - 1).filter(lambda bits: bits & 0x7F80 != 0x7F80)
scales = st.floats(-4, 4, width=32) | st.just(1.0)


@given(st.lists(st.tuples(bf16, bf16, bf16), min_size=1, max_size=50), scales)
def test_integer_steps_round_as_the_formula_does(triples: list[tuple[int, int, int]], scale: float) -> None:
    target, plus, minus = (np.array(column, np.uint16) for column in zip(*triples, strict=True))
    found = _Thread(None)._step([target, plus, minus], np.float32(scale))  # type: ignore[arg-type]
    start, chat, base = (bits.view(BF16).astype(np.float32) for bits in (target, plus, minus))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = (start + np.float32(scale) * (chat - base)).astype(BF16)
    finite = np.isfinite(expected.astype(np.float32))
    assert np.array_equal(found[finite], expected.view(np.uint16)[finite])
