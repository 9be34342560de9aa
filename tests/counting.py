# SPDX-License-Identifier: Apache-2.0
"""A model whose replies are known without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from chatvector.runtime.backend import Backend, Prompt, Reply, Sampling
from chatvector.runtime.loading import quiet_transformers
from chatvector.runtime.transformers_backend import TransformersBackend

WORDS = ["<pad>", "<s>", "</s>", "<turn>", *"abcdefghijkl"]
CONTEXT = 64
TEMPLATE = "{{ bos_token }} {% for m in messages %}{{ m['content'] }} {% endfor %}"


def counting_model(place: Path, words: list[str] = WORDS, *, sharpness: float = 1.0, context: int = CONTEXT) -> Path:
    """A model that answers every token with the next one of the vocabulary: after `d` it writes `e f g …`.

    With attention and MLP outputs at zero the residual stream is the last token's embedding, row i is the i-th unit
    vector, and the head maps unit i to token i + 1; the last token leads to </s>. The norm makes the unit √size long:
    the right token's logit is √size · sharpness, every other one's 0.
    """
    size = len(words)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        head_dim=2,
        max_position_embeddings=context,
        rms_norm_eps=1e-12,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.get_parameter("model.norm.weight").fill_(1.0)
        model.get_parameter("model.embed_tokens.weight").copy_(torch.eye(size))
        head = model.get_parameter("lm_head.weight")
        for token in range(size - 1):
            head[token + 1, token] = sharpness
        head[2, size - 1] = sharpness
    with quiet_transformers():
        model.save_pretrained(place)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([word for word in words if len(word) > 1])
    tokenizer.save(str(place / "tokenizer.json"))
    side = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "chat_template": TEMPLATE,
    }
    (place / "tokenizer_config.json").write_text(json.dumps(side))
    set_generation(place, eos_token_id=[2], pad_token_id=0)
    return place


def set_generation(model: Path, **settings: Any) -> None:
    """Write generation_config.json."""
    (model / "generation_config.json").write_text(json.dumps(settings))


def set_template(model: Path, template: str | None) -> None:
    """Give the tokenizer another chat template, or none."""
    path = model / "tokenizer_config.json"
    side = json.loads(path.read_text())
    side["chat_template"] = template
    path.write_text(json.dumps({key: value for key, value in side.items() if value is not None}))


def load(path: Path, **options: object) -> TransformersBackend:
    return TransformersBackend.load(path, **options)  # pyright: ignore[reportArgumentType]


def write(backend: Backend, text: str, limit: int = 10) -> Reply:
    (reply,) = backend.generate([Prompt(text=text)], Sampling(max_new_tokens=limit))
    return reply
