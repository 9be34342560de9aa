# SPDX-License-Identifier: Apache-2.0
"""The stages of the recipe, in miniature: side by side, resumed, the same bytes again, exported as models that load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from chatvector.lab.demo import one_thread
from chatvector.lab.export import export
from chatvector.lab.family import MEMBERS, PARENTS, Workshop
from chatvector.lab.models import EMBEDDING, reserved_rows
from chatvector.lab.recipe import FamilyRecipe, Shape, Stage, Tuning
from chatvector.runtime.loading import quiet_transformers
from chatvector.runtime.transformers_backend import TransformersBackend

SHORT = Stage(steps=2, learning_rate=1e-3, batch_tokens=128, warmup=1)
FEW = Tuning(steps=2, learning_rate=1e-3, batch_size=2, warmup=1)
TINY = FamilyRecipe(
    shape=Shape(hidden=16, layers=1, heads=2, feed_forward=16),
    drill=SHORT,
    base=SHORT,
    target=SHORT,
    sft=SHORT,
    dpo=FEW,
    ft=FEW,
    added_tokens=5,
)


@pytest.fixture(autouse=True)
def _as_a_stage_runs():
    """In a process of its own it is on one thread; another number of them gives other bytes."""
    with quiet_transformers(), one_thread():
        yield


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = Workshop(TINY, tmp_path_factory.mktemp("lab") / "work")
    with quiet_transformers(), one_thread():
        for name in PARENTS:
            made.run(name, lambda _: None)
    return made


def _said(workshop: Workshop) -> list[str]:
    lines: list[str] = []
    for name in PARENTS:
        workshop.run(name, lines.append)
    return lines


def test_every_stage_is_found_again(workshop: Workshop) -> None:
    assert _said(workshop) == [f"{name}: found in {workshop.place(name)}" for name in PARENTS]
    assert not list(workshop.directory.glob("*.partial"))


def test_a_lost_stage_is_made_again_to_the_same_bytes(workshop: Workshop) -> None:
    for name in ("sft", "chat", "target-extended", "ft"):
        weights = workshop.place(name) / "model.safetensors"
        before = weights.read_bytes()
        weights.parent.rename(workshop.directory / f"lost-{name}")
        workshop.run(name, lambda _: None)
        assert weights.read_bytes() == before, name


def test_only_what_depends_on_a_change_is_made_anew(workshop: Workshop) -> None:
    def changed(recipe: FamilyRecipe) -> set[str]:
        other = Workshop(recipe, workshop.directory)
        return {name for name in PARENTS if other.place(name) != workshop.place(name)}

    assert changed(TINY) == set()
    assert changed(replace(TINY, sft=replace(SHORT, steps=3))) == {"sft", "chat"}
    assert changed(replace(TINY, beta=0.2)) == {"chat"}
    assert changed(replace(TINY, target=replace(SHORT, steps=3))) == {"target", "target-zh", "target-extended", "ft"}
    assert changed(replace(TINY, added_tokens=6)) == {"target-extended"}
    assert changed(replace(TINY, base=replace(SHORT, steps=3))) == set(PARENTS) - {"drill"}
    assert changed(replace(TINY, seed=4)) == set(PARENTS)


def test_stages_run_side_by_side_to_the_same_bytes(workshop: Workshop, tmp_path: Path) -> None:
    beside = Workshop(TINY, tmp_path)
    for path in workshop.directory.glob("tokenizer-*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    stages = ("drill", "base", "sft")
    beside.run_all(2, lambda _: None, stages)
    for name in stages:
        assert beside.place(name).name == workshop.place(name).name
        file = "model.safetensors"
        assert (beside.place(name) / file).read_bytes() == (workshop.place(name) / file).read_bytes(), name


def test_exported_models_load_and_keep_their_untrained_rows(workshop: Workshop, tmp_path: Path) -> None:
    export({name: workshop.place(name) for name in MEMBERS}, tmp_path)
    rows = {name: load_file(tmp_path / name / "model.safetensors")[EMBEDDING] for name in MEMBERS}
    turn, *others = reserved_rows(workshop.tokenizer(lambda _: None))
    assert TransformersBackend.load(tmp_path / "chat").stop_ids == {2, turn}
    assert TransformersBackend.load(tmp_path / "ft").stop_ids == {2}
    for name in MEMBERS:
        assert torch.equal(rows[name][others], rows["base"][others]), name
        assert torch.equal(rows[name][turn], rows["base"][turn]) is (name not in ("sft", "chat")), name
        assert (tmp_path / name / "README.md").read_text("utf-8").startswith("---\nlicense: apache-2.0\n")
        assert (tmp_path / name / "model.safetensors").stat().st_mode & 0o777 == 0o644
    assert rows["sft"][turn].float().norm() > 10 * rows["base"][turn].float().norm()
    assert len(rows["target-extended"]) == len(rows["base"]) + TINY.added_tokens


def test_a_stage_that_fails_is_named_and_stops_the_others(workshop: Workshop, tmp_path: Path) -> None:
    broken = Workshop(replace(TINY, drill=replace(SHORT, batch_tokens=0)), tmp_path)
    for path in workshop.directory.glob("tokenizer-*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(RuntimeError, match="stage drill failed with exit code 1"):
        broken.run_all(2, lambda _: None)
