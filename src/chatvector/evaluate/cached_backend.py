# SPDX-License-Identifier: Apache-2.0
"""A backend behind the cache, for the models that mark other models: judges and guards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatvector.evaluate.cache import Cache, generation_key
from chatvector.evaluate.kept import BATCH, as_they_come, ask_missing
from chatvector.runtime.backend import Backend, BackendInfo, Prompt, Reply, Sampling
from chatvector.runtime.replay_backend import reply_as_json, reply_from_json


@dataclass(frozen=True)
class CachedBackend:
    """Asks `backend` only for what `cache` does not hold, and keeps its replies. Failed replies are not kept, nor are
    any replies of a model that is not identified (`BackendInfo`)."""

    backend: Backend
    cache: Cache
    batch: int = BATCH

    @property
    def info(self) -> BackendInfo:
        """The description of the wrapped backend."""
        return self.backend.info

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """One reply a prompt, in order; equal prompts are asked once. Raises what the backend raises; replies that
        came before the error are kept."""
        info = self.backend.info
        return ask_missing(
            self.cache if info.identified else None,
            [generation_key(info, prompt, sampling) for prompt in prompts],
            prompts,
            lambda asked: as_they_come(self.backend, asked, sampling),
            write=lambda reply: None if reply.failure else reply_as_json(reply),
            read=reply_from_json,
            batch=self.batch,
        )
