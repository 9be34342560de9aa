# SPDX-License-Identifier: Apache-2.0
"""A merged model in memory whose scale can be changed while it is loaded.

The model and its tokenizer are those that transformers would load from the directory that `apply` writes: they come
from the same side files. The weights are those of `apply` at every scale, see `live_weights`. A change waits for the
reply in progress, and replies wait for the change.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chatvector.arithmetic.execute import MOST_THREADS, available_cores, check_equal
from chatvector.arithmetic.held import Holder, source_bytes
from chatvector.arithmetic.plan import Plan
from chatvector.arithmetic.roles import Role
from chatvector.arithmetic.scales import ScaleRules
from chatvector.errors import ChatVectorError, NotEnoughSpace
from chatvector.messages import Say, silent
from chatvector.runtime.backend import BackendInfo, Likelihood, Prompt, Reply, Sampling
from chatvector.runtime.batches import MOST_ROWS
from chatvector.runtime.live_weights import Change, LiveWeights, Replan
from chatvector.runtime.loading import load, require_extra
from chatvector.runtime.memory import available_bytes
from chatvector.runtime.placement import find_placement, write_outline
from chatvector.runtime.streaming import Watch
from chatvector.runtime.transformers_backend import TransformersBackend
from chatvector.sizes import memory_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes of memory that a live merge needs.

    Attributes:
        parameters: parameters of the loaded model.
        held: all sources (target and vectors), if they are held in memory; else 0.
        working: buffers of all threads while the scale changes.
    """

    parameters: int
    held: int
    working: int

    @property
    def total(self) -> int:
        """Sum of all three."""
        return self.parameters + self.held + self.working

    def __str__(self) -> str:
        held = f"{memory_size(self.held)} target and vectors" if self.held else "target and vectors from disk each time"
        parameters, buffers = memory_size(self.parameters), memory_size(self.working)
        return f"{memory_size(self.total)}: {parameters} parameters, {held}, {buffers} buffers"


def memory_need(plan: Plan, *, dtype: str | None, hold: bool) -> MemoryNeed:
    """What a live merge of `plan`, at a scale that leaves no tensor out, needs if loaded as `dtype` (see `load`)."""
    wide = {None: 4, "fp32": 4, "bf16": 2, "fp16": 2}.get(dtype)  # other values (`auto`): the dtype of the files
    parameters = sum(tensor.elements * (wide or tensor.dtype.bits // 8) for tensor in plan.tensors)
    threads = min(MOST_THREADS, available_cores())
    return MemoryNeed(parameters, source_bytes(plan.tensors) if hold else 0, threads * 2 * plan.thread_bytes)


def choose_holding(plan: Plan, *, dtype: str | None, hold: bool | None = None) -> tuple[bool, MemoryNeed]:
    """Whether target and vectors are held in memory (`hold`; None: if there is room), and the memory needed.

    Raises NotEnoughSpace where the machine has less memory free.
    """
    free = available_bytes()
    choices = (True, False) if hold is None else (hold,)
    needs = [memory_need(plan, dtype=dtype, hold=choice) for choice in choices]
    for choice, need in zip(choices, needs, strict=True):
        if free is None or need.total <= free:
            return choice, need
    smaller = "" if dtype == "bf16" else "; load it in less (bf16)"
    raise NotEnoughSpace(
        f"a live merge needs {needs[-1]}; {memory_size(free or 0)} of memory are free{smaller}, or `chatvector apply`"
        " and load what it writes"
    )


class LiveBackend(TransformersBackend):
    """A live merge that answers. Satisfies `LikelihoodBackend`; safe to use from several threads."""

    _weights: LiveWeights
    _lock: threading.RLock
    _identity: str
    _vectors: int
    need: MemoryNeed
    """The memory need computed before loading."""

    @classmethod
    def open(
        cls,
        replan: Replan,
        rules: Sequence[ScaleRules],
        files: Mapping[str, bytes],
        *,
        name: str,
        metadata: Mapping[str, Mapping[str, str]] | None = None,
        identity: Mapping[str, Any],
        hold: bool | None = None,
        dtype: str | None = None,
        device: str | None = None,
        remote_code: bool = False,
        batch: int = MOST_ROWS,
        threads: int | None = None,
        say: Say = silent,
    ) -> Self:
        """Load the model once, and set the scales `rules`.

        Args:
            replan: the plans of all tensors for any scales; see `live_weights`.
            rules: the first scales, one set for each vector.
            files: side files of the output, including the index of a sharded one.
            name: the user's name for it.
            metadata: metadata of the output's files, as in the plan.
            identity: JSON values that identify the weights apart from the scales; part of the fingerprint.
            hold: target and vectors in memory (True), or read from their files at every change (False); None: in
                memory if there is room.
            dtype, device, remote_code: as in `loading.load`.
            say: receives lines for people: the memory it needs.

        Raises NotEnoughSpace before anything is loaded, UnsupportedFormat for models whose parameters cannot be told
        apart (see `placement`), what `loading.load` raises, and what `set_scales` raises.
        """
        require_extra("A live merge")
        whole = Plan(tuple(replan([ScaleRules(1.0) for _ in rules])), metadata or {})
        for tensor in whole.tensors:
            check_equal(tensor)
        hold, need = choose_holding(whole, dtype=_loaded_as(dtype, device), hold=hold)
        say(f"{name}: a live merge takes {need}")
        with tempfile.TemporaryDirectory(prefix="chatvector-live-") as scratch:
            for file, data in files.items():
                place = Path(scratch, file)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            write_outline(whole, Path(scratch))
            with _called(name, scratch):
                found = load(scratch, dtype=dtype, device=device, remote_code=remote_code)
                placement = find_placement(whole, found.model)
            live = cls(
                found.model, found.tokenizer, name=name, kind="live", fingerprint=lambda: live.fingerprint, batch=batch
            )
        live.need = need
        live._identity = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        live._vectors = len(rules)
        live._lock = threading.RLock()
        holder = Holder() if hold else None
        if holder is not None:
            for _ in holder.hold(whole.tensors):
                pass
        live._weights = LiveWeights(replan, placement, holder=holder, threads=threads)
        live._weights.set(rules)
        return live

    @property
    def scales(self) -> tuple[ScaleRules, ...]:
        """The present scales of every vector."""
        return self._weights.rules

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles that some tensor has, in alphabetical order."""
        return tuple(sorted({tensor.role for tensor in self._weights.tensors}))

    @property
    def layers(self) -> int:
        """Number of layers."""
        return max((tensor.layer + 1 for tensor in self._weights.tensors if tensor.layer is not None), default=0)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over `identity` and every tensor's scale, in hex. Rules with the same effect give the same
        fingerprint."""
        scales = json.dumps(dict(self._weights.effective), sort_keys=True)
        return hashlib.sha256(f"{self._identity}\0{scales}".encode()).hexdigest()

    def set_scales(self, rules: Sequence[ScaleRules]) -> Change:
        """Move to other scales, one set of rules for each vector, after the reply in progress.

        Raises UsageError for rules that match no tensor, NonFiniteValues where a scale overflows; the scales then
        stay as they were.
        """
        if len(rules) != self._vectors:
            raise ValueError(f"sets of scales: {len(rules)}; vectors: {self._vectors}")
        with self._lock:
            return self._weights.set(rules)

    def set_scale(self, scale: float) -> Change:
        """Move the first vector to one scale without exceptions; the others stay."""
        with self._lock:
            return self.set_scales([ScaleRules(scale), *self.scales[1:]])

    @contextmanager
    def held_still(self) -> Iterator[None]:
        """Block changes of the scale inside the block, for streamed replies and conversations."""
        with self._lock:
            yield

    @property
    def info(self) -> BackendInfo:
        """Facts that decide the replies, at the present scales."""
        with self._lock:
            return super().info

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling, *, watch: Watch | None = None) -> list[Reply]:
        """See `TransformersBackend.generate`."""
        with self._lock:
            self._weights.require_whole()
            return super().generate(prompts, sampling, watch=watch)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """See `TransformersBackend.loglikelihood`."""
        with self._lock:
            self._weights.require_whole()
            return super().loglikelihood(pairs)

    def log_probabilities(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `TransformersBackend.log_probabilities`."""
        with self._lock:
            self._weights.require_whole()
            return super().log_probabilities(text)


def _loaded_as(dtype: str | None, device: str | None) -> str | None:
    """`dtype`, with None replaced by `auto` on devices other than a CPU, as in `load`."""
    import torch

    on_cpu = device.startswith("cpu") if device is not None else not torch.cuda.is_available()
    return dtype if dtype is not None or on_cpu else "auto"


@contextmanager
def _called(name: str, scratch: str) -> Iterator[None]:
    """In errors from the block, replace the temporary directory by the model's name."""
    try:
        yield
    except ChatVectorError as error:
        if scratch not in str(error):
            raise
        raise type(error)(str(error).replace(scratch, name)) from error
