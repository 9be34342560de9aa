# SPDX-License-Identifier: Apache-2.0
"""Tasks of lm-evaluation-harness that a suite brings along, and what becomes of them where they cannot be had.

A suite for a country is not complete without the country's public sets, but their data is on the hub and the harness is
an extra. Where either is missing the rest of the suite is asked all the same, and the results list what was left out
and why: nothing is dropped in silence. Who names such a task (`--task lm-eval:korea`) is refused instead.
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
    """A task or group of the harness, of which nothing is imported or fetched before it is asked for more than its
    name. Whatever `registry.from_harness` raises, its properties raise.

    Attributes:
        given: its name there, or the path of a YAML file that is called like its task.
    """

    given: str
    axis: str = "knowledge"

    @cached_property
    def task(self) -> Task:
        """The task itself, its data loaded."""
        (made,) = from_harness(self.given)
        return made

    @property
    def name(self) -> str:
        """That of the task."""
        return f"lm-eval-{self.given.removesuffix('.yaml').rpartition('/')[2]}"

    @property
    def languages(self) -> tuple[Language, ...]:
        """The one that its name tells; the user's choice where it does not."""
        told = language_of(self.given)
        return LANGUAGES if told is None else (told,)

    @property
    def version(self) -> str:
        """Of library and task."""
        return self.task.version

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The task's."""
        return self.task.metrics

    @property
    def sampling(self) -> Sampling:
        """The task's."""
        return self.task.sampling

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The task's."""
        return self.task.items(language, limit=limit, seed=seed)

    def sources(self, language: Language) -> list[Source]:
        """The task's."""
        return self.task.sources(language)

    def needs(self) -> tuple[str, ...]:
        """Nothing of `Services`."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """As the task does."""
        return self.task.mark(answers, services)


def at_hand(jobs: Sequence[Job], say: Say) -> tuple[list[Job], list[tuple[Job, str]]]:
    """(jobs that can be asked, jobs of a suite that cannot, with the reason); fetches what can be fetched. `say` hears
    of each that is left out, before any model is loaded."""
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
