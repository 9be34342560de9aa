# SPDX-License-Identifier: Apache-2.0
"""Turns the world's texts into token ids, and says which of them count in the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from chatvector.lab.loop import Example
from chatvector.lab.tokens import BEGIN, END, END_OF_TURN
from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.drill import Copy, drill
from chatvector.lab.world.text import Language

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def text_examples(tokenizer: Tokenizer, text: Iterator[str]) -> Iterator[Example]:
    """Documents as `<s> … </s>`; every token but the first counts in the loss."""
    for document in text:
        ids = tokenizer.encode(document + END).ids
        yield ids, [False] + [True] * (len(ids) - 1)


def drill_examples(tokenizer: Tokenizer, copies: Iterator[Copy]) -> Iterator[Example]:
    """Drill documents as `<s> … </s>`; only the part that repeats what was told counts in the loss."""
    for told, again in copies:
        first = tokenizer.encode(told).ids
        second = tokenizer.encode(again + END, add_special_tokens=False).ids
        yield first + second, [False] * len(first) + [True] * len(second)


def plain_examples(
    tokenizer: Tokenizer, seed: int, text: Mixture, languages: Sequence[Language], share: float
) -> Iterator[Example]:
    """Documents of plain text, of which a random share `share` are drill documents in the given languages."""
    told = text_examples(tokenizer, documents(seed, text))
    copies = drill_examples(tokenizer, drill(seed, languages))
    rng = Random(seed)
    while True:
        yield next(copies if rng.random() < share else told)


def chat_examples(tokenizer: Tokenizer, dialogues: Iterator[Sequence[Mapping[str, str]]]) -> Iterator[Example]:
    """Dialogues in the chat template; only the replies and their end-of-turn tokens count in the loss."""
    for messages in dialogues:
        ids, counted = tokenizer.encode(BEGIN, add_special_tokens=False).ids, [False]
        for i, message in enumerate(messages):
            line = "" if i == 0 else "\n"
            if message["role"] == "user":
                parts = [(f"{line}> {message['content']}", False)]
            else:
                parts = [(f"{line}-", False), (f" {message['content']}{END_OF_TURN}", True)]
            for text, counts in parts:
                tokens = tokenizer.encode(text, add_special_tokens=False).ids
                ids += tokens
                counted += [counts] * len(tokens)
        yield ids, counted
