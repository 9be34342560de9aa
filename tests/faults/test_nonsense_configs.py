# SPDX-License-Identifier: Apache-2.0
"""A hand-edited config.json may say anything: the answer is a result, or one of our errors in one line."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from builders import trio_specs, write_trio
from chatvector.errors import ChatVectorError
from chatvector.messages import silent
from chatvector.pipeline import apply
from chatvector.preparation import prepare
from chatvector.recipe import Recipe

NONSENSE = ["abc", [], True, -3, 1e400, None, [["a"]], {"a": {}}]
KEYS = (
    "rope_theta", "rope_scaling", "rope_parameters", "text_config", "architectures", "model_type", "vocab_size",
    "hidden_size", "num_hidden_layers", "tie_word_embeddings", "quantization_config", "eos_token_id", "hidden_act",
    "num_experts", "vision_config", "layer_types",
)  # fmt: skip


def one_line(error: ChatVectorError) -> bool:
    return "\n" not in str(error) and error.exit_code in (2, 3, 4)


@pytest.mark.parametrize("key", KEYS)
def test_in_a_parent(tmp_path: Path, key: str) -> None:
    trio = write_trio(tmp_path)
    recipe = Recipe.from_mapping(
        {"target": str(trio.target), "vectors": [{"base": str(trio.base), "chat": str(trio.chat)}], "output": "out"}
    )
    config = json.loads((trio.chat / "config.json").read_text())
    for value in NONSENSE:
        (trio.chat / "config.json").write_text(json.dumps(config | {key: value}))
        try:
            with ExitStack() as stack:
                prepare(recipe, stack, silent)
        except ChatVectorError as error:
            assert one_line(error), value  # noqa: PT017


@pytest.mark.parametrize("key", KEYS)
def test_in_the_target(tmp_path: Path, key: str) -> None:
    """Through the whole run: the target's configuration is also what the output gets."""
    for number, value in enumerate(NONSENSE[::2] if len(key) % 2 else NONSENSE[1::2]):
        specs = trio_specs()
        specs["target"].config[key] = value
        trio = write_trio(tmp_path / str(number), specs)
        vector = {"base": str(trio.base), "chat": str(trio.chat)}
        output = tmp_path / f"out-{number}"
        try:
            apply(Recipe.from_mapping({"target": str(trio.target), "vectors": [vector], "output": str(output)}))
        except ChatVectorError as error:
            assert one_line(error), value  # noqa: PT017
            assert not output.exists()
        else:
            assert output.is_dir()
        assert not list(tmp_path.glob(".out*"))
