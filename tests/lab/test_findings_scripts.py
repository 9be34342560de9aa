# SPDX-License-Identifier: Apache-2.0
"""The scripts of docs/findings.md run, in small, and what they count by themselves is right."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.findings import drift, layers, left_out, precision, rows, stages
from experiments.findings.bench import TRIO, Variant, parser, run, write_merge
from safetensors.torch import save_file

from chatvector.arithmetic.scales import ScaleRules


def options_of(tmp_path: Path, *words: str) -> argparse.Namespace:
    return parser("about").parse_args(
        ["--items", "1", "--cache", str(tmp_path / "replies.jsonl"), "--out", str(tmp_path / "table.json"), *words]
    )


def test_a_table_of_merges_and_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merge = write_merge(tmp_path / "merge", 1.0)
    variants = [
        Variant("none", ScaleRules(0.0)),
        Variant("all", ScaleRules(1.0)),
        Variant("all, on disk", model=str(merge)),
    ]
    figures = run("τ", variants, options_of(tmp_path))
    assert figures.merit[1] == figures.merit[2]  # live and written, the same weights and the same replies
    told = json.loads((tmp_path / "table.json").read_text("utf-8"))
    assert [row["name"] for row in told["rows"]] == ["none", "all", "all, on disk"]
    assert told["rows"][0]["minus"] == ""
    assert "demo:target " in told["family"]
    assert "minus none" in capsys.readouterr().out


def test_variants_name_every_role_and_layer(tmp_path: Path) -> None:
    options = options_of(tmp_path)
    names = [one.name for one in left_out.variants(options)]
    assert {"without attention", "norm alone", "without embedding, norm", "all of τ", "none of τ"} <= set(names)
    assert len(set(names)) == len(names)
    told = layers.variants(options)
    assert sum(one.name.endswith("alone") for one in told) == 4
    assert told[-2].rules.layers == {(0, 0): 0.375, (3, 3): 0.375}


def write(place: Path, tensors: dict[str, Any]) -> Path:
    place.mkdir()
    save_file(tensors, place / "model.safetensors")
    return place


def test_bits_that_differ_by_hand(tmp_path: Path) -> None:
    one = torch.tensor([1.0, 2.0, 0.0, 3.0], dtype=torch.bfloat16)
    other = torch.tensor([1.0, 2.5, -0.0, 3.0], dtype=torch.bfloat16)  # another value, and another sign of zero
    assert precision.differ(write(tmp_path / "a", {"x": one}), write(tmp_path / "b", {"x": other})) == "50 %"


def test_drift_along_the_targets_own_way(tmp_path: Path) -> None:
    def same(_name: str, base: Any, own: Any) -> Any:
        return base + (own - base)

    assert drift.facts(drift.drifted(tmp_path / "same", TRIO["target"], same)) == drift.facts(TRIO["target"])
    twice = drift.drifted(tmp_path / "twice", TRIO["target"], lambda _name, base, own: base + 2 * (own - base))
    far, twice_far = (float(drift.facts(name)["distance"][:-2]) for name in (TRIO["target"], twice))
    assert twice_far == pytest.approx(2 * far, abs=0.2)


def test_rows_of_the_vocabulary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = options_of(tmp_path)
    found = {one.name: one for one in rows.variants(options, tmp_path)}
    assert "rows taken from the chat model: 1" in capsys.readouterr().out
    target, chat, base = (rows.embedding(TRIO[key]) for key in ("target", "chat", "base"))
    kept = rows.embedding(str(found["shared, template rows kept"].model))
    added = rows.embedding(str(found["shared, template rows plus s·τ"].model))
    merged = rows.embedding(str(tmp_path / "shared"))
    (row,) = ((merged == chat).all(1) & (chat != target).any(1)).nonzero().flatten().tolist()
    assert torch.equal(kept[row], target[row])
    expected = (target[row] + 0.75 * (chat[row] - base[row])).to(torch.bfloat16).float()
    assert torch.equal(added[row], expected)


def test_the_length_of_a_part(tmp_path: Path) -> None:
    del tmp_path
    assert stages.length({"x": torch.tensor([3.0]), "y": torch.tensor([[4.0]])}) == 5.0
    assert stages.norm(TRIO["base"], TRIO["base"]) == {"norm": "0 %"}
