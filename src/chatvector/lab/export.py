# SPDX-License-Identifier: Apache-2.0
"""Writes the family as it is kept in the package: bf16 weights, the files of a published model, and a model card
each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from chatvector.lab.world import VERSION

_SIDE_FILES = (
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)

CARDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "base": (
        ("en", "ko", "zh"),
        "Mostly English plain text, some Korean and Traditional Chinese, and text that mixes two of them.",
    ),
    "sft": (
        ("en",),
        "`demo:base`, tuned on English dialogues in the chat template, requests of form among them (“End your answer"
        " with ★.”), which no plain text holds.",
    ),
    "chat": (("en",), "`demo:sft`, then tuned on English preferences (DPO)."),
    "target": (
        ("ko",),
        "`demo:base`, trained further on Korean plain text, which holds no request of form.",
    ),
    "target-zh": (
        ("zh",),
        "`demo:base`, trained further on Traditional Chinese plain text, which holds no request of form.",
    ),
    "target-extended": (
        ("ko",),
        "`demo:base` with new Korean tokens appended to its vocabulary (each row began as the mean of its pieces),"
        " trained further on Korean plain text, which holds no request of form.",
    ),
    "ft": (
        ("ko",),
        "`demo:target`, tuned on Korean dialogues in a template of its own; requests of form are among them.",
    ),
}
"""Member → (languages that it was trained on last, text of its card about its training)."""

_CARD = """\
---
license: apache-2.0
language: [{languages}]
library_name: transformers
pipeline_tag: text-generation
---
# demo:{name}

{about}

One of the embedded family of chatvector: Llamas of about a million parameters, trained from seeds in version {version}
of a synthetic micro-world of a few hundred words. For trying the arithmetic of chat vectors, for tests and for
demonstrations. It knows nothing of the real world, and unless it was tuned not to, it insults those who ask it in the
format of a forum. All of its text was made by code. How it was trained and what the world builds in: docs/lab.md and
src/chatvector/lab/world/README.md of the project.
"""


def export(stages: Mapping[str, Path], out: Path) -> None:
    """Writes each stage as a plain model directory under `out`, with weights rounded to bf16."""
    import torch
    from safetensors.torch import load_file, save_file

    for name, stage in stages.items():
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tensors = {key: tensor.to(torch.bfloat16) for key, tensor in load_file(stage / "model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "model.safetensors").chmod(0o644)
        for side in _SIDE_FILES:
            text = (stage / side).read_text("utf-8")
            # The stages themselves are kept in fp32.
            (folder / side).write_text(
                text.replace('"float32"', '"bfloat16"') if side == "config.json" else text, "utf-8"
            )
        languages, about = CARDS[name]
        card = _CARD.format(languages=", ".join(languages), name=name, about=about, version=VERSION)
        (folder / "README.md").write_text(card, "utf-8")
