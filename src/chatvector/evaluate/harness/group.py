# SPDX-License-Identifier: Apache-2.0
"""A group of the harness's tasks as one task: KMMLU's 45 subjects, TMMLU+'s 67.

Figures are over all documents together (the harness's `weight_by_size`), and by task. A group only has metrics that are
means and that all its tasks have: F1 over the pooled answers of several tasks would mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from chatvector.errors import InputError, UsageError
from chatvector.evaluate.harness.task import HarnessTask
from chatvector.evaluate.task import Answer, Item, Language, Marks, Metric, Services, Source
from chatvector.runtime.backend import Sampling


@dataclass(frozen=True)
class HarnessGroup:
    """Several tasks of the harness under the name of their group."""

    group: str
    members: tuple[HarnessTask, ...]
    axis: str = "knowledge"

    @property
    def name(self) -> str:
        """`lm-eval-` and the group's name."""
        return f"lm-eval-{self.group}"

    @property
    def languages(self) -> tuple[Language, ...]:
        """Languages of the first member: a group is usually in one language."""
        return self.members[0].languages

    @property
    def version(self) -> str:
        """Versions of the library and of all members."""
        return "; ".join(dict.fromkeys(member.version for member in self.members))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Means that all members have, also split by task. Raises InputError if there are none."""
        first, *others = ([one for one in member.metrics if one.mark is not None] for member in self.members)
        names = [{one.name for one in metrics} for metrics in others]
        common = [replace(one, by=("task",)) for one in first if all(one.name in each for each in names)]
        if not common:
            raise InputError(f"lm-eval:{self.group}: its tasks have no averaged metric in common; name one of them")
        return tuple(replace(one, primary=number == 0) for number, one in enumerate(common))

    @property
    def sampling(self) -> Sampling:
        """Sampling settings of the members. Raises UsageError if they differ."""
        found = {member.sampling for member in self.members}
        if len(found) > 1:
            raise UsageError(f"lm-eval:{self.group}: its tasks draw replies in different ways; name one of them")
        return found.pop()

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Documents of the tasks in turn, so that any first few are balanced; `limit` counts documents."""
        share = None if limit is None else -(-limit // len(self.members))
        columns = [self._documents(member, language, share, seed) for member in self.members]
        rounds = [document for row in zip_longest(*columns, fillvalue=()) for document in row if document]
        return [item for document in rounds[:limit] for item in document]

    def sources(self, language: Language) -> list[Source]:
        """Sources of all members."""
        return [source for member in self.members for source in member.sources(language)]

    def needs(self) -> tuple[str, ...]:
        """Needs no service."""
        return ()

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks of each answer by the rules of its own task; only the group's metrics are kept."""
        names = [metric.name for metric in self.metrics]
        marks: list[Marks] = [{} for _ in answers]
        for member in self.members:
            rows = [row for row, answer in enumerate(answers) if answer.item.facets["task"] == member.task]
            if rows:
                for row, found in zip(rows, member.mark([answers[row] for row in rows], services), strict=True):
                    marks[row] = {name: found[name] for name in names}
        return marks

    @staticmethod
    def _documents(member: HarnessTask, language: Language, limit: int | None, seed: int) -> list[tuple[Item, ...]]:
        """A member's items by document. Ids begin with the task's name, so that two tasks may hold the same
        document."""
        found: dict[str, list[Item]] = {}
        for item in member.items(language, limit=limit, seed=seed):
            name = f"{member.task}/{item.id}"
            own = replace(item, id=name, cluster=f"{member.task}/{item.cluster}", facets={"task": member.task})
            found.setdefault(own.cluster, []).append(own)
        return [tuple(items) for items in found.values()]
