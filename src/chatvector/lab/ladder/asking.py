# SPDX-License-Identifier: Apache-2.0
"""Makes jobs and services from a recipe's `ask`: what every rung is asked, and what marks the replies."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from chatvector.errors import UsageError
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.halves import Half, half_of
from chatvector.evaluate.harness.brought import Brought, at_hand
from chatvector.evaluate.judge.identity import refuse_judging_itself
from chatvector.evaluate.opening import Loading, has_template, template_from
from chatvector.evaluate.opening import models as open_models
from chatvector.evaluate.registry import LANGUAGES, Registry
from chatvector.evaluate.request import Job
from chatvector.evaluate.services import Wanted, open_services
from chatvector.evaluate.task import Rider, Services
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import ModelKey
from chatvector.messages import Say
from chatvector.runtime.backend import Backend

QUICK = "quick"


@dataclass(frozen=True)
class Asking:
    """What the rungs are asked.

    Attributes:
        jobs: whole tasks; a job's `limit` counts the items of one half.
        riders: what is measured on every reply.
        suite: name of the suite, for the record.
        overrides: sampling settings that replace those of the tasks.
        left_out: public sets of the suite that are not available, with reasons.
    """

    jobs: tuple[Job, ...]
    riders: tuple[Rider, ...]
    suite: str | None
    overrides: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[tuple[Job, str], ...] = ()

    def fetched(self, say: Say) -> Asking:
        """The same after the data of public sets has been fetched to this machine. Sets that are not available are
        moved to `left_out` and reported by `say`."""
        there, left_out = at_hand(self.jobs, say)
        return replace(self, jobs=tuple(there), left_out=tuple(left_out))

    def without_public(self) -> tuple[Asking, list[str]]:
        """The same without public sets, because a plan does not fetch their data, and the names of those sets."""
        public = [job for job in self.jobs if isinstance(job.task, Brought)]
        rest = tuple(job for job in self.jobs if job not in public)
        return replace(self, jobs=rest), [job.task.name for job in public]

    def half(self, half: Half) -> tuple[Job, ...]:
        """The jobs on one half of their items."""
        return tuple(replace(job, task=half_of(job.task, half)) for job in self.jobs)

    @property
    def cheap(self) -> tuple[Job, ...]:
        """Jobs that need no judge, guard or scorer. The scale is chosen by these."""
        return tuple(job for job in self.jobs if not job.task.needs())


def asking_of(recipe: LadderRecipe, registry: Registry) -> Asking:
    """What a recipe asks the rungs. Raises UsageError for unknown suites, axes, tasks and languages, and if there is no
    task by which the scale could be chosen."""
    ask = recipe.ask
    suite = QUICK if ask.suite is None and not ask.axis and not ask.task else ask.suite
    languages = list(ask.language or registry.languages_of(suite))
    if not languages:
        raise UsageError(f"ask: language: which? choose from {', '.join(LANGUAGES)}")
    jobs = registry.choose(languages, suite=suite, axis=ask.axis, task=ask.task, limit=ask.limit)
    overrides = {} if ask.max_new_tokens is None else {"max_new_tokens": ask.max_new_tokens}
    found = Asking(tuple(jobs), registry.make_riders(), suite, overrides)
    if len(recipe.scales) > 1 and any(rung.vector for rung in recipe.wanted) and not found.cheap:
        raise UsageError(
            "scales: all tasks need a judge, guard or scorer, and the scale is chosen without; add a task that rules"
            " mark (memory, verifiable), or name one scale"
        )
    return found


def loading_of(recipe: LadderRecipe, chat: str, say: Say) -> Loading:
    """How models are loaded to be asked. Models without a chat template get that of `chat_format_from`, by default that
    of the chat model."""
    template = template_from(recipe.ask.chat_format_from or chat, say)
    return Loading(template=template, dtype=recipe.dtype, device=recipe.device)


def services_of(recipe: LadderRecipe, stack: ExitStack, cache: Cache, say: Say) -> Services:
    """The judge, scorer and guard of the recipe, which are opened when they are first asked. Raises UsageError for
    settings that make no sense, MissingInput for a judge without a chat template."""
    ask = recipe.ask
    loading = Loading(dtype=recipe.dtype, device=recipe.device)

    def opened(name: str) -> AbstractContextManager[Backend]:
        return open_models([name], loading=loading, say=say)[0].open()

    for marker in open_models([name for name in (ask.judge, ask.guard) if name], loading=loading, say=say):
        marker.check(True)
    wanted = Wanted(
        toxicity=ask.toxicity,
        guard=ask.guard,
        guard_format=ask.guard_format,
        judge=ask.judge,
        device=recipe.device or "cpu",
    )
    return open_services(wanted, stack, opened, cache, say)


def merge_format(recipe: LadderRecipe, start: str, *, fine_tuned: bool, say: Say) -> str:
    """The `chat_format` of a rung with τ. By default FT keeps its own template if it has one, else it is `auto`."""
    if fine_tuned and recipe.ft_chat_format == "target" and not has_template(start, say):
        return "auto"
    return recipe.ft_chat_format if fine_tuned else recipe.chat_format


def check_device(recipe: LadderRecipe) -> None:
    """Raises UsageError if a GPU is asked for and there is none, before anything is trained or loaded."""
    wanted = [recipe.device or ""] + [stage.device for key in recipe.needed for stage in recipe.stages(key)]
    if any(one.startswith("cuda") for one in wanted):
        import torch

        if not torch.cuda.is_available():
            raise UsageError("device cuda: torch sees no CUDA GPU here; write device: cpu, or mend the driver")


def refuse_own_judge(recipe: LadderRecipe) -> None:
    """Raises UsageError if the judge is one of the rungs without training and τ, before anything is trained or
    asked."""
    if recipe.ask.judge is not None:
        taken: list[ModelKey] = [
            rung.start for rung in recipe.wanted if not rung.vector and not recipe.stages(rung.start)
        ]
        refuse_judging_itself(recipe.ask.judge, [str(recipe.start(key)) for key in taken], Loading())
