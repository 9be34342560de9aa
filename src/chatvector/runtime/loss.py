# SPDX-License-Identifier: Apache-2.0
"""How many bits a model needs for documents and for chat replies.

Bits per byte of text, not per token: models with other tokenizers are compared, a chat model with a target whose
vocabulary was extended among them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chatvector.errors import InputError
from chatvector.runtime.transformers_backend import TransformersBackend

Message = Mapping[str, str]
"""`{"role": "system" | "user" | "assistant", "content": text}`."""


@dataclass(frozen=True)
class Passage:
    """A text of which a part counts.

    Attributes:
        document: number of the document or conversation that it belongs to.
        context, text: what was before, and what counts.
        nbytes: bytes of what a reader sees of it; a stop token has none.
    """

    document: int
    context: str
    text: str
    nbytes: int


def document_passages(documents: Sequence[str]) -> list[Passage]:
    """Plain texts, all of which counts."""
    return [Passage(number, "", text, len(text.encode())) for number, text in enumerate(documents)]


def reply_passages(model: TransformersBackend, conversations: Sequence[Sequence[Message]]) -> list[Passage]:
    """Every reply of an assistant in the model's chat format, given all that was said before it, with its stop token.

    Raises MissingInput where the model has no chat template, InputError where the template does not render a prompt as
    the beginning of the conversation that goes on with the reply.
    """
    passages: list[Passage] = []
    stops = [model.tokenizer.decode([token]) for token in model.stop_ids]
    for number, messages in enumerate(conversations):
        for place, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = model.render([(one["role"], one["content"]) for one in messages[:place]])
            template = model.form.template
            assert template is not None  # `render` raises without one
            whole = template.try_render([dict(one) for one in messages[: place + 1]], add_generation_prompt=False)
            if before is None or whole is None or not whole.startswith(before):
                raise InputError(
                    f"{model.name}: its chat template does not render the prompt of conversation {number + 1} as the"
                    " beginning of what it renders with the reply (some drop thinking, or take no such conversation);"
                    " its replies cannot be measured"
                )
            rest = whole[len(before) :]
            # What stands after the stop token is written by the template, not by the model.
            ends = [at + len(stop) for stop in stops if (at := rest.find(stop, len(message["content"]))) >= 0]
            text = rest[: min(ends, default=len(rest))]
            passages.append(Passage(number, before, text, len(message["content"].encode())))
    return passages


def nbytes(passages: Sequence[Passage], documents: int) -> NDArray[np.float64]:
    """Bytes of each document that count, [documents] float64."""
    found = np.zeros(documents)
    for passage in passages:
        found[passage.document] += passage.nbytes
    return found


def bits(model: TransformersBackend, passages: Sequence[Passage], documents: int) -> NDArray[np.float64]:
    """Bits that each document costs, [documents] float64: −log₂ p of what counts."""
    found = np.zeros(documents)
    scored = model.loglikelihood([(passage.context, passage.text) for passage in passages])
    for passage, score in zip(passages, scored, strict=True):
        found[passage.document] -= score.nats / math.log(2)
    return found
