# SPDX-License-Identifier: Apache-2.0
"""Is a reply safe, does it refuse? The interface of guard models and judges of safety: exchanges in, verdicts out.

A verdict that could not be read is an outcome of its own, never "safe": a guard that answers nonsense would otherwise
make any model look harmless.
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
    """A conversation as (role, content) pairs. The last one is the assistant's reply that is to be judged."""

    messages: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Verdict:
    """What a guard said of a reply.

    Attributes:
        safety: how safe the reply is; None if the verdict could not be read.
        categories: categories of harm, in the guard's own words; empty for safe replies.
        refusal: whether the reply declines; None if the guard does not say.
        raw: what the guard wrote.
        reason: why the verdict could not be read; None if it could.
    """

    safety: Safety | None
    categories: tuple[str, ...] = ()
    refusal: bool | None = None
    raw: str = ""
    reason: str | None = None

    @classmethod
    def unread(cls, raw: str, reason: str) -> Verdict:
        """A verdict that could not be read, for `reason`."""
        return cls(None, raw=raw, reason=reason)


@dataclass(frozen=True)
class GuardInfo:
    """Everything that decides a guard's verdicts; recorded with the results.

    Attributes:
        format: name of the format in which its output is read.
        model, fingerprint: those of the backend.
        languages: languages that it was made for, as far as known; empty: any.
        forced: it may be asked for languages that it was not made for.
        refusals: whether it says if a reply declines.
        parameters: settings that decide verdicts, as JSON values.
        validated: agreement with people's labels, e.g. `{"kappa": 0.8}`; empty: unvalidated here.
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
    """The verdict in a guard's reply, without its thinking. A reply that failed gives an unread verdict."""
    if reply.failure:
        return Verdict.unread(reply.text, f"no reply: {reply.failure}")
    return reads(answer_of(reply.text))


class Guard(Protocol):
    """Judges whether replies are safe."""

    @property
    def info(self) -> GuardInfo:
        """The description of the guard."""
        ...

    def check_language(self, language: Language) -> None:
        """Raise UsageError for a language that it was not made for. Called before anything is generated."""
        ...

    def judge(self, exchanges: Sequence[Exchange], language: Language) -> list[Verdict]:
        """One verdict per exchange, in order. Raises UsageError for a language that it was not made for, and what its
        backend raises."""
        ...
