# SPDX-License-Identifier: Apache-2.0
"""What an evaluation task is made of: items, marks, metrics. The contract between tasks, runner, statistics, report.

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
"""`en`, `ko`, `zh-Hant`, `zh-Hans`, `ja`: BCP 47, the script where it matters."""

Mark = bool | float | str | None
"""None: does not apply to this reply (left out, and counted as left out)."""

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
        id: unique within task and language, the same for every model: what pairs are made by.
        language: the language the reply is expected in.
        turns: user messages in order; empty where `text` is given.
        text: raw text to be continued (`mode` "continue") or whose likelihood is wanted (`mode` "likelihood").
        continuations: of `text`, whose likelihoods given it are wanted instead of its own (`mode` "likelihood"; `text`
            may be empty then).
        system: system prompt.
        cluster: items of one cluster are not independent (wordings of one question, translations, one dialogue).
        expect: what the marking needs; JSON values.
        facets: what results are split by, e.g. `{"distance": "4", "kind": "symbol"}`.
        samples: how many replies are drawn.
        sensitive: prompt or reply may hold harm: redacted in reports unless asked for.
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
        """How often a model is asked for one sample: turns that are not canned, or likelihoods."""
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
        replies: one a turn that was asked (canned turns have none); the last one is the answer. Empty for
            likelihoods.
        nats, tokens: of a likelihood item's text; else None.
        likelihoods: of an item's continuations, in order.
    """

    item: Item
    sample: int
    replies: tuple[Reply, ...] = ()
    nats: float | None = None
    tokens: int | None = None
    likelihoods: tuple[Likelihood, ...] = ()

    @property
    def failed(self) -> str | None:
        """Why it cannot be marked, if so: an error, never a miss."""
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
        title: for tables, e.g. "accuracy, unparsed = wrong".
        mark: the mark that is averaged (True counts 1), None left out; or None with `aggregate`.
        aggregate: from all of a model's marked answers to a figure, where a mean will not do (macro-F1, expected
            maximum over samples). It must accept any resampling of clusters.
        counts: of an `aggregate`, which answers it is computed from, whatever was replied; None: from all.
        kind: "rate" is a share of booleans (Wilson, McNemar), "mean" a mean of numbers (bootstrap, sign-flip).
        better: which way is good; "neither" for descriptions.
        by: facets the figure is also split by.
        primary: shown in the headline table; primary metrics are the family of tests that is corrected for.
        unit: "share" (printed as %), "points", "bits per byte", "tokens" …
        margin: a model counts as not worse than another if it is worse by less than this, in the unit; None: two
            points where the unit is "share", else nothing is said.
        of_some: asked of some answers only, by its nature: what it leaves out is not lost.
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
    """Where items come from; travels with the results. `sha256` is of the data file."""

    name: str
    licence: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Services:
    """Models that mark other models' replies; None where the user gave none. A task that needs one that is missing
    says so before anything is generated."""

    judge: Any = None
    toxicity: Any = None
    guard: Any = None


class Task(Protocol):
    """One thing to evaluate. Implementations are small frozen dataclasses, one module a subject; a field will do for
    each property."""

    @property
    def name(self) -> str:
        """e.g. `memory`, `closed-topic`."""
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
        """The languages it has items in."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What its marks are added up to."""
        ...

    @property
    def sampling(self) -> Sampling:
        """How replies are drawn."""
        ...

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The items, always the same for the same arguments; `limit` keeps the first so many (balanced where there
        are kinds). Raises UsageError for a language it does not have."""
        ...

    def sources(self, language: Language) -> list[Source]:
        """Where they come from."""
        ...

    def needs(self) -> tuple[str, ...]:
        """Fields of `Services` it cannot do without."""
        ...

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks of each answer, in order. Never sees failed answers."""
        ...


@dataclass(frozen=True)
class Between:
    """All models' answers to one task's items, for marks that no model has alone.

    Attributes:
        answers: by model, in the order of its marks; failed ones are left out.
        reference: name of the model that the others are compared with.
        true_chat: name of the model really trained to chat, where there is one.
        observed: by model, what `Observing.observe` gave.
    """

    answers: Mapping[str, Sequence[Answer]]
    reference: str | None
    true_chat: str | None
    services: Services
    observed: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Comparing(Protocol):
    """A task that also marks between models, once all have answered: preferences, divergences.

    One that marks nothing else has `of_two = True`, and is not asked of a single model.
    """

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """For each model further marks of its answers, in order; they are added to those of `mark`."""
        ...


@runtime_checkable
class Observing(Protocol):
    """A task that takes down something while a model is open that its answers do not hold."""

    def observe(self, backend: Backend, items: Sequence[Item]) -> Any:
        """What `compare` needs to see; None where this backend cannot show it."""
        ...


class Rider(Protocol):
    """Something measured on every reply of every chat task beside the task's own marks: the language of the reply,
    degeneration. It has rows of its own in the results, under its name, split by task.

    The runner makes one `Marked` a reply, turns within a dialogue too, with an `Answer` that holds that reply only and
    an `Item` whose facets name the task (`task`) and whose cluster keeps the replies of one item together. Every metric
    is also split by the facet `task`.
    """

    @property
    def name(self) -> str:
        """e.g. `reply-language`; unlike any task's."""
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
        """What its marks are added up to."""
        ...

    def marks(self, reply: Reply, item: Item) -> Marks:
        """Marks of one reply, thinking still in its text. `item.language` is the language it should be in. Never sees
        a failed reply."""
        ...


def require_language(task: Task, language: Language, what: str = "items") -> None:
    """Raise UsageError, naming the languages that there are, where a task has no items in one."""
    if language not in task.languages:
        raise UsageError(f"{task.name}: has no {what} in {language!r}; it has {', '.join(task.languages)}")
