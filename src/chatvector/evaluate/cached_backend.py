# SPDX-License-Identifier: Apache-2.0
"""A backend behind the cache, for the models that mark other models: judges and guards, whose verdicts cost as much as
the replies and must not be asked for again when marks are computed anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatvector.evaluate.cache import Cache, generation_key
from chatvector.runtime.backend import Backend, BackendInfo, Prompt, Reply, Sampling
from chatvector.runtime.replay_backend import reply_as_json, reply_from_json

BATCH = 64
"""Requests between two writes: what a killed run loses at most."""


@dataclass(frozen=True)
class CachedBackend:
    """Asks `backend` only what `cache` does not hold, and keeps what it says. Failures are not kept."""

    backend: Backend
    cache: Cache
    batch: int = BATCH

    @property
    def info(self) -> BackendInfo:
        """The backend's."""
        return self.backend.info

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """One reply a prompt, in order; equal prompts are asked once. Raises what the backend raises: what it answered
        before is kept."""
        info = self.backend.info
        keys = [generation_key(info, prompt, sampling) for prompt in prompts]
        found: dict[str, Reply] = {}
        missing: dict[str, Prompt] = {}
        for key, prompt in zip(keys, prompts, strict=True):
            if key not in found and key not in missing:
                stored = self.cache.get(key)
                if stored is None:
                    missing[key] = prompt
                else:
                    found[key] = reply_from_json(stored)
        asked = list(missing.items())
        for start in range(0, len(asked), self.batch):
            part = asked[start : start + self.batch]
            replies = self.backend.generate([prompt for _, prompt in part], sampling)
            fresh = {key: reply for (key, _), reply in zip(part, replies, strict=True)}
            kept = {key: reply_as_json(reply) for key, reply in fresh.items() if reply.failure is None}
            if kept:
                self.cache.put(kept)
            found |= fresh
        return [found[key] for key in keys]
