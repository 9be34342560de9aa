# SPDX-License-Identifier: Apache-2.0
"""The stages of the recipe, in miniature: resumed by stage, the same bytes again, exported as models that load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from chatvector.lab.recipe import Shape, Stage, TrioRecipe
from chatvector.lab.trio import Workshop
from chatvector.runtime.loading import quiet_transformers
from chatvector.runtime.transformers_backend import TransformersBackend

SHORT = Stage(steps=2, learning_rate=1e-3, batch_tokens=128, warmup=1)
TINY = TrioRecipe(
    shape=Shape(hidden=16, layers=1, heads=2, feed_forward=16), drill=SHORT, base=SHORT, chat=SHORT, target=SHORT
)


@pytest.fixture(autouse=True)
def _quiet():
    with quiet_transformers():
        yield


def _run(recipe: TrioRecipe, directory: Path) -> tuple[dict[str, str], list[str]]:
    lines: list[str] = []
    return Workshop(recipe, directory, lines.append).run(), lines


def test_stages_are_resumed_repeated_and_exported(tmp_path: Path) -> None:
    stages, first = _run(TINY, tmp_path / "work")
    assert [line.split(":")[0] for line in first] == ["tokenizer", "drill", "base", "chat", "target"]

    again, second = _run(TINY, tmp_path / "work")
    assert again == stages
    assert [line.split(": ")[1][:8] for line in second] == ["found in"] * 4

    # a lost stage is trained again to the same bytes, from what its parents left
    chat = tmp_path / "work" / stages["chat"] / "model.safetensors"
    before = chat.read_bytes()
    chat.parent.rename(tmp_path / "lost")
    _run(TINY, tmp_path / "work")
    assert chat.read_bytes() == before

    # another chat stage leaves the others alone
    changed, third = _run(replace(TINY, chat=replace(SHORT, steps=3)), tmp_path / "work")
    assert changed["chat"] != stages["chat"]
    assert {name: changed[name] for name in ("base", "target")} == {name: stages[name] for name in ("base", "target")}
    assert [line.split(": ")[1][:4] for line in third] == ["foun", "foun", "step", "foun"]

    workshop = Workshop(TINY, tmp_path / "work", lambda _: None)
    workshop.export(stages, tmp_path / "out")
    rows = {
        name: load_file(tmp_path / "out" / name / "model.safetensors")["model.embed_tokens.weight"] for name in stages
    }
    turn = workshop.reserved[0]
    assert TransformersBackend.load(tmp_path / "out" / "chat").stop_ids == {2, turn}
    assert torch.equal(rows["base"][turn], rows["target"][turn])
    assert rows["chat"][turn].float().norm() > 10 * rows["base"][turn].float().norm()
    assert (tmp_path / "out" / "base" / "model.safetensors").stat().st_mode & 0o777 == 0o644
