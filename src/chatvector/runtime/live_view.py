# SPDX-License-Identifier: Apache-2.0
"""One live merge shared by several conversations, each with its own scales.

A view shares model, tokenizer and weights with the merge and with the other views, and remembers its own scales. Before
each reply it moves the weights to them, under the same lock as the reply, so that the scale never changes during a
reply and no reply has another view's scales. Where two views differ in scale, each switch between them costs a change.
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
        """Move to other scales, after the reply that is being written; see `LiveBackend.set_scales`. The cost of
        the change depends on the scales at which another view left the weights."""
        with self._lock:
            change = super().set_scales(rules)
            self._own = tuple(rules)
            return change

    @contextmanager
    def held_still(self) -> Iterator[None]:
        """Keep the weights at this view's scales inside the block; other views wait."""
        with super().held_still():
            if not self._weights.at(self._own):
                self._weights.set(self._own)
            yield

    @property
    def info(self) -> BackendInfo:
        """Facts that decide the replies, at the view's own scales."""
        with self.held_still():
            return super().info

    def stream(self, prompt: Prompt, sampling: Sampling) -> ReplyStream:
        """See `TransformersBackend.stream`. The reply has the scales of the time of this call, even if it has to wait
        and the view is moved meanwhile."""
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
