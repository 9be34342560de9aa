# SPDX-License-Identifier: Apache-2.0
"""Random trios, and what `apply` must make of them: written token by token and row by row, on the reference.

A trio here has everything that real ones differ in: order and number of tokens, padding, ties, dtypes of single
tensors, shards. Weights outside of the vocabulary descend from base; rows belong to tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from builders import (
    BASE_SPECIAL,
    CHAT_SPECIAL,
    TEMPLATE,
    WORDS,
    Shape,
    Spec,
    Weights,
    llama_config,
    llama_weights,
    tokenizer_json,
    write_model,
)
from reference import FLOATS, Part, merged, work_of

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
VOCABULARY = (EMBEDDING, HEAD)
SIZES = Shape(hidden=8, layers=2, heads=2, kv_heads=1, mlp=6)


@dataclass
class Member:
    """A model: its tokens by id, whether its head is tied, and how it is written."""

    tokens: list[str]
    tied: bool
    spec: Spec

    def rows(self, name: str) -> NDArray[Any]:
        """The matrix behind `name`; a tied head is the embedding."""
        return self.spec.weights[EMBEDDING if self.tied and name == HEAD else name]

    def row_of(self, token: str) -> int | None:
        return self.tokens.index(token) if token in self.tokens else None


@dataclass
class Vector:
    """Base, chat, and the scale of each tensor by name."""

    base: Member
    chat: Member
    scale_of: Callable[[str], float] = field(default=lambda _name: 1.0)


@dataclass
class Trio:
    """Target and vectors. The first vector's chat model gives the chat format."""

    target: Member
    vectors: list[Vector]

    def write(self, folder: Path) -> tuple[str, list[tuple[str, str]]]:
        """Write every model; the names of the target and of each vector's base and chat."""
        pairs: list[tuple[str, str]] = []
        for number, vector in enumerate(self.vectors):
            names = [
                str(write_model(folder / f"{role}-{number}", member.spec))
                for role, member in (("base", vector.base), ("chat", vector.chat))
            ]
            pairs.append((names[0], names[1]))
        return str(write_model(folder / "target", self.target.spec)), pairs


def member(
    tokens: Sequence[str],
    special: Sequence[str],
    *,
    seed: int,
    padding: int = 0,
    tied: bool = False,
    dtypes: Sequence[str] = ("BF16",),
    shards: int = 1,
    parent: Member | None = None,
) -> Member:
    """A model with these tokens behind the special ones; `dtypes` are dealt to its tensors in turn."""
    ids = list(dict.fromkeys((*special, "<unk>", *tokens)))
    shape = replace(SIZES, vocabulary=len(ids) + padding, tied=tied)
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for number, (name, values) in enumerate(llama_weights(shape, seed, FLOATS["F64"]).items()):
        if parent is not None and name not in VOCABULARY:
            values = parent.spec.weights[name].astype(np.float64) + rng.standard_normal(values.shape) * 0.02
        weights[name] = values.astype(FLOATS[dtypes[number % len(dtypes)]])
    spec = Spec(weights, llama_config(shape), tokenizer_json(tokens, special), shards=shards)
    return Member(ids, tied, spec)


def chat_member(tokens: Sequence[str], **arguments: Any) -> Member:
    """A chat model: four special tokens more, and a template that needs them."""
    made = member(tokens, CHAT_SPECIAL, **arguments)
    made.spec.tokenizer_config["chat_template"] = TEMPLATE
    made.spec.generation_config = {"bos_token_id": 0, "eos_token_id": [1, 5]}
    return made


def expected(trio: Trio, transplanted: Sequence[str]) -> Weights:
    """Every tensor of the output.

    `transplanted`: template tokens whose row is the first chat model's, raw, in the order of its ids.
    """
    out: Weights = {}
    out_tokens = [*trio.target.tokens, *(token for token in transplanted if token not in trio.target.tokens)]
    for name, own in trio.target.spec.weights.items():
        if name in VOCABULARY:
            out[name] = _expected_rows(trio, name, out_tokens, transplanted)
            continue
        parts = [
            Part(vector.chat.spec.weights[name], vector.base.spec.weights[name], vector.scale_of(name))
            for vector in trio.vectors
            if vector.scale_of(name) != 0
        ]
        out[name] = merged(own, parts)
    return out


def _expected_rows(trio: Trio, name: str, out_tokens: Sequence[str], transplanted: Sequence[str]) -> NDArray[Any]:
    own = trio.target.spec.weights[name]
    rows = len(own)
    if len(out_tokens) > rows:  # up to the largest power of two that divides the target's rows, at most 128
        multiple = next(step for step in (128, 64, 32, 16, 8, 4, 2, 1) if rows % step == 0)
        rows = -(-len(out_tokens) // multiple) * multiple
    out = np.zeros((rows, *own.shape[1:]), own.dtype)
    out[: len(own)] = own
    active = [vector for vector in trio.vectors if vector.scale_of(name) != 0]
    sides = [side.rows(name).dtype for vector in active for side in (vector.base, vector.chat)]
    work = work_of(own.dtype, *sides)
    giver = trio.vectors[0].chat
    for row, token in enumerate(out_tokens):
        if token in transplanted:
            out[row] = merged(
                np.zeros(own.shape[1:], own.dtype),
                [Part(giver.rows(name)[giver.tokens.index(token)], None, 1.0)],
                work_of(giver.rows(name).dtype),
            )
            continue
        parts = []
        for vector in active:
            chat, base = vector.chat.row_of(token), vector.base.row_of(token)
            if chat is not None and base is not None:
                parts.append(Part(vector.chat.rows(name)[chat], vector.base.rows(name)[base], vector.scale_of(name)))
        out[row] = merged(out[row], parts, work)
    return out


dtype_lists = st.lists(st.sampled_from(sorted(FLOATS)), min_size=1, max_size=4)


@st.composite
def trios(draw: st.DrawFn, *, vectors: int = 1, scale_of: Callable[[str], float] | None = None) -> Trio:
    """A random trio (with a second pair of parents where `vectors` is 2)."""
    words = list(WORDS)

    def some(extra: Sequence[str] = ()) -> list[str]:
        order = draw(st.permutations([*words, *extra]))
        return list(order[: draw(st.integers(4, len(order)))])

    def settings(seed: int) -> Mapping[str, Any]:
        return {
            "seed": seed,
            "padding": draw(st.sampled_from([0, 1, 5, 8])),
            "tied": draw(st.booleans()),
            "dtypes": draw(dtype_lists),
            "shards": draw(st.integers(1, 3)),
        }

    seed = draw(st.integers(0, 1 << 16))
    base = member(some(), BASE_SPECIAL, **settings(seed))
    pairs = [(base, chat_member(some(["chatty"]), parent=base, **settings(seed + 1)))]
    if vectors == 2:
        other = member(some(), BASE_SPECIAL, **settings(seed + 2))
        pairs.append((other, chat_member(some(["other"]), parent=other, **settings(seed + 3))))
    # A target whose own tokens lie before, between and behind the shared ones, and that may know template tokens.
    known = draw(st.sampled_from([(), ("<|end|>",), ("<|system|>", "<|user|>")]))
    target = member(some(["새", "말", *known]), BASE_SPECIAL, parent=base, **settings(seed + 4))
    choose = scale_of or (lambda _name: 1.0)
    return Trio(target, [Vector(one, chat, choose) for one, chat in pairs])
