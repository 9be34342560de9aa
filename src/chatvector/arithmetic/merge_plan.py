# SPDX-License-Identifier: Apache-2.0
"""The plan of `apply`: the target's tensors, each with the vectors that touch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chatvector.arithmetic.kernels import dot
from chatvector.arithmetic.plan import Slice, TensorPlan, Term, working_format
from chatvector.arithmetic.reading import Buffer, read_slice
from chatvector.arithmetic.roles import Role, VocabularyTensors, assign_roles, find_vocabulary, is_derived, layer_of
from chatvector.arithmetic.scales import ScaleRules
from chatvector.arithmetic.sources import VectorSource
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.files import safetensors_name
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.errors import UnsupportedFormat
from chatvector.vocabulary.rows import VocabularyPlan

# Bytes compared at a time when a head is compared with its embedding.
_COMPARE_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class MergePlan:
    """The tensors of the output in file order, and facts for messages: what is only copied, what happens to the head.

    Attributes:
        tensors: one plan per output tensor.
        derived: names of buffers that the target derives from its configuration; they are copied.
        left_behind: such buffers that only another parent has, as `parent: name`; the output lacks them.
        unties: whether the output has its own head although the target's flag says tied.
        lost_heads: for each vector, whether the parents' heads differ but the target has no head.
    """

    tensors: tuple[TensorPlan, ...]
    derived: tuple[str, ...]
    left_behind: tuple[str, ...]
    unties: bool
    lost_heads: tuple[bool, ...]


def plan_merge(
    target: Checkpoint,
    vectors: Sequence[VectorSource],
    rules: Sequence[ScaleRules],
    vocabulary: VocabularyPlan,
    format_vector: int | None,
) -> MergePlan:
    """Plan every tensor of the output.

    Args:
        target: gives names, shapes, dtypes and shard layout.
        vectors: in recipe order.
        rules: the scales of each vector.
        vocabulary: rows of the output and the row maps of each vector.
        format_vector: index of the vector that gives transplanted rows; None when the chat format stays.

    Raises UsageError when a rule matches no tensor.
    """
    roles = assign_roles(target.tensors, target.config)
    axis = find_vocabulary(target.tensors, target.config)
    known: list[tuple[str, Role, int | None]] = [(name, role, layer_of(name)) for name, role in roles.items()]
    for rule in rules:
        rule.check_used(known)
    builder = _Builder(target, vectors, rules, vocabulary, format_vector, axis)
    tensors = tuple(builder.tensor(name, role) for name, role in roles.items())
    derived = tuple(name for name, ref in target.tensors.items() if is_derived(name, ref))
    lost = tuple(axis.head is None and _has_own_head(vector) for vector in vectors)
    left_behind = tuple(
        f"{role}: {name}"
        for vector in vectors
        for role, model in zip(("base", "chat"), vector.inputs(), strict=False)
        for name, ref in model.tensors.items()
        if name not in target.tensors and is_derived(name, ref)
    )
    return MergePlan(tensors, derived, left_behind, builder.unties(), lost)


def same_bytes(model: Checkpoint, one: str, other: str) -> bool:
    """Whether two tensors of a model hold the same bytes; stops at the first difference."""
    left, right = model.tensors[one], model.tensors[other]
    if left.nbytes != right.nbytes or left.dtype != right.dtype:
        return False
    for start in range(0, left.nbytes, _COMPARE_BYTES):
        size = min(_COMPARE_BYTES, left.nbytes - start)
        pieces = bytearray(size), bytearray(size)
        for ref, piece in zip((left, right), pieces, strict=True):
            model.read_into(ref, start, memoryview(piece))
        if pieces[0] != pieces[1]:
            return False
    return True


@dataclass(frozen=True, eq=False)
class _Builder:
    target: Checkpoint
    vectors: Sequence[VectorSource]
    rules: Sequence[ScaleRules]
    vocabulary: VocabularyPlan
    format_vector: int | None
    axis: VocabularyTensors

    def tensor(self, name: str, role: Role) -> TensorPlan:
        ref = self.target.tensors[name]
        layer = layer_of(name)
        file = safetensors_name(ref.file)
        plan = TensorPlan(name, role, layer, ref.dtype, ref.shape, file, Slice(self.target, ref))
        if is_derived(name, ref):
            return plan
        if ref.dtype.kind != "float":
            self._require_fixed_rows(name, ref)
            return replace(plan, must_equal=self._buffers(name))
        mapped = name in self.axis.names
        terms = tuple(term for number in range(len(self.vectors)) if (term := self._term(number, plan, mapped)))
        dtypes = [ref.dtype, *(dtype for term in terms for dtype in self.vectors[term.vector].parent_dtypes(name))]
        plan = replace(plan, terms=terms, work=working_format(dtypes))
        return self._with_rows(plan) if mapped else plan

    def unties(self) -> bool:
        """Whether the output's head may differ from its embedding although the target's flag says tied."""
        embedding, head = self.axis.embedding, self.axis.head
        if embedding is None or head is None or self.target.config.get("tie_word_embeddings") is not True:
            return False
        if any(_has_own_head(vector) for vector in self.vectors):
            return True
        apart = any(
            rule.for_tensor(embedding, "embedding", None)[0] != rule.for_tensor(head, "head", None)[0]
            for rule in self.rules
        )
        return apart or not same_bytes(self.target, embedding, head)

    def _require_fixed_rows(self, name: str, ref: TensorRef) -> None:
        """Raise UnsupportedFormat for a tensor with one entry per token where rows are added for new tokens."""
        rows, more = self.vocabulary.target_rows, self.vocabulary.rows
        if more != rows and ref.shape[:1] == (rows,):
            raise UnsupportedFormat(
                f"{self.target.name}: {name} holds {ref.dtype.code} for each of {rows} tokens, and the chat format adds"
                f" {more - rows} rows; give a template whose tokens the target has by --chat-format FILE, or keep the"
                " target's by --chat-format target"
            )

    def _buffers(self, name: str) -> tuple[Slice, ...]:
        parts: list[Slice] = []
        for vector in self.vectors:
            parts.extend(Slice(model, model.tensors[name]) for model in vector.inputs() if name in model.tensors)
        return tuple(parts)

    def _term(self, number: int, plan: TensorPlan, mapped: bool) -> Term | None:
        scale, rule = self.rules[number].for_tensor(plan.name, plan.role, plan.layer)
        if scale == 0:
            return None
        rows = self.vocabulary.row_maps[number] if mapped else None
        if rows is not None and not (rows.base >= 0).any():
            return None
        plus, minus = self.vectors[number].difference(plan.name, rows)
        return Term(number, scale, rule, plus, minus)

    def _with_rows(self, plan: TensorPlan) -> TensorPlan:
        target_rows = self.vocabulary.row_maps[0].target
        transplant = None
        if self.format_vector is not None:
            rows = self.vocabulary.row_maps[self.format_vector].transplant
            if (rows >= 0).any():
                transplant = self.vectors[self.format_vector].raw_rows(plan.name, rows)
        assert plan.target is not None
        start = plan.target
        if (target_rows < 0).any() or len(target_rows) != plan.shape[0]:
            start = replace(start, rows=target_rows)
        shape = (self.vocabulary.rows, *plan.shape[1:])
        return replace(plan, shape=shape, target=start, transplant=transplant)


def _has_own_head(vector: VectorSource) -> bool:
    """Whether the files of either parent, or of the vector, hold a head."""
    return bool(_own_heads(vector))


def _own_heads(vector: VectorSource) -> list[str]:
    """Names of the heads in the parents' files, or in the files of a vector on disk."""
    models = [(model.tensors, model.config) for model in vector.inputs()] or [(vector.tensors, vector.chat.config)]
    heads = [find_vocabulary(tensors, config).head for tensors, config in models]
    return [head for head in heads if head is not None]


def head_norm(vector: VectorSource, vocabulary: VocabularyPlan, number: int) -> float:
    """‖τ‖ of the parents' heads over shared rows, for the warning about a target that has no head to add it to."""
    head = next(iter(_own_heads(vector)), None)
    if head is None:
        return 0.0
    plus, minus = vector.difference(head, vocabulary.row_maps[number])
    total = 0.0
    width = plus.ref.row_elements
    step = max(1, (1 << 18) // width) * width
    rows = vocabulary.row_maps[number].chat
    for start in range(0, len(rows) * width, step):
        stop = min(start + step, len(rows) * width)
        delta = read_slice(plus, start, stop, Buffer()).astype(np.float64)
        if minus is not None:
            delta -= read_slice(minus, start, stop, Buffer()).astype(np.float64)
        total += dot(delta, delta)
    return float(np.sqrt(total))
