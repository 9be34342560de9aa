# SPDX-License-Identifier: Apache-2.0
"""A scale moved in place leaves the very bytes that `apply` writes at that scale, in every architecture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from family_models import FAMILIES, Family, write_family

from builders import Trio
from chatvector.arithmetic.scales import ScaleRules
from chatvector.live_merge import open_live
from chatvector.pipeline import apply
from chatvector.preparation import scale_rules
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.backend import Prompt, Sampling
from chatvector.runtime.loading import load

NAMES = (
    "llama",  # sharded
    "llama-f32",
    "mistral-f16",
    "qwen2-tied",
    "phi",
    "opt-projected",
    "gpt2",  # matrices the other way round, fused projections
    "mixtral",  # experts stacked when loaded
    "qwen3-moe",
)
# General scale, and exceptions; the order goes back and forth, so that what is left of one would show in the next.
STEPS: tuple[dict[str, object], ...] = (
    {"scale": 1.0},
    {"scale": 0.0},
    {"scale": 0.7, "scale_role": {"norm": 0.0, "embedding": 0.25}},
    {"scale": -0.5, "scale_layers": {"1": 0.3}},
    {"scale": 1 / 3, "scale_tensors": {"*1*": 1.5}},
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """No thread pool for matrices of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(
    scope="module", params=[family for family in FAMILIES if family.name in NAMES], ids=lambda one: one.name
)
def trio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trio:
    family: Family = request.param
    return write_family(family, tmp_path_factory.mktemp(family.name))


def recipe(trio: Trio, step: dict[str, object], output: Path | None = None) -> Recipe:
    vector = VectorSpec.model_validate({"base": str(trio.base), "chat": str(trio.chat), **step})
    return Recipe(target=str(trio.target), vectors=(vector,), output=None if output is None else str(output))


def bits(model: torch.nn.Module) -> dict[str, bytes]:
    """Every parameter and buffer of a model, as bytes."""
    state = {name: values.contiguous().reshape(-1).view(torch.uint8) for name, values in model.state_dict().items()}
    return {name: values.numpy().tobytes() for name, values in state.items()}


def test_five_settings_equal_what_apply_writes(trio: Trio, tmp_path: Path) -> None:
    with open_live(recipe(trio, {"scale": 0.4}), dtype="auto", device="cpu") as live:
        prints = set()
        for number, step in enumerate(STEPS):
            change = live.set_scales([scale_rules(recipe(trio, step).vectors[0])])
            assert change.tensors > 0
            apply(recipe(trio, step, tmp_path / str(number)))
            written = load(tmp_path / str(number), dtype="auto", device="cpu").model
            expected, actual = bits(written), bits(live.model)
            assert actual.keys() == expected.keys()
            assert [name for name, values in expected.items() if actual[name] != values] == []
            prints.add(live.fingerprint)
        assert len(prints) == len(STEPS)
        assert len(live.generate([Prompt(messages=(("user", "hello 나는"),))], Sampling(max_new_tokens=3))) == 1


def test_every_tensor_is_told_apart(trio: Trio) -> None:
    """Moving one role moves the tensors of that role and no other."""
    with open_live(recipe(trio, {"scale": 0.0}), dtype="auto", device="cpu") as live:
        before = bits(live.model)
        change = live.set_scales([ScaleRules(0.0, roles={"norm": 1.0})])
        after = bits(live.model)
        moved = {name for name, values in before.items() if after[name] != values}
        assert moved
        assert change.tensors >= len(moved)
        assert all("norm" in name or "ln" in name for name in moved)
