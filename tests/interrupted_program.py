# SPDX-License-Identifier: Apache-2.0
"""Asks the embedded chat model dialogues, drawn at temperature 1, through a cache; a test kills it."""

from __future__ import annotations

import sys

import torch

from chatvector.evaluate.cache import Cache
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.task import Answer, Item, Turn
from chatvector.runtime.backend import Sampling
from chatvector.runtime.transformers_backend import TransformersBackend

QUESTIONS = ("눈은 무슨 색이야?", "What colour is snow?", "안녕.", "How do I make a scarf?", "피는 무슨 색이야?")
SAMPLES = 6
BATCH = 5


def items() -> list[Item]:
    texts = [Item(f"t{i}", "ko", text="눈은 " * (i + 1), mode="continue") for i in range(3)]
    measured = [Item(f"m{i}", "ko", text=text, mode="likelihood") for i, text in enumerate(QUESTIONS)]
    dialogues = [
        Item(f"d{i}", "ko", (Turn(first), Turn("네?", "네."), Turn(last)), samples=SAMPLES)
        for i, (first, last) in enumerate(zip(QUESTIONS, QUESTIONS[::-1], strict=True))
    ]
    return texts + measured + dialogues


def run(path: str) -> tuple[list[Answer], list[str]]:
    """The answers, and what the cache had to say."""
    notes: list[str] = []
    backend = TransformersBackend.load("demo:chat")
    with Cache(path, notes.append) as cache:
        return ask(backend, items(), Sampling(24, temperature=1.0, seed=2), cache=cache, batch=BATCH), notes


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(sys.argv[1])
