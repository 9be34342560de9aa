# SPDX-License-Identifier: Apache-2.0
"""What is to be evaluated: models, tasks in languages, and how the items of each are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chatvector.errors import InputError, UsageError, first_five
from chatvector.evaluate.judge.labels import Labels
from chatvector.evaluate.scorers.labelled import Labelled
from chatvector.evaluate.task import Item, Language, Rider, Services, Task
from chatvector.runtime.backend import Backend, Sampling

SAMPLING_TEMPERATURE = 0.7
"""Temperature for several samples per item of a task that samples greedily. Equal replies would only look like more
evidence."""

_SERVICES = {
    "judge": "a judge: give --judge",
    "toxicity": "a scorer of toxicity: give --toxicity",
    "guard": "a guard: give --guard",
}


@dataclass(frozen=True)
class Model:
    """A model to be evaluated. It is opened when its turn comes and closed before the next one is opened.

    Attributes:
        check: raises, without loading the model, if it could not be used later. Its argument says whether the model
            will be asked conversations.
    """

    name: str
    open: Callable[[], AbstractContextManager[Backend]]
    check: Callable[[bool], None] = lambda _conversations: None


@dataclass(frozen=True)
class Job:
    """One task in one language.

    Attributes:
        limit: number of items to keep, from the first; None: all.
        asked_for: the task was named. If a service or a second model that it needs is missing, a named task stops the
            run; a task that came with a suite or an axis is left out and listed as absent.
    """

    task: Task
    language: Language
    limit: int | None = None
    asked_for: bool = True


@dataclass(frozen=True)
class Request:
    """What to evaluate.

    Attributes:
        models: the models, with unique names.
        reference: name of the model that the others are compared with; None: the first, if there are several.
        true_chat: name of a model really trained to chat in the language, whose gain is to be recovered.
        samples: replies per item of every chat and continuation task; None: each task decides.
        judge_labels: people's labels of replies that the judge marks.
        guard_labels: people's labels of any replies, in the only language of the jobs.
        overrides: fields of `Sampling` that replace those of every task.
        left_out: jobs of the suite that cannot be asked here, with the reason; they are listed as absent.
        limit, suite: recorded in the results only.
    """

    models: tuple[Model, ...]
    jobs: tuple[Job, ...]
    riders: tuple[Rider, ...] = ()
    seed: int = 0
    reference: str | None = None
    true_chat: str | None = None
    samples: int | None = None
    services: Services = field(default_factory=Services)
    judge_labels: Labels | None = None
    guard_labels: Sequence[Labelled] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[tuple[Job, str], ...] = ()
    limit: int | None = None
    suite: str | None = None

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if not names or not self.jobs:
            raise UsageError("nothing to evaluate: name a model, and a suite, axis or task")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"two models are called {first_five(twice)}: name them apart, NAME=MODEL")
        for flag, name in (("--reference", self.reference), ("--true-chat", self.true_chat)):
            if name is not None and name not in names:
                raise UsageError(f"{flag} {name}: no such model here; the models are {first_five(names)}")
        if self.true_chat is not None and self.true_chat == self.compared_with:
            raise UsageError(f"{self.true_chat} is both reference and true chat model: name another --reference")

    @property
    def compared_with(self) -> str | None:
        """Name of the model that the others are compared with; None for a single model."""
        return self.reference or (self.models[0].name if len(self.models) > 1 else None)

    def part(self, name: str) -> Literal["reference", "true chat", "candidate"]:
        """The role of a model in comparisons."""
        return "reference" if name == self.compared_with else "true chat" if name == self.true_chat else "candidate"


@dataclass(frozen=True)
class Asked:
    """A job with its items, and how they are asked."""

    job: Job
    items: tuple[Item, ...]
    sampling: Sampling

    @property
    def replies(self) -> int:
        """Number of replies (or likelihoods) that one model has to give."""
        return sum(item.samples * item.requests for item in self.items)

    @property
    def is_chat(self) -> bool:
        """Whether conversations are among the items."""
        return any(item.mode == "chat" for item in self.items)


def prepare(request: Request, job: Job) -> Asked:
    """The items of a job and how replies are sampled. Raises UsageError if a service, a second model or the language is
    missing, InputError if there are no items or an id occurs twice, and what the task raises."""
    task = job.task
    if lack := lacks(request, job):
        raise UsageError(f"task {task.name} {lack}")
    if job.language not in task.languages:
        raise UsageError(f"task {task.name} has no items in {job.language!r}; it has {', '.join(task.languages)}")
    items = task.items(job.language, limit=job.limit, seed=request.seed)
    if not items:
        raise InputError(f"task {task.name} ({job.language}): no items")
    ids = [item.id for item in items]
    if len(set(ids)) < len(ids):
        twice = sorted({one for one in ids if ids.count(one) > 1})
        where = "".join(f", {source.name}" for source in task.sources(job.language))
        raise InputError(
            f"task {task.name} ({job.language}){where}: ids that occur twice ({len(twice)}): {first_five(twice)}; give"
            " each item its own"
        )
    sampling = replace(task.sampling, seed=request.seed, **request.overrides)
    if request.samples is not None:
        items = [item if item.mode == "likelihood" else replace(item, samples=request.samples) for item in items]
    if sampling.temperature == 0 and any(item.samples > 1 for item in items):
        sampling = replace(sampling, temperature=SAMPLING_TEMPERATURE)
    return Asked(job, tuple(items), sampling)


def lacks(request: Request, job: Job) -> str:
    """What a job needs but does not have, with what to do, for an error message; "" if nothing."""
    missing = [_SERVICES[need] for need in job.task.needs() if getattr(request.services, need) is None]
    if getattr(job.task, "of_two", False) and request.compared_with is None:
        missing.insert(0, "two models to compare: name another")
    return f"needs {', and '.join(missing)}" if missing else ""
