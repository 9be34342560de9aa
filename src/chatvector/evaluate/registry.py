# SPDX-License-Identifier: Apache-2.0
"""All tasks and riders by name, the suites made of them, and tasks of the user's own.

The lists name modules; a module is imported when its task is asked for. A task of one's own is a Python file with
`TASK = …` (or `TASKS = [ … ]`), given by path, or an entry point of the group `chatvector.tasks`: docs/own-task.md.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from chatvector.errors import DamagedFile, MissingInput, UsageError, first_five
from chatvector.evaluate.request import Job
from chatvector.evaluate.task import Language, Rider, Task

GROUP = "chatvector.tasks"
"""Entry points that other packages offer tasks by."""

HARNESS = "lm-eval:"
"""Begins the names of lm-evaluation-harness's tasks."""

LANGUAGES: tuple[Language, ...] = ("en", "ko", "zh-Hant", "zh-Hans", "ja")
"""What the tasks together speak; each says for itself which of them."""


@dataclass(frozen=True)
class Entry:
    """Where a task is made: `module:class`, and with what; an entry among the arguments stands for what it makes.

    `name` and `axis` are the task's own, here so that a choice needs no import.
    """

    name: str
    axis: str
    place: str
    arguments: tuple[Any, ...] = ()

    def make(self) -> Any:
        """The task or rider."""
        module, _, attribute = self.place.partition(":")
        arguments = (one.make() if isinstance(one, Entry) else one for one in self.arguments)
        return getattr(importlib.import_module(module), attribute)(*arguments)


@dataclass(frozen=True)
class Suite:
    """Tasks with the number of items of each; None is all there are. `languages`: where the command names none.

    `lm-eval:NAME` is a task of lm-evaluation-harness: left out and listed where it cannot be had (`harness.brought`).
    """

    about: str
    tasks: Mapping[str, int | None]
    languages: tuple[Language, ...] = ()


@dataclass(frozen=True)
class Registry:
    """What can be asked for by name. Two of them add up."""

    tasks: tuple[Entry, ...] = ()
    riders: tuple[Entry, ...] = ()
    suites: Mapping[str, Suite] = field(default_factory=dict)

    def __add__(self, other: Registry) -> Registry:
        return Registry(self.tasks + other.tasks, self.riders + other.riders, {**self.suites, **other.suites})

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that tasks have, in the order of the list."""
        return tuple(dict.fromkeys(entry.axis for entry in self.tasks))

    def languages_of(self, suite: str | None) -> tuple[Language, ...]:
        """The languages that a suite is made for; none for most. Raises UsageError for an unknown suite."""
        return () if suite is None else self.suites[_known("suite", suite, self.suites)].languages

    def make_riders(self) -> tuple[Rider, ...]:
        """Every rider."""
        return tuple(entry.make() for entry in self.riders)

    def choose(
        self,
        languages: Sequence[Language],
        *,
        suite: str | None = None,
        axis: Sequence[str] = (),
        task: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[Job]:
        """The jobs that a command line means: a suite, and the tasks of axes, and tasks by name, path or entry point.

        `limit` overrides a suite's numbers; a job is `asked_for` if its task was named. A task of a suite or an axis
        that lacks a language is left out there; one that was named must have it. Raises UsageError with the choices
        for what is not known, and when nothing is left.
        """
        for language in languages:
            _known("language", language, LANGUAGES)
        chosen: dict[str, tuple[Task, int | None]] = {}
        if suite is not None:
            for name, count in self.suites[_known("suite", suite, self.suites)].tasks.items():
                one = _brought(name) if name.startswith(HARNESS) else self._entry(name).make()
                chosen[one.name] = (one, count if limit is None else limit)
        for one in axis:
            _known("axis", one, self.axes)
            for entry in self.tasks:
                if entry.axis == one:
                    chosen.setdefault(entry.name, (entry.make(), limit))
        named = [one for name in task for one in self.by_name(name)]
        chosen |= {one.name: (one, limit) for one in named}
        must = {one.name for one in named}
        jobs = [
            Job(one, language, count, asked_for=one.name in must)
            for one, count in chosen.values()
            for language in languages
            if language in one.languages or one.name in must
        ]
        if not jobs:
            raise UsageError(f"no task that was chosen has items in {', '.join(languages)}")
        return jobs

    def by_name(self, name: str) -> list[Task]:
        """The task of that name, or those of a Python file (a path that ends with `.py`), of lm-evaluation-harness
        (`lm-eval:NAME`), or of another package.

        Raises UsageError with the choices, MissingInput and DamagedFile for a file that is not there or has no task.
        """
        if name.endswith(".py"):
            return from_file(Path(name))
        if name.startswith(HARNESS):
            return from_harness(name.removeprefix(HARNESS))
        own = [entry.name for entry in self.tasks]
        offered = [] if name in own else list(entry_points(group=GROUP))
        for entry in offered:
            if entry.name == name:
                return _tasks_in({"TASK": entry.load()}, f"entry point {name}")
        _known("task", name, [*own, *(entry.name for entry in offered)])
        return [self._entry(name).make()]

    def marking(self, names: Iterable[str], files: Iterable[Path] = ()) -> dict[str, Task | Rider]:
        """Tasks and riders by name, as far as they are known here, and those of files."""
        wanted = set(names)
        found: dict[str, Task | Rider] = {
            one.name: one.make() for one in (*self.tasks, *self.riders) if one.name in wanted
        }
        for entry in entry_points(group=GROUP):
            if entry.name in wanted - found.keys():
                found |= {one.name: one for one in _tasks_in({"TASK": entry.load()}, f"entry point {entry.name}")}
        return found | {one.name: one for path in files for one in from_file(path)}

    def _entry(self, name: str) -> Entry:
        return next(entry for entry in self.tasks if entry.name == name)


def _brought(name: str) -> Task:
    from chatvector.evaluate.harness.brought import Brought

    return Brought(name.removeprefix(HARNESS))


def from_harness(name: str) -> list[Task]:
    """The tasks of lm-evaluation-harness that a name stands for: a named set (`korea`, `taiwan`), a group (one task of
    ours), a task, or the path of a task's YAML file. Raises MissingExtra without it, UsageError for an unknown name."""
    from chatvector.evaluate.harness.group import HarnessGroup
    from chatvector.evaluate.harness.library import task_names
    from chatvector.evaluate.harness.sets import SETS
    from chatvector.evaluate.harness.task import HarnessTask

    given = SETS[name].tasks if name in SETS else (name,)
    found: list[Task] = []
    for each in given:
        members = tuple(HarnessTask(one) for one in task_names(each))
        found.append(members[0] if len(members) == 1 else HarnessGroup(each, members))
    return found


def from_file(path: Path) -> list[Task]:
    """The tasks of a Python file: its `TASK`, or the list `TASKS`. The file is run."""
    if not path.is_file():
        raise MissingInput(f"--task {path}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"chatvector_own_task_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DamagedFile(f"--task {path}: cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a file that ends the program would end it as if all were fine
        raise DamagedFile(f"--task {path}: {type(error).__name__}: {error}") from error
    return _tasks_in(vars(module), f"--task {path}")


def _tasks_in(names: Mapping[str, Any], where: str) -> list[Task]:
    found = names.get("TASKS", [names["TASK"]] if "TASK" in names else [])
    if not found:
        raise DamagedFile(f"{where}: defines neither TASK nor TASKS; see docs/own-task.md")
    parts = ("name", "axis", "version", "languages", "metrics", "sampling", "items", "sources", "needs", "mark")
    for task in found:
        lacks = [part for part in parts if not hasattr(task, part)]
        if lacks:
            raise DamagedFile(f"{where}: {task!r} is no task, it lacks {first_five(lacks)}; see docs/own-task.md")
    return list(found)


def _known(kind: str, name: str, choices: Iterable[str]) -> str:
    listed = list(choices)
    if name not in listed:
        raise UsageError(f"unknown {kind} {name!r}: choose from {', '.join(listed)}")
    return name
