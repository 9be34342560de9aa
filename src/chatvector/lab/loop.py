# SPDX-License-Identifier: Apache-2.0
"""The training loop of the lab: small batches of whole documents, AdamW, one process, no framework."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

    from chatvector.lab.recipe import Stage

Example = tuple[list[int], list[bool]]
"""Token ids of one document, and for each token whether predicting it counts in the loss."""

_POOL_BATCHES = 32
IGNORED = -100
SAVE_EVERY = 500
"""Steps between two saved states; a killed training loses at most so many, about a minute."""


def batches(examples: Iterator[Example], batch_tokens: int, rng: Random) -> Iterator[list[Example]]:
    """Endless batches of at most about `batch_tokens` tokens, padding included. Documents of similar length are batched
    together, and the batches are shuffled."""
    while True:
        size, pool = 0, []
        while size < _POOL_BATCHES * batch_tokens:
            pool.append(next(examples))
            size += len(pool[-1][0])
        pool.sort(key=lambda example: len(example[0]))
        ready, batch = [], []
        for example in pool:
            if batch and (len(batch) + 1) * len(example[0]) > batch_tokens:
                ready.append(batch)
                batch = []
            batch.append(example)
        ready.append(batch)
        rng.shuffle(ready)
        yield from ready


def collate(batch: Sequence[Example], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and labels, both int64 of shape (documents, longest). Labels are IGNORED for tokens that do not
    count in the loss."""
    import torch

    width = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), width), pad)
    labels = torch.full((len(batch), width), IGNORED)
    for row, (tokens, counted) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, : len(tokens)] = torch.tensor(
            [token if counts else IGNORED for token, counts in zip(tokens, counted, strict=True)]
        )
    return ids, labels


def train(
    model: LlamaForCausalLM,
    stage: Stage,
    examples: Iterator[Example],
    *,
    pad: int,
    frozen_rows: Sequence[int],
    rng: Random,
    report: Callable[[str], None],
    state: Path | None = None,
) -> None:
    """Trains the model in place for `stage.steps` steps.

    `frozen_rows` of the tied embedding are restored after every step: otherwise the softmax, which pushes down tokens
    that never occur, would move rows that are meant to stay untrained. Padding is on the right and attention is causal,
    so no attention mask is needed.

    Model and optimizer are saved to the file `state` every SAVE_EVERY steps. A killed training continues from there and
    gives the same bytes as an uninterrupted one; `examples` and `rng` must then start as they did the first time.
    """
    import torch

    embedding = model.get_parameter("model.embed_tokens.weight")
    frozen = torch.tensor(list(frozen_rows))
    kept = embedding.detach()[frozen].clone()
    body = [p for p in model.parameters() if p is not embedding]
    groups = [
        {"params": [p for p in body if p.ndim > 1], "weight_decay": stage.weight_decay, "factor": 1.0},
        {"params": [p for p in body if p.ndim == 1], "weight_decay": 0.0, "factor": 1.0},
        {"params": [embedding], "weight_decay": 0.0, "factor": stage.embedding_factor, "eps": stage.embedding_epsilon},
    ]
    optimizer = torch.optim.AdamW(groups, lr=stage.learning_rate, betas=(0.9, 0.95), fused=True)
    stream = batches(examples, stage.batch_tokens, rng)
    done, smooth = 0, 0.0
    if state is not None and state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done, smooth = saved["done"], saved["smooth"]
        report(f"going on from step {done}")
        next(islice(stream, done - 1, done))  # skips the batches that were trained on already
    model.train()
    started, tokens = time.monotonic(), 0
    for step, batch in enumerate(islice(stream, stage.steps - done), done):
        warm = min(1.0, (step + 1) / stage.warmup)
        cosine = 0.55 + 0.45 * math.cos(math.pi * step / stage.steps)
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * warm * cosine * group["factor"]
        ids, labels = collate(batch, pad)
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            embedding[frozen] = kept
        tokens += ids.numel()
        smooth = loss.item() if step == 0 else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 100 == 0 or step + 1 == stage.steps:
            rate = tokens / (time.monotonic() - started)
            left = (stage.steps - step - 1) * tokens / (step + 1 - done) / rate
            report(f"step {step + 1}/{stage.steps}  loss {smooth:.3f}  {rate:.0f} tokens/s  {left / 60:.1f} min left")
        if state is not None and (step + 1) % SAVE_EVERY == 0:
            partial = state.with_suffix(".new")
            whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**whole, "done": step + 1, "smooth": smooth}, partial)
            partial.replace(state)  # the file appears whole or not at all
    model.eval()
