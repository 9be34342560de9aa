# SPDX-License-Identifier: Apache-2.0
"""What is judged, what a judge returns, and the interface of every judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from chatvector.errors import UsageError
from chatvector.evaluate.task import Language
from chatvector.runtime.backend import BackendInfo

LOWEST, HIGHEST = 1.0, 10.0

Winner = Literal["first", "second", "tie"]


@dataclass(frozen=True)
class Exchange:
    """A conversation and the reply to its last turn.

    Attributes:
        questions: the user's turns in order.
        replies: the model's replies, one per question. The last one is judged; the others are the conversation so far.
        references: good answers, one per question, "" for a question without one; empty if no question has one.
        system: the system prompt that the model was given; None without one.
    """

    language: Language
    questions: tuple[str, ...]
    replies: tuple[str, ...]
    references: tuple[str, ...] = ()
    system: str | None = None

    @property
    def reference(self) -> str | None:
        """The good answer to the last question, if there is one."""
        return next(iter(self.references[-1:]), "") or None

    def __post_init__(self) -> None:
        if not self.questions or len(self.replies) != len(self.questions):
            raise ValueError(f"{len(self.questions)} questions, {len(self.replies)} replies: need one reply a question")
        if self.references and len(self.references) != len(self.questions):
            raise ValueError(
                f"{len(self.references)} references for {len(self.questions)} questions: one each, or none"
            )


@dataclass(frozen=True)
class Score:
    """The score that a judge gave a reply.

    Attributes:
        value: 1 to 10; None if it could not be read.
        reason: why it could not be read; None if it could.
        raw: what the judge wrote.
    """

    value: float | None
    reason: str | None = None
    raw: str = ""


@dataclass(frozen=True)
class Preference:
    """Which of two replies a judge prefers, asked in both orders.

    Attributes:
        winner: "tie" also if the verdicts of the two orders disagree; None if either could not be read.
        consistent: whether both orders gave the same verdict; None if either could not be read.
        reason: why a verdict could not be read; None if both could.
        raw: what the judge wrote, in both orders.
    """

    winner: Winner | None
    consistent: bool | None
    reason: str | None = None
    raw: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class JudgeInfo:
    """Everything that decides a judge's verdicts; recorded with the results.

    Attributes:
        kind: `model` or `rules`.
        status: what its verdicts are worth, in words.
        model, fingerprint: those of the backend; for a rule judge, its name and version.
        prompts: SHA-256 of the wordings, by language; empty for rules.
        parameters: settings that decide verdicts, as JSON values.
        validated: agreement with people's labels, e.g. `{"spearman": 0.7, "labels": 80}`; empty: unvalidated.
    """

    kind: Literal["model", "rules"]
    status: Literal["validated", "unvalidated", "rules, no judgement: for tests"]
    model: str
    fingerprint: str
    prompts: Mapping[Language, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    validated: Mapping[str, float] = field(default_factory=dict)


class Judge(Protocol):
    """Judges open replies."""

    @property
    def info(self) -> JudgeInfo:
        """The description of the judge."""
        ...

    def refuse_itself(self, judged: Iterable[BackendInfo]) -> None:
        """Raise UsageError if one of the models is the judge, unless forced. Called before anything is judged."""
        ...

    def grade(self, exchanges: Sequence[Exchange]) -> list[Score]:
        """One score per exchange, in order. Raises UsageError for a language without wording, and what its backend
        raises."""
        ...

    def prefer(self, pairs: Sequence[tuple[Exchange, Exchange]]) -> list[Preference]:
        """One preference per pair of replies to the same questions, in order. Raises as `grade`."""
        ...


class Known(Protocol):
    """What tells one model from another: `BackendInfo`, `JudgeInfo`, or what is known before the model is loaded."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the model's weights."""
        ...


def refuse_self(info: Known, judged: Iterable[Known]) -> None:
    """Raise UsageError if a judged model has the judge's weights or its name. The name counts because a server's
    weights cannot be seen."""
    for other in judged:
        if other.fingerprint == info.fingerprint or other.model.casefold() == info.model.casefold():
            raise UsageError(
                f"{info.model} would judge itself ({other.model}): models favour their own replies; name another "
                "judge, or let it (eval --judge-itself; recorded)"
            )
