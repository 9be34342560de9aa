# SPDX-License-Identifier: Apache-2.0
"""Tasks of lm-evaluation-harness that are part of a suite, and what happens if they are not available.

A suite for a country is not complete without the country's public sets, but their data is on the hub and the harness is
an extra. If either is missing, the rest of the suite is asked all the same, and the results list what was left out and
why. Naming such a task (`--task lm-eval:korea`) is an error instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from chatvector.errors import HubError, InputError, MissingExtra
from chatvector.evaluate.harness.sets import language_of
from chatvector.evaluate.registry import LANGUAGES, from_harness
from chatvector.evaluate.request import Job
from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source, Task
from chatvector.messages import Say
from chatvector.runtime.backend import Sampling


@dataclass(frozen=True)
class Brought:
    """A task or group of the harness that is loaded late: until more than its name or languages is asked for, nothing
    is imported or fetched. Its other properties and methods raise what `registry.from_harness` raises.

    Attributes:
        given: its name in the harness, or the path of a YAML file that is called like its task.
    """

    given: str
    axis: str = "knowledge"

    @cached_property
    def task(self) -> Task:
        """The task itself."""
        (made,) = from_harness(self.given)
        return made

    @property
    def name(self) -> str:
        """Name of the task."""
        return f"lm-eval-{self.given.removesuffix('.yaml').rpartition('/')[2]}"

    @property
    def languages(self) -> tuple[Language, ...]:
        """The language that its name tells; all languages if the name tells none, so that the user chooses."""
        told = language_of(self.given)
        return LANGUAGES if told is None else (told,)

    @property
    def version(self) -> str:
        """Version of the library and of the task."""
        return self.task.version

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics of the task."""
        return self.task.metrics

    @property
    def sampling(self) -> Sampling:
        """Sampling settings of the task."""
        return self.task.sampling

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Items of the task."""
        return self.task.items(language, limit=limit, seed=seed)

    def sources(self, language: Language) -> list[Source]:
        """Sources of the task."""
        return self.task.sources(language)

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks that the task gives."""
        return self.task.mark(answers, services)


def at_hand(jobs: Sequence[Job], say: Say) -> tuple[list[Job], list[tuple[Job, str]]]:
    """Jobs that can be asked, and jobs of a suite that cannot, each with the reason. Data that can be fetched is
    fetched. `say` reports each job that is left out, before any model is loaded."""
    there: list[Job] = []
    left_out: list[tuple[Job, str]] = []
    for job in jobs:
        if not isinstance(job.task, Brought):
            there.append(job)
            continue
        say(f"looking for the data of {job.task.name}")
        try:
            job.task.items(job.language, limit=1, seed=0)
        except (MissingExtra, HubError, InputError) as error:
            left_out.append((job, str(error)))
            say(f"not asked: {job.task.name} ({job.language}): {error}")
        else:
            there.append(job)
    return there, left_out
