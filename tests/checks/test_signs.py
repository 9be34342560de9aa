# SPDX-License-Identifier: Apache-2.0
"""Evidence beside the weights: templates, rows, manifests, configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import Trio, trio_specs, write_model, write_trio
from chatvector.checking import Check, check_models
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checks.signs import Signs, compare_rows, earlier_scales, foreign_recipe, with_templates


class Rows:
    def __init__(self, *rows: list[float]) -> None:
        self.values = np.array(rows, np.float32)

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.values[rows]


def test_rows_are_matched_by_token_and_counted_by_the_nearer_model() -> None:
    ids = {"base": {"a": 0, "b": 1, "c": 2}, "chat": {"b": 0, "a": 1, "c": 2}, "target": {"c": 0, "a": 1, "b": 2}}
    base = Rows([1, 0], [0, 1], [1, 1])
    chat = Rows([0, 2], [1, 0.001], [3, 1])  # b moved, a moved by a thousandth of its norm, c moved
    target = Rows([1.1, 1], [9, 9], [0, 1.9])
    found = compare_rows(("a", "b", "c", "absent"), ids, {"base": base, "chat": chat, "target": target})
    assert found is not None
    assert (found.moved, found.like_chat, found.like_base) == (2, 1, 1)


def test_no_token_in_all_three_is_no_evidence() -> None:
    ids = {"base": {}, "chat": {"a": 0}, "target": {"a": 0}}
    assert compare_rows(("a",), ids, dict.fromkeys(ids, Rows([1, 0]))) is None


@pytest.mark.parametrize(
    ("signs", "base_talks", "chat_talks"),
    [
        (Signs(templates=("base",)), True, False),
        (Signs(templates=("chat",)), False, True),
        (Signs(templates=("base", "chat")), False, False),
        (Signs(templates=("base", "chat"), untrained=("chat",)), True, False),
        (Signs(templates=("chat",), untrained=()), False, True),
        (Signs(templates=("chat",), untrained=("base", "chat")), False, True),
    ],
)
def test_who_talks(signs: Signs, base_talks: bool, chat_talks: bool) -> None:
    assert (signs.only_base_talks, signs.only_chat_talks) == (base_talks, chat_talks)


def check(trio: Trio) -> Check:
    base, chat, target = (Checkpoint.open(str(path)) for path in (trio.base, trio.chat, trio.target))
    with base, chat, target:
        return check_models(base, chat, target)


def test_templates_are_found_and_a_damaged_one_counts(tmp_path: Path) -> None:
    specs = trio_specs()
    specs["base"].tokenizer_config["chat_template"] = 5
    trio = write_trio(tmp_path, specs)
    models = {role: Checkpoint.open(str(getattr(trio, role))) for role in ("base", "chat", "target")}
    assert with_templates(models) == ("base", "chat")


def test_configurations_that_another_version_changes_are_named(tmp_path: Path) -> None:
    specs = trio_specs()
    specs["chat"].config["rope_theta"] = 1e6
    specs["chat"].config["mlp_bias"] = True
    lineage = check(write_trio(tmp_path, specs)).lineage
    assert lineage is not None
    assert [line.split()[0] for line in lineage.signs.differences] == ["rope"]


def manifest(digest: str, **changes: Any) -> str:
    document: dict[str, Any] = {
        "recipe": {"vectors": [{"scale": 0.5}, {"scale": 0.25}]},
        "parents": {"vectors.0.chat": {"samples": digest}, "vectors.1.chat": {"samples": "another"}},
    }
    return json.dumps(document | changes)


def test_the_targets_manifest_tells_what_was_added(tmp_path: Path) -> None:
    spec = trio_specs()["target"]
    spec.extra_files["chat_vector.json"] = manifest("abc")
    with Checkpoint.open(str(write_model(tmp_path / "target", spec))) as target:
        assert earlier_scales(target, target.listing, "abc") == (0.5,)
        assert earlier_scales(target, target.listing, "xyz") == ()
        assert earlier_scales(target, (), "abc") == ()


@pytest.mark.parametrize("text", ["no json", "[]", "{}", manifest("abc", parents=[]), manifest("abc", recipe=None)])
def test_a_damaged_or_foreign_manifest_proves_nothing(tmp_path: Path, text: str) -> None:
    spec = trio_specs()["target"]
    spec.extra_files["chat_vector.json"] = text
    with Checkpoint.open(str(write_model(tmp_path / "target", spec))) as target:
        assert earlier_scales(target, target.listing, "abc") == ()


def test_another_tools_recipe_is_named(tmp_path: Path) -> None:
    assert foreign_recipe({"config.json": 1}) is None
    specs = trio_specs()
    specs["target"].extra_files["mergekit_config.yml"] = "merge_method: linear\n"
    found = check(write_trio(tmp_path, specs))
    assert any("mergekit_config.yml" in line for line in found.warnings)
    assert not found.refused
