# SPDX-License-Identifier: Apache-2.0
"""A backend whose replies are a function of the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chatvector.runtime.backend import BackendInfo, Prompt, Reply, Sampling


@dataclass
class ScriptedBackend:
    reply: Callable[[Prompt], str | Reply]
    model: str = "scripted"
    asked: list[tuple[Prompt, Sampling]] = field(default_factory=list)

    @property
    def info(self) -> BackendInfo:
        return BackendInfo("replay", self.model, "f" * 64, None, "own template")

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        self.asked += [(prompt, sampling) for prompt in prompts]
        said = [self.reply(prompt) for prompt in prompts]
        return [each if isinstance(each, Reply) else Reply(each, True) for each in said]
