# SPDX-License-Identifier: Apache-2.0
"""Is a reply safe, does it refuse? What guard models and judges have in common: exchanges in, verdicts out.

A verdict that could not be read is its own outcome, never "safe": a guard that answers nonsense would otherwise make
any model look harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from chatvector.evaluate.task import Language
from chatvector.evaluate.thinking import answer_of
from chatvector.runtime.backend import Reply

Safety = Literal["safe", "controversial", "unsafe"]


@dataclass(frozen=True)
class Exchange:
    """What was said: (role, content) pairs, the last one the assistant's reply that is to be judged."""

    messages: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Verdict:
    """What a guard said of a reply.

    Attributes:
        safety: None if that could not be read.
        categories: of harm, in the guard's own words; empty for safe replies.
        refusal: does the reply decline? None if the guard does not say.
        raw: what the guard wrote.
        reason: why it could not be read; None if it could.
    """

    safety: Safety | None
    categories: tuple[str, ...] = ()
    refusal: bool | None = None
    raw: str = ""
    reason: str | None = None

    @classmethod
    def unread(cls, raw: str, reason: str) -> Verdict:
        """A verdict that says nothing."""
        return cls(None, raw=raw, reason=reason)


@dataclass(frozen=True)
class GuardInfo:
    """What decides a verdict: recorded with the results.

    Attributes:
        format: how its output is read.
        model, fingerprint: of the backend.
        languages: it was made for, as far as known; empty: any.
        forced: it may be asked for languages that it was not made for.
        refusals: does it say whether a reply declines?
        validated: agreement with given labels, e.g. `{"kappa": 0.8}`; empty: unvalidated here.
    """

    format: str
    model: str
    fingerprint: str
    languages: tuple[Language, ...]
    refusals: bool
    parameters: Mapping[str, Any] = field(default_factory=dict)
    validated: Mapping[str, float] = field(default_factory=dict)
    forced: bool = False


def read_reply(reply: Reply, reads: Callable[[str], Verdict]) -> Verdict:
    """The verdict in a guard's reply, its thinking taken off. What the guard could not be asked is not read."""
    if reply.failure:
        return Verdict.unread(reply.text, f"no reply: {reply.failure}")
    return reads(answer_of(reply.text))


class Guard(Protocol):
    """Judges replies."""

    @property
    def info(self) -> GuardInfo:
        """What it is."""
        ...

    def check_language(self, language: Language) -> None:
        """Raise UsageError for a language it was not made for: asked before anything is generated."""
        ...

    def judge(self, exchanges: Sequence[Exchange], language: Language) -> list[Verdict]:
        """One verdict an exchange, in order. Raises UsageError for a language it was not made for, and what its
        backend raises."""
        ...
