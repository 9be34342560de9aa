# SPDX-License-Identifier: Apache-2.0
"""A task's items in two halves, so that what is chosen on one half is measured on the other.

Whatever is not independent (a cluster: wordings of a question, a request and its twin) stays in one half. Clusters with
the same facets are dealt out in turn, so that both halves have every kind. A task may have two parts of its own.
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
    """A task whose items come in two parts of their own, as those of a data set with a development split do."""

    def half_items(self, half: Half, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """The items of one part, at most `limit`."""
        ...


@dataclass(frozen=True)
class HalfTask:
    """One half of a task, under the task's own name; everything else is the task's."""

    task: Task
    half: Half

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def items(self, language: Language, *, limit: int | None, seed: int) -> list[Item]:
        """Of this half; `limit` counts the items of one half. Raises what the task raises."""
        if isinstance(self.task, Parted):
            return self.task.half_items(self.half, language, limit=limit, seed=seed)
        return _halves_of(self.task, language, limit, seed)[HALVES.index(self.half)][:limit]

    def mark(self, answers: Sequence[Answer], services: Services) -> list[Marks]:
        """The task's."""
        return self.task.mark(answers, services)


@dataclass(frozen=True)
class ComparingHalf(HalfTask):
    """Half of a task that also marks between models, and may look at them while they are open."""

    def compare(self, between: Between) -> Mapping[str, Sequence[Marks]]:
        """The task's."""
        return cast(Comparing, self.task).compare(between)

    def observe(self, backend: Backend, items: Sequence[Item]) -> Any:
        """The task's; None where it looks at nothing."""
        return self.task.observe(backend, items) if isinstance(self.task, Observing) else None


def half_of(task: Task, half: Half) -> HalfTask:
    """One half of a task, with all that the task can do."""
    return ComparingHalf(task, half) if isinstance(task, Comparing) else HalfTask(task, half)


def _halves_of(task: Task, language: Language, limit: int | None, seed: int) -> tuple[list[Item], list[Item]]:
    """Halves with `limit` items each where there are so many. Both are cut from one list: a longer one need not begin
    with a shorter."""
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
    """Development and test items, each in the order given. Of an odd number of clusters development has one more."""
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
