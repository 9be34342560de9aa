# SPDX-License-Identifier: Apache-2.0
"""Check before the first byte that the output will be a chat model, and after the last that it is what was planned.

Before: the chat format is rendered with the side files that the output will have. After: headers are read back from the
disk, sampled blocks are computed again by a plain formula that shares no code with the kernels, side files are read
back, configuration and weights are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatvector.arithmetic.declared import declared_rows
from chatvector.arithmetic.plan import Plan, Slice, TensorPlan
from chatvector.arithmetic.read_ahead import have_at_hand, reads_from_afar
from chatvector.arithmetic.reading import Buffer, read_slice
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.checkpoint.tensor_files import TensorFiles
from chatvector.errors import InputError, MissingInput, VerificationFailed, first_five
from chatvector.vocabulary.choice import Choice
from chatvector.vocabulary.rows import VocabularyPlan
from chatvector.vocabulary.selfcheck import check_chat_model, load_tokenizer
from chatvector.vocabulary.side_files import SideFiles
from chatvector.vocabulary.tokens import TOKENIZER_JSON, TokenTables

# Two blocks of a tensor, its first and its last: a wrong offset, scale or row map shows in either. Over a network it is
# only one, the last and the first in turn, so that one request brings the end of a tensor and the start of the next.
CHECKED_ELEMENTS = 1024
_FIRST, _LAST = 0, 1


@dataclass(frozen=True)
class WeightCheck:
    """Amount of the comparison: tensors, and recomputed elements."""

    tensors: int
    elements: int


def check_weights(plan: Plan, written: TensorFiles) -> WeightCheck:
    """Compare headers and sampled blocks of the written files with the plan. Raises VerificationFailed."""
    planned = {tensor.name: (tensor.dtype.code, tensor.shape) for tensor in plan.tensors}
    found = {name: (ref.dtype.code, ref.shape) for name, ref in written.tensors.items()}
    if planned != found:
        wrong = sorted(name for name in planned.keys() | found.keys() if planned.get(name) != found.get(name))
        raise VerificationFailed(
            f"the written headers differ from the plan in {len(wrong)} tensors: {first_five(wrong)}"
        )

    def check(block: tuple[TensorPlan, int, int]) -> int:
        tensor, start, stop = block
        if recompute(tensor, start, stop).tobytes() != written.read_array(tensor.name, start, stop).tobytes():
            raise VerificationFailed(
                f"{tensor.name}: elements {start} to {stop} differ from the recipe when computed again;"
                " a disk or memory fault, run again with --restart"
            )
        return stop - start

    blocks = checked_blocks(plan, from_afar=reads_from_afar(plan))
    have_at_hand((part, start, stop) for tensor, start, stop in blocks for part in tensor.slices())
    return WeightCheck(len(plan.tensors), sum(map(check, blocks)))


def checked_blocks(plan: Plan, *, from_afar: bool) -> list[tuple[TensorPlan, int, int]]:
    """(Tensor, first element, past-last element) of each block that `check_weights` compares; fewer over a network."""
    turns = ({_LAST}, {_FIRST}) if from_afar else ({_FIRST, _LAST},)
    chosen = zip(plan.tensors, cycle(turns), strict=False)
    return [(tensor, start, stop) for tensor, ends in chosen for start, stop in _spans(tensor, ends)]


@dataclass(frozen=True)
class PlannedFiles:
    """The side files of an output that is not written yet."""

    name: str
    contents: Mapping[str, bytes]
    """Relative name -> bytes."""

    @property
    def files(self) -> Collection[str]:
        """Relative names."""
        return self.contents.keys()

    def read_file(self, name: str) -> bytes:
        """The bytes of a file. Raises MissingInput."""
        if name not in self.contents:
            raise MissingInput(f"{self.name}: {name} is missing")
        return self.contents[name]


def check_chat_files(
    files: Mapping[str, bytes],
    choice: Choice,
    target: SideFiles,
    *,
    tables: TokenTables | None = None,
    by_library: bool = True,
) -> dict[str, Any]:
    """Whether the side files of the output make a chat model, as data for the manifest; {} where no chat format moves.

    The chat format is checked only where this run moves one: faults of the target itself are not this run's. `tables`
    and `by_library` are those of `check_chat_model`.

    Raises InputError when they do not (DamagedFile when the library does not load the target's own tokenizer). Nothing
    is written then; other inputs or another chat format are needed.
    """
    if not choice.moves or choice.format is None:
        return {}
    chat = check_chat_model(
        PlannedFiles("the output", files), expected=choice.format, tables=tables, by_library=by_library
    )
    if not chat.ok:
        if by_library and TOKENIZER_JSON in target.files:
            load_tokenizer(target)
        raise InputError(
            f"{target.name}: the output would be no chat model: {first_five(chat.problems)}; give a template that does"
            " by --chat-format FILE, or leave the target's files as they are by --chat-format target"
        )
    return {"chat": chat.as_dict()}


def check_output(plan: Plan, place: Path, vocabulary: VocabularyPlan, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Run all checks on the files in the directory `place`; data for the manifest. Raises VerificationFailed.

    `files`: the intended side files by name, which `check_chat_files` has accepted.
    """
    with Checkpoint(LocalDirectory(place), place.name) as model:
        weights = check_weights(plan, model)
        wrong = sorted(name for name, data in files.items() if (place / name).read_bytes() != data)
        if wrong:
            raise VerificationFailed(
                f"{len(wrong)} side files differ from what was written: {first_five(wrong)};"
                " a disk or memory fault, run again with --restart"
            )
        if vocabulary.rows != vocabulary.target_rows:
            for declared in declared_rows(model.tensors, model.config):
                if declared.said != declared.rows:
                    raise VerificationFailed(str(declared))
        return {"weights": asdict(weights)}


def recompute(tensor: TensorPlan, start: int, stop: int) -> NDArray[np.generic]:
    """Elements `start` to `stop` of a planned tensor, by a second implementation of the formula of promise 2."""
    work = np.dtype(np.float64 if tensor.work == "F64" else np.float32)
    own = _read(tensor.target, start, stop) if tensor.target else np.full(stop - start, -0.0, np.float32)
    result = own
    if tensor.terms:
        with np.errstate(over="ignore", invalid="ignore"):
            total = own.astype(work)
            touched = np.zeros(stop - start, bool)
            for term in tensor.terms:
                delta = _read(term.plus, start, stop).astype(work)
                if term.minus is not None:
                    delta = delta - _read(term.minus, start, stop).astype(work)
                here = _has(term.plus, start, stop) & (term.minus is None or _has(term.minus, start, stop))
                total = np.where(here, total + work.type(term.scale) * delta, total)
                touched |= here
            result = np.where(touched, _rounded(total, tensor.dtype.numpy), own.astype(tensor.dtype.numpy))
    if tensor.transplant is not None:
        raw = _rounded(_read(tensor.transplant, start, stop), tensor.dtype.numpy)
        result = np.where(_has(tensor.transplant, start, stop), raw, result.astype(tensor.dtype.numpy))
    return result.astype(tensor.dtype.numpy)


def _rounded(values: NDArray[Any], dtype: np.dtype) -> NDArray[np.generic]:
    """Round to nearest even, once. float64 to bfloat16 is done on the bits, as the library's cast rounds twice."""
    if values.dtype != np.float64 or dtype.itemsize != 2 or dtype == np.float16:
        return values.astype(dtype)
    bits = values.view(np.uint64)
    # Keep 8 of 53 significant bits: add half a unit of the last kept bit, less one unless that bit is odd.
    kept = bits + np.uint64((1 << 44) - 1) + ((bits >> np.uint64(45)) & np.uint64(1))
    normal = (kept & ~np.uint64((1 << 45) - 1)).view(np.float64)
    # Below 2^-126 the last bit is worth 2^-133, whatever the value.
    subnormal = np.rint(values * 2.0**133) * 2.0**-133
    return np.where(np.abs(values) < 2.0**-126, subnormal, normal).astype(dtype)


def _read(part: Slice, start: int, stop: int) -> NDArray[np.generic]:
    return read_slice(part, start, stop, Buffer())


def _has(part: Slice, start: int, stop: int) -> NDArray[np.bool_]:
    if part.rows is None:
        return np.ones(stop - start, bool)
    width = part.ref.row_elements
    return np.repeat(part.rows[start // width : stop // width] >= 0, width)


def _spans(tensor: TensorPlan, ends: Collection[int]) -> list[tuple[int, int]]:
    """The checked blocks, at the given `ends`; whole rows where rows are mapped, and all transplanted rows."""
    elements, width = tensor.elements, tensor.row_elements if tensor.is_mapped else 1
    if elements == 0:
        return []
    block = max(1, CHECKED_ELEMENTS // max(1, width)) * width
    last = max(block, elements - block) if elements > block else 0
    starts = {last if end == _LAST else 0 for end in ends}
    if tensor.transplant is not None and tensor.transplant.rows is not None:
        moved = np.flatnonzero(tensor.transplant.rows >= 0)[:16]
        starts |= {int(row) * width for row in moved}
    return [(start, min(start + block, elements)) for start in sorted(starts)]
