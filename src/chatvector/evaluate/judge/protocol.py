# SPDX-License-Identifier: Apache-2.0
"""What is judged, what a judge says, and what every judge has in common."""

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
        replies: the model's, one a question; the last one is judged, the others are the conversation so far.
        references: good answers, one a question, "" where there is none; empty where there are none at all.
        system: the system prompt that the model had.
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
    """What a judge gave a reply.

    Attributes:
        value: 1 to 10; None if it could not be read.
        reason: why not.
        raw: what the judge wrote.
    """

    value: float | None
    reason: str | None = None
    raw: str = ""


@dataclass(frozen=True)
class Preference:
    """Which of two replies a judge prefers, asked in both orders.

    Attributes:
        winner: "tie" also where the two orders disagree; None if either verdict could not be read.
        consistent: both orders said the same; None if either could not be read.
        reason: why it could not be read.
        raw: what the judge wrote, in both orders.
    """

    winner: Winner | None
    consistent: bool | None
    reason: str | None = None
    raw: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class JudgeInfo:
    """What decides a verdict: recorded with the results.

    Attributes:
        kind: `model` or `rules`.
        status: what its verdicts are worth, in words.
        model, fingerprint: of the backend; of a rule judge, its name and version.
        prompts: SHA-256 of the wordings by language; empty for rules.
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
        """What it is."""
        ...

    def refuse_itself(self, judged: Iterable[BackendInfo]) -> None:
        """Raise UsageError if one of the models is the judge, unless forced: asked before anything is judged."""
        ...

    def grade(self, exchanges: Sequence[Exchange]) -> list[Score]:
        """One score an exchange, in order. Raises UsageError for a language without wording, and what its backend
        raises."""
        ...

    def prefer(self, pairs: Sequence[tuple[Exchange, Exchange]]) -> list[Preference]:
        """One preference a pair of replies to the same questions, in order. Raises as `grade`."""
        ...


class Known(Protocol):
    """A model as it is told from others: `BackendInfo`, `JudgeInfo`, or what is known of it before it is loaded."""

    @property
    def model(self) -> str:
        """What it is called."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of its weights."""
        ...


def refuse_self(info: Known, judged: Iterable[Known]) -> None:
    """Raise UsageError if a judged model has the judge's weights, or its name: a server's weights cannot be seen."""
    for other in judged:
        if other.fingerprint == info.fingerprint or other.model.casefold() == info.model.casefold():
            raise UsageError(
                f"{info.model} would judge itself ({other.model}): models favour their own replies; name another "
                "judge, or let it (eval --judge-itself; recorded)"
            )
