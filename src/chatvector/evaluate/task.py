# SPDX-License-Identifier: Apache-2.0
"""What an evaluation task is made of: items, marks, metrics. The contract between tasks, runner, statistics and report.

A task makes items; the runner asks every model the same items, with each model's own earlier replies in the
conversation; the task marks the replies; metrics add the marks up. Generation and marking are separate stages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from chatvector.errors import UsageError
from chatvector.runtime.backend import Backend, Likelihood, Reply, Sampling

Language = str
"""BCP 47 tag, with the script where it matters: `en`, `ko`, `zh-Hant`, `zh-Hans`, `ja`."""

Mark = bool | float | str | None
"""Value of a mark. None: it does not apply to this reply, which is left out and counted as left out."""

Marks = Mapping[str, Mark]


@dataclass(frozen=True)
class Turn:
    """One user message. `canned` is put into the history as the assistant's reply instead of what the model said
    (the teacher-forced control); the model is not asked then."""

    user: str
    canned: str | None = None


@dataclass(frozen=True)
class Item:
    """One thing to ask.

    Attributes:
        id: unique within task and language. Answers of different models are paired by it.
        language: the language the reply is expected in.
        turns: user messages in order; empty where `text` is given.
        text: raw text to be continued (`mode` "continue") or whose likelihood is wanted (`mode` "likelihood").
        continuations: continuations of `text` whose likelihoods after it are wanted, instead of that of `text` itself
            (`mode` "likelihood"; `text` may be empty then).
        system: system prompt.
        cluster: items of one cluster are not independent (wordings of one question, translations, one dialogue).
        expect: whatever the marking needs, as JSON values.
        facets: values by which results are split, e.g. `{"distance": "4", "kind": "symbol"}`.
        samples: number of replies to draw.
        sensitive: prompt or reply may hold harm; reports redact it unless told to show it.
    """

    id: str
    language: Language
    turns: tuple[Turn, ...] = ()
    text: str | None = None
    continuations: tuple[str, ...] = ()
    mode: Literal["chat", "continue", "likelihood"] = "chat"
    system: str | None = None
    cluster: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)
    facets: Mapping[str, str] = field(default_factory=dict)
    samples: int = 1
    sensitive: bool = False

    @property
    def requests(self) -> int:
        """Number of requests to a model for one sample: turns that are not canned, or likelihoods."""
        if self.mode == "likelihood":
            return len(self.continuations) or 1
        return sum(turn.canned is None for turn in self.turns) or 1

    def __post_init__(self) -> None:
        if (self.mode == "chat") != bool(self.turns) or (self.mode == "chat") == (self.text is not None):
            raise ValueError(f"{self.id}: chat items have turns, the others have text")
        if self.continuations and self.mode != "likelihood":
            raise ValueError(f"{self.id}: continuations are for likelihoods")


@dataclass(frozen=True)
class Answer:
    """A model's replies to one sample of an item.

    Attributes:
        replies: one per turn that was asked (canned turns have none); the last one is the answer. Empty for
            likelihoods.
        nats, tokens: log-likelihood in nats and number of tokens of a likelihood item's text; else None.
        likelihoods: likelihoods of the item's continuations, in order.
    """

    item: Item
    sample: int
    replies: tuple[Reply, ...] = ()
    nats: float | None = None
    tokens: int | None = None
    likelihoods: tuple[Likelihood, ...] = ()

    @property
    def failed(self) -> str | None:
        """Why the answer cannot be marked, None if it can. Such a failure is an error and never counts as a miss."""
        return next((reply.failure for reply in self.replies if reply.failure), None)


@dataclass(frozen=True)
class Marked:
    """An answer with its marks."""

    answer: Answer
    marks: Marks


@dataclass(frozen=True)
class Metric:
    """How marks become a figure.

    Attributes:
        name: unique within the task.
        title: title in tables, e.g. "accuracy, unparsed = wrong".
        mark: name of the mark that is averaged (True counts 1; marks that are None are left out); None with
            `aggregate`.
        aggregate: computes the figure from all marked answers of a model, for figures that are not a mean (macro-F1,
            expected maximum over samples). It must accept any resampling of clusters.
        counts: for `aggregate`: which answers it is computed from, decided without regard to the reply; None: all.
        kind: "rate" is a share of booleans (Wilson, McNemar), "mean" a mean of numbers (bootstrap, sign-flip).
        better: which direction is better; "neither" for metrics that only describe.
        by: facets that the figure is also split by.
        primary: shown in the headline table; primary metrics are the family of tests that is corrected for.
        unit: "share" (printed as %), "points", "bits per byte", "tokens" …
        margin: a model counts as not worse than another if it is worse by less than this, in `unit`; None: two points
            if the unit is "share", else no margin.
        of_some: the metric is by its nature about some answers only; those that it leaves out are not missing.
    """

    name: str
    title: str
    mark: str | None = None
    aggregate: Callable[[Sequence[Marked]], float | None] | None = None
    kind: Literal["rate", "mean"] = "rate"
    better: Literal["higher", "lower", "neither"] = "higher"
    by: tuple[str, ...] = ()
    primary: bool = False
    unit: str = "share"
    margin: float | None = None
    of_some: bool = False
    counts: Callable[[Marked], bool] | None = None

    def __post_init__(self) -> None:
        if (self.mark is None) == (self.aggregate is None):
            raise ValueError(f"{self.name}: either a mark or an aggregate")


@dataclass(frozen=True)
class Source:
    """Where items come from; recorded in the results. `sha256` is the hash of the data file, in hex."""

    name: str
    licence: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Services:
    """Models that mark other models' replies; None if the user gave none. If a task needs one that is missing, an error
    says so before anything is generated."""

    judge: Any = None
    toxicity: Any = None
    guard: Any = None


class Task(Protocol):
    """One thing to evaluate. Implementations are small frozen dataclasses, one module per subject; a field can stand
    for each property."""

    @property
    def name(self) -> str:
        """Name of the task, e.g. `memory`, `closed-topic`."""
        ...

    @property
    def axis(self) -> str:
        """The group in the report: `instructions`, `toxicity`, `safety`, `memory`, `language`, `knowledge` …"""
        ...

    @property
    def version(self) -> str:
        """Changes whenever items, prompts or marking change; recorded with every result. The cache does not need it:
        its keys are the requests themselves, and a change of the marking alone must not ask the models again."""
        ...

    @property
    def languages(self) -> tuple[Language, ...]:
        """The languages that the task has items in."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics computed from its marks."""
        ...

    @property
    def sampling(self) -> Sampling:
        """How replies are drawn."""
        ...

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The items, always the same for the same arguments; `limit` keeps that many from the first (balanced if
        there are kinds of items). Raises UsageError for a language that the task does not have."""
        ...

    def sources(self, language: Language) -> list[Source]:
        """Where the items come from."""
        ...

    def needs(self) -> tuple[str, ...]:
        """Names of the fields of `Services` that the task cannot do without."""
        ...

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks of each answer, in order. Never gets failed answers."""
        ...


@dataclass(frozen=True)
class Between:
    """All models' answers to one task's items, for marks that compare models.

    Attributes:
        answers: answers by model, in the order of the model's marks; failed ones are left out.
        reference: name of the model that the others are compared with.
        true_chat: name of the model really trained to chat, where there is one.
        observed: what `Observing.observe` gave, by model.
    """

    answers: Mapping[str, Sequence[Answer]]
    reference: str | None
    true_chat: str | None
    services: Services
    observed: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Comparing(Protocol):
    """A task that also marks between models, once all have answered: preferences, divergences.

    A task that has no other marks sets `of_two = True` and is not asked of a single model.
    """

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """Further marks of each model's answers, in order; they are added to those of `mark`."""
        ...


@runtime_checkable
class Observing(Protocol):
    """A task that records something of a model while it is open that the answers do not hold."""

    def observe(self, backend: Backend, items: Sequence[Item]) -> Any:
        """What `compare` needs to know of the model; None if this backend cannot show it."""
        ...


class Rider(Protocol):
    """Something measured on every reply of every chat task beside the task's own marks: the language of the reply,
    degeneration. It has its own rows in the results, under its name, split by task.

    The runner makes one `Marked` per reply, also for turns within a dialogue. Its `Answer` holds that reply only; the
    facets of its `Item` name the task (`task`), and the item's cluster keeps the replies of one item together. Every
    metric is also split by the facet `task`.
    """

    @property
    def name(self) -> str:
        """Name of the rider, e.g. `degeneration`; different from the names of all tasks."""
        ...

    @property
    def axis(self) -> str:
        """The group in the report."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever marking changes."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics computed from its marks."""
        ...

    def marks(self, reply: Reply, item: Item) -> Marks:
        """Marks of one reply, whose text still has its thinking. `item.language` is the language it should be in. Never
        gets a failed reply."""
        ...


def require_language(task: Task, language: Language, what: str = "items") -> None:
    """Raise UsageError, which lists the task's languages, if the task has no items in `language`."""
    if language not in task.languages:
        raise UsageError(f"{task.name}: has no {what} in {language!r}; it has {', '.join(task.languages)}")
