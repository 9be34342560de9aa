# SPDX-License-Identifier: Apache-2.0
"""One live merge, several conversations, each at scales of its own.

A view shares model, tokenizer and weights with the merge and with the other views, and remembers its own scales. Before
it is asked anything it moves the weights there, within the same turn as the reply: the scale of a reply never changes
while it is written, and nobody is answered at somebody else's. Where two views differ in scale, that costs a change
whenever the turn passes from one to the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from chatvector.arithmetic.scales import ScaleRules
from chatvector.runtime.backend import BackendInfo, Likelihood, Prompt, Reply, Sampling
from chatvector.runtime.live import LiveBackend
from chatvector.runtime.live_weights import Change
from chatvector.runtime.streaming import ReplyStream, Watch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LiveView(LiveBackend):
    """A live merge as one conversation sees it. Satisfies `LikelihoodBackend`; safe to use from several threads."""

    _own: tuple[ScaleRules, ...]

    @classmethod
    def of(cls, live: LiveBackend, scales: Sequence[ScaleRules] | None = None) -> Self:
        """A view that begins at `scales`, one set of rules a vector, or at the present ones of `live`, which may be a
        view itself."""
        view = cls.__new__(cls)
        view.__dict__.update(live.__dict__)
        view._own = live.scales if scales is None else tuple(scales)
        return view

    @property
    def scales(self) -> tuple[ScaleRules, ...]:
        """The scales of this view."""
        return self._own

    @property
    def fingerprint(self) -> str:
        """See `LiveBackend.fingerprint`; at the view's own scales."""
        with self.held_still():
            return super().fingerprint

    def set_scales(self, rules: Sequence[ScaleRules]) -> Change:
        """Move to other scales, after the reply that is being written; see `LiveBackend.set_scales`. What the change
        took depends on where another view had left the weights."""
        with self._lock:
            change = super().set_scales(rules)
            self._own = tuple(rules)
            return change

    @contextmanager
    def held_still(self) -> Iterator[None]:
        """The weights are at this view's scales inside the block, and no other view has a turn."""
        with super().held_still():
            if not self._weights.at(self._own):
                self._weights.set(self._own)
            yield

    @property
    def info(self) -> BackendInfo:
        """What it is, at the view's own scales."""
        with self.held_still():
            return super().info

    def stream(self, prompt: Prompt, sampling: Sampling) -> ReplyStream:
        """See `TransformersBackend.stream`. The reply is at the scales of this moment, also where it has to wait for
        its turn and the view is moved meanwhile."""
        return super(LiveView, type(self).of(self)).stream(prompt, sampling)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling, *, watch: Watch | None = None) -> list[Reply]:
        """See `TransformersBackend.generate`."""
        with self.held_still():
            return super().generate(prompts, sampling, watch=watch)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """See `TransformersBackend.loglikelihood`."""
        with self.held_still():
            return super().loglikelihood(pairs)

    def log_probabilities(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `TransformersBackend.log_probabilities`."""
        with self.held_still():
            return super().log_probabilities(text)
