# SPDX-License-Identifier: Apache-2.0
"""demo:base trained further by the lab's own loop, as the family's stages are, on other examples or for longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from chatvector.checkpoint.names import resolve
from chatvector.lab.loop import Example, train
from chatvector.lab.models import begin_as_end, reserved_rows, write_model
from chatvector.lab.recipe import Stage
from chatvector.lab.tokens import CHAT_TEMPLATE, PAD

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def further(out: Path, stage: Stage, examples: Callable[[Tokenizer], Iterator[Example]], *, chat: bool) -> Path:
    """Write a model directory. `chat`: with the end-of-turn row trained from that of `</s>`, and the chat template."""
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    start = resolve("demo:base").path
    assert start is not None
    tokenizer: Tokenizer = Tokenizer.from_file(str(start / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(start, dtype="float32")
    frozen = reserved_rows(tokenizer)
    if chat:
        begin_as_end(model, tokenizer)
        frozen = frozen[1:]
    pad = tokenizer.token_to_id(PAD)
    assert pad is not None
    read, rng = examples(tokenizer), Random(out.name)
    train(model, stage, read, pad=pad, frozen_rows=frozen, rng=rng, report=lambda _: None)
    out.mkdir(parents=True)
    write_model(model, tokenizer, out, CHAT_TEMPLATE if chat else None)
    return out
