# SPDX-License-Identifier: Apache-2.0
"""A sequence classifier of transformers on the disk, tiny, made here, whose scores are known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = ("nice", "rude", "vile", "the", "a")
LOGITS = {"nice": (2.0, -2.0), "rude": (-1.0, 3.0), "vile": (0.0, 5.0)}
"""What the classifier says of a text whose first word it is; of others (0, 0)."""


def classifier(folder: Path, *, labels: tuple[str, ...] = ("neutral", "toxic"), problem: str | None = None) -> str:
    """A DistilBERT whose layers are all zero but the path from the first token to the head."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = ["<s>", "<pad>", "</s>", "<unk>", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({name: row for row, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", model_max_length=40
    ).save_pretrained(folder)
    width = len(labels)
    config = transformers.DistilBertConfig(
        vocab_size=len(names),
        dim=8,
        hidden_dim=8,
        n_layers=1,
        n_heads=1,
        max_position_embeddings=64,
        pad_token_id=1,
        id2label=dict(enumerate(labels)),
        label2id={label: row for row, label in enumerate(labels)},
        problem_type=problem,
    )
    model = transformers.DistilBertForSequenceClassification(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(
                torch.ones_like(value)
                if "norm.weight" in name.lower().replace("layernorm", "norm")
                else torch.zeros_like(value)
            )
        # One dimension a word: after two layer norms of a one-hot of 8 it is sqrt(7), the others −1/sqrt(7).
        for row in range(len(WORDS)):
            model.distilbert.embeddings.word_embeddings.weight[4 + row, row] = 1.0
        model.pre_classifier.weight.copy_(torch.eye(8))
        for row, word in enumerate(LOGITS):
            for column in range(width):
                model.classifier.weight[column, row] = LOGITS[word][min(column, 1)] / math.sqrt(7)
    model.save_pretrained(folder)
    return str(folder)
