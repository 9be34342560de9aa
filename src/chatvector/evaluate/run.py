# SPDX-License-Identifier: Apache-2.0
"""Runs an evaluation, from models and tasks to results. Every model is asked the same items; generation and marking are
separate stages.

Generation is the costly part and goes through the cache. Marks, riders and statistics are computed anew in every run,
so scoring again never generates again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Protocol

from chatvector.errors import MissingExtra, UnsupportedFormat, UsageError, first_five
from chatvector.evaluate import conversation
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.conversation import ask
from chatvector.evaluate.guard_agreement import with_guard_remarks
from chatvector.evaluate.judge.remarks import with_remarks
from chatvector.evaluate.machine import run_record
from chatvector.evaluate.marking import mark, ride, rider_blocks
from chatvector.evaluate.records import lines
from chatvector.evaluate.request import Asked, Job, Request, lacks, prepare
from chatvector.evaluate.results import AbsentRow, Results
from chatvector.evaluate.services import check_languages
from chatvector.evaluate.summary import assemble, items_file
from chatvector.evaluate.task import Answer, Observing
from chatvector.messages import Say, silent
from chatvector.runtime.backend import Backend, BackendInfo, LikelihoodBackend


@dataclass(frozen=True)
class Evaluation:
    """The results, and the content of the items files by file name."""

    results: Results
    items: Mapping[str, str]


class Progress(Protocol):
    """Is told how far generation has come, in replies."""

    def start(self, total: int, /) -> object:
        """Generation starts; `total` replies are to come."""
        ...

    def advance(self, count: int, /) -> None:
        """`count` more replies have come."""
        ...


def require_evaluation(what: str) -> None:
    """Raise MissingExtra without scipy or Lingua. Called before `what`, a name for messages, begins."""
    if any(find_spec(name) is None for name in ("scipy", "lingua")):
        raise MissingExtra("eval", what)


def evaluate(
    request: Request, *, cache: Cache | None = None, progress: Progress | None = None, say: Say = silent
) -> Evaluation:
    """Ask every model every item, mark the replies, and compute the statistics.

    Raises MissingExtra without scipy or Lingua, UsageError if a task needs a service or a second model that was not
    given, InputError if a task has no items, and what models and services raise. Tasks that a model cannot be asked
    (such as likelihoods of a recording) are listed as absent, and answers that fail are listed as failures; neither
    counts as a miss.
    """
    started = time.time()
    require_evaluation("An evaluation")
    # 1. Items, before any model is loaded: what cannot be asked or marked stops the run now.
    lacking = [(job, why) for job in request.jobs if not job.asked_for and (why := lacks(request, job))]
    left_out = [*lacking, *request.left_out]
    jobs = [job for job in request.jobs if job.asked_for or not lacks(request, job)]
    if not jobs:
        reasons = first_five(f"{job.task.name} {why}" for job, why in left_out)
        raise UsageError(f"nothing to evaluate: {reasons}")
    check_languages(request.services, ((job.task, job.language) for job in jobs))
    asked = [prepare(request, job) for job in jobs]
    for model in request.models:
        model.check(any(one.is_chat for one in asked))
    if progress is not None:
        progress.start(sum(one.replies for one in asked) * len(request.models))

    # 2. Generation: one model at a time, all its tasks.
    account = _Account(progress)
    heard = _ask_all(request, asked, cache, account, say)
    absent = [_absent(job, model.name, why) for job, why in left_out for model in request.models]
    seconds = heard.seconds

    # 3. Marks, also by riders. A judge is opened only now, when no model is open, and its weights can be compared now.
    if request.services.judge is not None:
        request.services.judge.refuse_itself(heard.infos.values())
    begun = time.monotonic()
    blocks = [mark(request, *one) for one in zip(asked, heard.answers, heard.observed, strict=True)]
    heard.observed.clear()
    ridden = {
        (block.task, block.language): ride(request, block)
        for block, one in zip(blocks, asked, strict=True)
        if one.is_chat
    }
    of_riders = rider_blocks(request, blocks, ridden)
    seconds["marking"] = round(time.monotonic() - begun, 3)

    # 4. Statistics.
    begun = time.monotonic()
    results = assemble(request, asked, blocks, of_riders, heard.infos, [*absent, *heard.absent])
    results = with_remarks(results, blocks, request.judge_labels)
    results = with_guard_remarks(results, blocks, request.services.guard, request.guard_labels)
    seconds["statistics"] = round(time.monotonic() - begun, 3)

    # 5. Results and items; the record of this machine and run last.
    names = [model.name for model in request.models]
    items = {
        items_file(block): "".join(lines(block, names, ridden.get((block.task, block.language), {})))
        for block in blocks
    }
    record = run_record(started, seconds, heard.infos, account.as_dict())
    return Evaluation(results.model_copy(update={"run": record}), items)


@dataclass(frozen=True)
class _Heard:
    """What was collected from all models.

    Attributes:
        answers: one mapping per job: model → its answers; a model that could not be asked is missing.
        observed: one mapping per job: model → what the task observed of it while it was open (`Observing`).
        infos: model → its backend's description.
        absent: which model could not be asked which job, and why.
        seconds: wall time of each stage in seconds, for the record.
    """

    answers: list[dict[str, list[Answer]]]
    observed: list[dict[str, Any]]
    infos: dict[str, BackendInfo] = field(default_factory=dict)
    absent: list[AbsentRow] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def _ask_all(request: Request, asked: Sequence[Asked], cache: Cache | None, account: _Account, say: Say) -> _Heard:
    heard = _Heard([{} for _ in asked], [{} for _ in asked])
    for model in request.models:
        begun = time.monotonic()
        say(f"asking {model.name}: {sum(one.replies for one in asked)} replies")
        with model.open() as backend:
            heard.infos[model.name] = backend.info
            for one, answers, observed in zip(asked, heard.answers, heard.observed, strict=True):
                why = _cannot_be_asked(one, backend)
                if why is not None:
                    heard.absent.append(_absent(one.job, model.name, why))
                    account.skip(one.replies)
                    continue
                hear = account.listener()
                answers[model.name] = ask(backend, one.items, one.sampling, cache=cache, progress=hear)
                if isinstance(one.job.task, Observing):
                    observed[model.name] = one.job.task.observe(backend, one.items)
        heard.seconds[f"asking {model.name}"] = round(time.monotonic() - begun, 3)
    return heard


class _Account:
    """Counts replies over all models and tasks: those generated (`asked`) and those from the cache (`cached`)."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.asked = self.cached = 0

    def listener(self) -> Callable[[conversation.Progress], None]:
        """A progress callback for one model and task."""
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
        """Count `count` replies as done that will not be asked."""
        if self._progress is not None:
            self._progress.advance(count)

    def as_dict(self) -> dict[str, int]:
        """The counts, for the record of the run."""
        return {"generated": self.asked, "from_cache": self.cached}


def _cannot_be_asked(asked: Asked, backend: Backend) -> str | None:
    if not any(item.mode == "likelihood" for item in asked.items):
        return None
    if isinstance(backend, LikelihoodBackend):
        try:
            if backend.info.kind == "openai":  # only some of these servers give likelihoods; asking once tells which
                backend.loglikelihood([("one", " two")])
            return None
        except UnsupportedFormat as refusal:
            return f"needs likelihoods: {refusal}"
    return f"needs likelihoods, which a {backend.info.kind} model does not give"


def _absent(job: Job, model: str, why: str) -> AbsentRow:
    return AbsentRow(task=job.task.name, language=job.language, model=model, why=why)
