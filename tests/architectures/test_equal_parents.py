# SPDX-License-Identifier: Apache-2.0
"""A vector of nothing: base and chat with the same weights. A merge to the end, a warning, the target's bytes."""

from __future__ import annotations

import json
from pathlib import Path

from builders import load_weights, trio_specs, write_trio
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec


def test_equal_parents_give_the_target_and_a_manifest_that_is_json(tmp_path: Path) -> None:
    specs = trio_specs()
    specs["chat"].weights = specs["base"].weights
    specs["chat"].tokenizer = specs["base"].tokenizer
    del specs["chat"].tokenizer_config["chat_template"]
    trio = write_trio(tmp_path, specs)
    vector = VectorSpec(base=str(trio.base), chat=str(trio.chat))
    output = tmp_path / "out"
    result = apply(Recipe(target=str(trio.target), vectors=(vector,), output=str(output), chat_format="target"))
    own, merged = load_weights(trio.target), load_weights(output)
    assert {name: values.tobytes() for name, values in merged.items()} == {
        name: values.tobytes() for name, values in own.items()
    }
    assert any("zero" in warning for warning in result.manifest["run"]["warnings"])
    assert set(result.manifest["statistics"]["zero_vector"]) == own.keys()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads((output / "chat_vector.json").read_text(), parse_constant=refuse)
