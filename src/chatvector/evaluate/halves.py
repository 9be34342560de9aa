# SPDX-License-Identifier: Apache-2.0
"""A task's items in two halves, so that what is chosen on one half is measured on the other.

Items that are not independent (a cluster: wordings of a question, a request and its twin) stay in one half. Clusters
with the same facets are dealt out in turn, so that both halves have every kind. A task may bring its own two parts
(`Parted`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, runtime_checkable

from chatvector.evaluate.task import (
    Answer,
    Between,
    Comparing,
    Item,
    Language,
    Marks,
    Observing,
    Services,
    Task,
)
from chatvector.runtime.backend import Backend

Half = Literal["development", "test"]
HALVES: tuple[Half, Half] = ("development", "test")


@runtime_checkable
class Parted(Protocol):
    """A task that divides its items itself, such as one of a data set with a development split."""

    def half_items(self, half: Half, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The items of one half, at most `limit`."""
        ...


@dataclass(frozen=True)
class HalfTask:
    """One half of a task, under the task's own name. All other attributes are those of the whole task."""

    task: Task
    half: Half

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The items of this half, at most `limit`. Raises what the task raises."""
        if isinstance(self.task, Parted):
            return self.task.half_items(self.half, language, limit=limit, seed=seed)
        return _halves_of(self.task, language, limit, seed)[HALVES.index(self.half)][:limit]

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """Marks by the whole task."""
        return self.task.mark(answers, services)


@dataclass(frozen=True)
class ComparingHalf(HalfTask):
    """Half of a task that also marks between models (`Comparing`) and may observe them while they are open
    (`Observing`)."""

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """Marks between models by the whole task."""
        return cast(Comparing, self.task).compare(between)

    def observe(self, backend: Backend, items: Sequence[Item]) -> Any:
        """What the whole task observes; None if it is not `Observing`."""
        return self.task.observe(backend, items) if isinstance(self.task, Observing) else None


def half_of(task: Task, half: Half) -> HalfTask:
    """One half of a task. It is `Comparing` if the task is."""
    return ComparingHalf(task, half) if isinstance(task, Comparing) else HalfTask(task, half)


def _halves_of(task: Task, language: Language, limit: int | None, seed: int) -> tuple[list[Item], list[Item]]:
    """Both halves, each with at least `limit` items if the task has so many. Both are dealt from one list of items,
    because a task's longer list need not begin with its shorter one."""
    if limit is None:
        return halve(task.items(language, limit=None, seed=seed))
    asked, before = 2 * limit, 0
    while True:
        found = task.items(language, limit=asked, seed=seed)
        halves = halve(found)
        # A cluster may be larger than what was asked for.
        if min(map(len, halves)) >= limit or len(found) == before:
            return halves
        asked, before = 2 * asked, len(found)


def halve(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Development and test items, each in the order given. An odd number of clusters of one kind gives development one
    more."""
    half_of: dict[str, int] = {}
    dealt: dict[tuple[tuple[str, str], ...], int] = {}
    for item in items:
        cluster = item.cluster or item.id
        if cluster not in half_of:
            kind = tuple(sorted(item.facets.items()))
            half_of[cluster] = dealt.get(kind, 0) % 2
            dealt[kind] = dealt.get(kind, 0) + 1
    halves: tuple[list[Item], list[Item]] = ([], [])
    for item in items:
        halves[half_of[item.cluster or item.id]].append(item)
    return halves
