# SPDX-License-Identifier: Apache-2.0
"""An evaluation from models and tasks to results: every model the same items, generation and marking apart.

Generation is the costly part and goes through the cache; marks, riders and statistics are computed anew in every run,
so that scoring again never generates again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Protocol

from chatvector.errors import InputError, MissingExtra, UnsupportedFormat, UsageError, first_five
from chatvector.evaluate import conversation
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.guard_agreement import with_guard_remarks
from chatvector.evaluate.judge.labels import Labels
from chatvector.evaluate.judge.remarks import with_remarks
from chatvector.evaluate.machine import run_record
from chatvector.evaluate.records import Riders, lines, rider_answers
from chatvector.evaluate.results import AbsentRow, Results
from chatvector.evaluate.scorers.labelled import Labelled
from chatvector.evaluate.services import check_languages
from chatvector.evaluate.summary import assemble, items_file
from chatvector.evaluate.tally import Block
from chatvector.evaluate.task import (
    Answer,
    Between,
    Comparing,
    Item,
    Language,
    Marked,
    Marks,
    Observing,
    Rider,
    Services,
    Task,
)
from chatvector.runtime.backend import Backend, BackendInfo, LikelihoodBackend, Sampling

SAMPLING_TEMPERATURE = 0.7
"""Of several samples of a task whose own sampling is greedy: equal replies would only look like more evidence."""

_SERVICES = {
    "judge": "a judge: give --judge",
    "toxicity": "a scorer of toxicity: give --toxicity",
    "guard": "a guard: give --guard",
}


@dataclass(frozen=True)
class Model:
    """A model to be evaluated: opened when its turn comes, closed before the next is opened.

    Attributes:
        check: raises at once what would make it useless later, without loading it; told whether it will be asked
            conversations.
    """

    name: str
    open: Callable[[], AbstractContextManager[Backend]]
    check: Callable[[bool], None] = lambda _conversations: None


@dataclass(frozen=True)
class Job:
    """One task in one language.

    Attributes:
        limit: keeps the first so many items.
        asked_for: the task was named. Without a service or a second model that it needs such a task stops the run; one
            that came with a suite or an axis is left out, and listed as absent.
    """

    task: Task
    language: Language
    limit: int | None = None
    asked_for: bool = True


@dataclass(frozen=True)
class Request:
    """What to evaluate.

    Attributes:
        models: names are unique.
        reference: name of the model that the others are compared with; None: the first, if there are several.
        true_chat: name of a model really trained to chat in the language, whose gain is to be recovered.
        samples: replies an item for every chat and continuation task; None: as each task says.
        judge_labels: people's, of replies that the judge marks.
        guard_labels: people's, of any replies in the jobs' one language.
        overrides: fields of `Sampling` that replace every task's own.
        left_out: jobs of the suite that cannot be asked here, with the reason: listed as absent.
        limit, suite: for the record.
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
        """The reference that counts."""
        return self.reference or (self.models[0].name if len(self.models) > 1 else None)

    def part(self, name: str) -> Any:
        """What a model is compared as."""
        return "reference" if name == self.compared_with else "true chat" if name == self.true_chat else "candidate"


@dataclass(frozen=True)
class Asked:
    """A job with its items, and how they are asked."""

    job: Job
    items: tuple[Item, ...]
    sampling: Sampling

    @property
    def replies(self) -> int:
        """How many a model has to give."""
        return sum(item.samples * item.requests for item in self.items)


@dataclass(frozen=True)
class Evaluation:
    """Results, and the content of the items files by name."""

    results: Results
    items: Mapping[str, str]


class Progress(Protocol):
    """Hears how far generation is, in replies."""

    def start(self, total: int, /) -> object:
        """So many are to come."""
        ...

    def advance(self, count: int, /) -> None:
        """So many more have come."""
        ...


def require_evaluation(what: str) -> None:
    """Raise MissingExtra without scipy or Lingua, before `what` has begun."""
    if any(find_spec(name) is None for name in ("scipy", "lingua")):
        raise MissingExtra("eval", what)


def evaluate(
    request: Request,
    *,
    cache: Cache | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Ask every model every item, mark the replies, and add up.

    Raises MissingExtra without scipy or Lingua, UsageError where a task needs a service or a second model that was not
    given, InputError where a task has no items, and what models and services raise. What a model cannot be asked
    (likelihoods of a recording) is listed as absent, and answers that fail are listed as failures; neither counts as a
    miss.
    """
    started = time.time()
    require_evaluation("An evaluation")
    # 1. Items, before any model is loaded: what cannot be asked or marked stops the run now.
    lacking = [(job, why) for job in request.jobs if not job.asked_for and (why := _lacks(request, job))]
    left_out = [*lacking, *request.left_out]
    jobs = [job for job in request.jobs if job.asked_for or not _lacks(request, job)]
    if not jobs:
        reasons = first_five(f"{job.task.name} {why}" for job, why in left_out)
        raise UsageError(f"nothing to evaluate: {reasons}")
    check_languages(request.services, ((job.task, job.language) for job in jobs))
    asked = [_prepare(request, job) for job in jobs]
    for model in request.models:
        model.check(any(_is_chat(one.items) for one in asked))
    if progress is not None:
        progress.start(sum(one.replies for one in asked) * len(request.models))

    # 2. Generation: one model at a time, all its tasks.
    infos: dict[str, BackendInfo] = {}
    answers: dict[tuple[int, str], list[Answer]] = {}
    absent = [_absent(job, model.name, why) for job, why in left_out for model in request.models]
    observed: dict[tuple[int, str], Any] = {}
    seconds: dict[str, float] = {}
    account = _Account(progress)
    for model in request.models:
        begun = time.monotonic()
        say(f"asking {model.name}: {sum(one.replies for one in asked)} replies")
        with model.open() as backend:
            infos[model.name] = backend.info
            for number, one in enumerate(asked):
                why = _cannot_be_asked(one, backend)
                if why is not None:
                    absent.append(_absent(one.job, model.name, why))
                    account.skip(one.replies)
                    continue
                hear = account.listener()
                answers[number, model.name] = ask(backend, one.items, one.sampling, cache=cache, progress=hear)
                if isinstance(one.job.task, Observing):
                    observed[number, model.name] = one.job.task.observe(backend, one.items)
        seconds[f"asking {model.name}"] = round(time.monotonic() - begun, 3)

    # 3. Marks, and what rides along. A judge is opened only now, when no model is.
    if request.services.judge is not None:
        request.services.judge.refuse_itself(infos.values())
    begun = time.monotonic()
    blocks = [_mark(request, one, number, answers, observed) for number, one in enumerate(asked)]
    observed.clear()
    ridden = {block.task + "\0" + block.language: _ride(request, block) for block in blocks if _is_chat(block.items)}
    rider_blocks = _rider_blocks(request, blocks, ridden)
    seconds["marking"] = round(time.monotonic() - begun, 3)

    # 4. Statistics.
    begun = time.monotonic()
    results = assemble(request, asked, blocks, rider_blocks, infos, absent)
    results = with_remarks(results, blocks, request.judge_labels)
    results = with_guard_remarks(results, blocks, request.services.guard, request.guard_labels)
    seconds["statistics"] = round(time.monotonic() - begun, 3)

    # 5. Results and items; this machine's part last.
    names = [model.name for model in request.models]
    items = {
        items_file(block): "".join(lines(block, names, ridden.get(block.task + "\0" + block.language, {})))
        for block in blocks
    }
    record = run_record(started, seconds, infos, account.as_dict())
    return Evaluation(results.model_copy(update={"run": record}), items)


class _Account:
    """How many replies have come, and how many of them from the cache, over all models and tasks."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.asked = self.cached = 0

    def listener(self) -> Callable[[conversation.Progress], None]:
        """For one model and task."""
        before = conversation.Progress(0, 0, 0, None)

        def hear(now: conversation.Progress) -> None:
            nonlocal before
            cached = now.cached - before.cached
            self.cached += cached
            self.asked += now.done - before.done - cached
            if self._progress is not None:
                self._progress.advance(now.done - before.done)
            before = now

        return hear

    def skip(self, count: int) -> None:
        """So many will not be asked."""
        if self._progress is not None:
            self._progress.advance(count)

    def as_dict(self) -> dict[str, int]:
        """For the record."""
        return {"generated": self.asked, "from_cache": self.cached}


def _prepare(request: Request, job: Job) -> Asked:
    task = job.task
    if lacks := _lacks(request, job):
        raise UsageError(f"task {task.name} {lacks}")
    if job.language not in task.languages:
        raise UsageError(f"task {task.name} has no items in {job.language!r}; it has {', '.join(task.languages)}")
    items = task.items(job.language, limit=job.limit, seed=request.seed)
    if not items:
        raise InputError(f"task {task.name} ({job.language}): no items")
    ids = [item.id for item in items]
    if len(set(ids)) < len(ids):
        twice = sorted({one for one in ids if ids.count(one) > 1})
        raise InputError(f"task {task.name} ({job.language}): ids that occur twice ({len(twice)}): {first_five(twice)}")
    sampling = replace(task.sampling, seed=request.seed, **request.overrides)
    if request.samples is not None:
        items = [item if item.mode == "likelihood" else replace(item, samples=request.samples) for item in items]
    if sampling.temperature == 0 and any(item.samples > 1 for item in items):
        sampling = replace(sampling, temperature=SAMPLING_TEMPERATURE)
    return Asked(job, tuple(items), sampling)


def _lacks(request: Request, job: Job) -> str:
    """What a job needs and has not, with what to do; "" if nothing."""
    missing = [_SERVICES[need] for need in job.task.needs() if getattr(request.services, need) is None]
    if getattr(job.task, "of_two", False) and request.compared_with is None:
        missing.insert(0, "two models to compare: name another")
    return f"needs {', and '.join(missing)}" if missing else ""


def _cannot_be_asked(asked: Asked, backend: Backend) -> str | None:
    if not any(item.mode == "likelihood" for item in asked.items):
        return None
    if isinstance(backend, LikelihoodBackend):
        try:
            if backend.info.kind == "openai":  # some of these servers tell likelihoods; the others are known by asking
                backend.loglikelihood([("one", " two")])
            return None
        except UnsupportedFormat as refusal:
            return f"needs likelihoods: {refusal}"
    return f"needs likelihoods, which a {backend.info.kind} model does not give"


def _absent(job: Job, model: str, why: str) -> AbsentRow:
    return AbsentRow(task=job.task.name, language=job.language, model=model, why=why)


def _mark(
    request: Request,
    asked: Asked,
    number: int,
    answers: Mapping[tuple[int, str], list[Answer]],
    observed: Mapping[tuple[int, str], Any],
) -> Block:
    task = asked.job.task
    marked: dict[str, list[Marked]] = {}
    failed: dict[str, list[Answer]] = {}
    for model in request.models:
        given = answers.get((number, model.name))
        if given is None:
            continue
        fit = [answer for answer in given if answer.failed is None]
        failed[model.name] = [answer for answer in given if answer.failed is not None]
        marks = task.mark(fit, request.services) if fit else []
        marked[model.name] = [Marked(answer, one) for answer, one in zip(fit, marks, strict=True)]
    if isinstance(task, Comparing):
        marked = _compare(task, request, marked, {name: seen for (at, name), seen in observed.items() if at == number})
    language = asked.job.language
    return Block(task.name, task.axis, task.version, language, task.metrics, asked.items, marked, failed)


def _compare(
    task: Comparing, request: Request, marked: Mapping[str, list[Marked]], observed: Mapping[str, Any]
) -> dict[str, list[Marked]]:
    """The marks with those that are made between models."""
    answers = {name: [one.answer for one in listed] for name, listed in marked.items()}
    between = Between(answers, request.compared_with, request.true_chat, request.services, observed)
    further = task.compare(between)
    return {
        name: [Marked(one.answer, {**one.marks, **more}) for one, more in zip(listed, further[name], strict=True)]
        for name, listed in marked.items()
    }


def _is_chat(items: Sequence[Item]) -> bool:
    return any(item.mode == "chat" for item in items)


def _ride(request: Request, block: Block) -> Riders:
    """Every rider's marks of every reply of a chat task."""
    found: dict[tuple[str, str, int], dict[str, list[Marks | None]]] = {}
    for model, listed in block.marked.items():
        for answer in [*(one.answer for one in listed), *block.failed[model]]:
            if answer.item.mode == "chat":
                found[model, answer.item.id, answer.sample] = {
                    rider.name: [None if reply.failure else rider.marks(reply, answer.item) for reply in answer.replies]
                    for rider in request.riders
                }
    return found


def _rider_blocks(request: Request, blocks: Sequence[Block], ridden: Mapping[str, Riders]) -> list[Block]:
    """A block a rider and language, over the replies of all chat tasks of that language."""
    found: list[Block] = []
    for rider in request.riders:
        for language in dict.fromkeys(block.language for block in blocks):
            marked: dict[str, list[Marked]] = {}
            for block in blocks:
                riders = ridden.get(block.task + "\0" + block.language)
                if riders is None or block.language != language:
                    continue
                for model, listed in block.marked.items():
                    for answer in [*(one.answer for one in listed), *block.failed[model]]:
                        marks = riders.get((model, answer.item.id, answer.sample))
                        if marks is not None:
                            marked.setdefault(model, []).extend(rider_answers(block.task, answer, marks[rider.name]))
            if any(marked.values()):
                items = {one.answer.item.id: one.answer.item for listed in marked.values() for one in listed}
                metrics = tuple(replace(one, by=(*dict.fromkeys((*one.by, "task")),)) for one in rider.metrics)
                block = Block(rider.name, rider.axis, rider.version, language, metrics, tuple(items.values()), marked)
                found.append(replace(block, rider=True))
    return found
