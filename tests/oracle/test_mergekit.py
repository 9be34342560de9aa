# SPDX-License-Identifier: Apache-2.0
"""mergekit at its exact setting as an oracle, where both do the same thing: one vocabulary, bf16 in and out.

mergekit adds task vectors against the target, `target + (s·(chat − target) − s·(base − target))`, in float32. We add
`target + s·(chat − base)`. Where s is a short binary fraction both are exact before the one rounding to bf16, so the
bytes are the same. Where it is not (0.7), the last bits in float32 differ, and an element that lies in the middle
between two bf16 numbers, as elements of a coarse grid often do, may fall to either side; one that cancels to nearly
nothing shows those last bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mergekit import PROGRAM, find_mergekit, run_mergekit, run_recipe

from builders import (
    BASE_SPECIAL,
    BF16,
    F64,
    WORDS,
    Shape,
    Trio,
    Weights,
    load_weights,
    tokenizer_json,
    trio_specs,
    write_trio,
)
from chatvector.mergekit_recipes import write_mergekit
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(find_mergekit() is None, reason=f"mergekit is not installed; {PROGRAM} names its mergekit-yaml"),
]
SHAPE = Shape(vocabulary=512, hidden=128, mlp=256)
SHARDS = {"base": 1, "chat": 3, "target": 2}


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Trio:
    """A trio whose one tokenizer owns every row: mergekit moves padding too, we keep the target's."""
    specs = trio_specs(SHAPE)
    fillers = (f"w{number}" for number in range(SHAPE.vocabulary - len(BASE_SPECIAL) - 1 - len(WORDS)))
    tokenizer = tokenizer_json((*WORDS, *fillers), BASE_SPECIAL)
    for role, spec in specs.items():
        spec.tokenizer = tokenizer
        spec.shards = SHARDS[role]
    del specs["chat"].tokenizer_config["chat_template"]
    return write_trio(tmp_path_factory.mktemp("oracle"), specs)


def merge_both(trio: Trio, scale: float, folder: Path) -> tuple[Weights, Weights]:
    """The merged tensors: ours, mergekit's."""
    program = find_mergekit()
    assert program is not None
    run_mergekit(program, trio, scale, folder / "theirs")
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=scale)
    recipe = Recipe(target=str(trio.target), vectors=(vector,), output=str(folder / "ours"), chat_format="target")
    apply(recipe)
    ours, theirs = load_weights(folder / "ours"), load_weights(folder / "theirs")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].dtype == theirs[name].dtype == BF16 for name in ours)
    return ours, theirs


@pytest.mark.parametrize("scale", [1.0, 0.5, -0.25, 2.5])
def test_the_same_bytes_at_scales_that_float32_holds_exactly(trio: Trio, scale: float, tmp_path: Path) -> None:
    ours, theirs = merge_both(trio, scale, tmp_path)
    assert [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()] == []
    target = load_weights(trio.target)
    assert all(ours[name].tobytes() != target[name].tobytes() for name in ours)


@pytest.mark.parametrize("scale", [0.7, -1.3])
def test_at_other_scales_only_ties_and_cancelled_elements_differ(trio: Trio, scale: float, tmp_path: Path) -> None:
    ours, theirs = merge_both(trio, scale, tmp_path)
    base, chat, target = (load_weights(model) for model in (trio.base, trio.chat, trio.target))
    differing = 0
    for name, mine in ours.items():
        apart = mine.view(np.uint16) != theirs[name].view(np.uint16)
        differing += int(apart.sum())
        one, other = mine[apart].astype(F64), theirs[name][apart].astype(F64)
        start, tuned, origin = (part[name][apart].astype(F64) for part in (target, chat, base))
        exact = start + scale * (tuned - origin)
        # What float32 cannot tell at values of this size, in four operations.
        unsure = 4 * 2.0**-24 * (np.abs(start) + np.abs(scale) * (np.abs(tuned - start) + np.abs(origin - start)))
        neighbours = np.maximum(np.abs(one), np.abs(other)) * 2.0**-7
        assert (np.abs(exact - (one + other) / 2) <= unsure).all()
        assert (np.abs(one - other) <= np.maximum(neighbours, 2 * unsure)).all()
    assert differing < sum(mine.size for mine in ours.values()) / 200


@pytest.mark.parametrize("shape", ["exported", "base first"])
def test_recipes_mean_the_same_to_both(trio: Trio, shape: str, tmp_path: Path) -> None:
    """What we export gives our bytes there; the shape with base as their base_model gives them too."""
    program = find_mergekit()
    assert program is not None
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat), scale=0.5)
    recipe = Recipe(target=str(trio.target), vectors=(vector,), output=str(tmp_path / "ours"), chat_format="target")
    text = write_mergekit(recipe)
    if shape == "base first":
        models = "".join(
            f"- model: {model}\n  parameters: {{weight: {weight}}}\n"
            for model, weight in ((trio.target, 1.0), (trio.chat, 0.5))
        )
        text = (
            f"merge_method: task_arithmetic\nbase_model: {trio.base}\nmodels:\n{models}"
            "dtype: float32\nout_dtype: bfloat16\n"
        )
    apply(recipe)
    run_recipe(program, text, tmp_path / "theirs")
    ours, theirs = load_weights(tmp_path / "ours"), load_weights(tmp_path / "theirs")
    assert {name: values.tobytes() for name, values in ours.items()} == {n: v.tobytes() for n, v in theirs.items()}
