# SPDX-License-Identifier: Apache-2.0
"""What `apply` warns of in a chat model's template: where a merge would not stop, or reads control words as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import TEMPLATE, trio_specs, write_trio
from chatvector.pipeline import apply
from chatvector.recipe import Recipe

PLAIN_TEXT = "{% for message in messages %}{{ message.role }}: {{ message.content }}</turn>\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (TEMPLATE, []),
        (PLAIN_TEXT, ["writes no special token after a reply", "the stop tokens are '</s>', '<|end|>': compare"]),
        (TEMPLATE.replace("message['content']", "''"), ["leaves out what the assistant said"]),
        (TEMPLATE.replace("<|end|>", "<|im_end|><|end|>"), ["<|im_end|> in the template is no token of its tokenizer"]),
    ],
    ids=["all well", "ends in text", "no answers", "a token of another family"],
)
def test_a_template_that_cannot_be_right_is_named(tmp_path: Path, template: str, words: list[str]) -> None:
    specs = trio_specs()
    specs["chat"].tokenizer_config["chat_template"] = template
    trio = write_trio(tmp_path, specs)
    pair = {"base": str(trio.base), "chat": str(trio.chat)}
    recipe = Recipe.from_mapping({"target": str(trio.target), "vectors": [pair], "output": str(tmp_path / "out")})
    warned = apply(recipe).manifest["run"]["warnings"]
    about = [line for line in warned if "tokenizer_config.json: " in line]
    assert len(about) == bool(words)
    assert all(word in line for word in words for line in about)
