# SPDX-License-Identifier: Apache-2.0
"""All tasks and riders by name, the suites made of them, and the user's own tasks.

The lists name modules; a module is imported when its task is asked for. A user's own task is a Python file with
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
"""Group of the entry points by which other packages offer tasks."""

HARNESS = "lm-eval:"
"""Prefix of the names of lm-evaluation-harness's tasks."""

LANGUAGES: tuple[Language, ...] = ("en", "ko", "zh-Hant", "zh-Hans", "ja")
"""All languages that tasks have items in; each task says which of them it has."""


@dataclass(frozen=True)
class Entry:
    """How to make a task or rider: its `place`, as `module:class`, and the arguments of the class. An entry among the
    arguments stands for what it makes.

    `name` and `axis` are those of the task, repeated here so that choosing tasks imports nothing.
    """

    name: str
    axis: str
    place: str
    arguments: tuple[Any, ...] = ()

    def make(self) -> Any:
        """Make the task or rider."""
        module, _, attribute = self.place.partition(":")
        arguments = (one.make() if isinstance(one, Entry) else one for one in self.arguments)
        return getattr(importlib.import_module(module), attribute)(*arguments)


@dataclass(frozen=True)
class Suite:
    """Tasks with the number of items of each; None means all. `languages` is used if the command names none.

    `lm-eval:NAME` is a task of lm-evaluation-harness. If it is not available it is left out and listed as absent
    (`harness.brought`).
    """

    about: str
    tasks: Mapping[str, int | None]
    languages: tuple[Language, ...] = ()


@dataclass(frozen=True)
class Registry:
    """What can be asked for by name. `+` joins two registries."""

    tasks: tuple[Entry, ...] = ()
    riders: tuple[Entry, ...] = ()
    suites: Mapping[str, Suite] = field(default_factory=dict)

    def __add__(self, other: Registry) -> Registry:
        return Registry(self.tasks + other.tasks, self.riders + other.riders, {**self.suites, **other.suites})

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of the tasks, in the order of the task list."""
        return tuple(dict.fromkeys(entry.axis for entry in self.tasks))

    def languages_of(self, suite: str | None) -> tuple[Language, ...]:
        """The languages that a suite is made for; empty for most suites. Raises UsageError for an unknown suite."""
        return () if suite is None else self.suites[_known("suite", suite, self.suites)].languages

    def make_riders(self) -> tuple[Rider, ...]:
        """Make all riders."""
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
        """The jobs that a command line asks for: a suite, the tasks of axes, and tasks by name, path or entry point.

        `limit` overrides a suite's numbers of items. A job is `asked_for` if its task was named. A task that comes from
        a suite or an axis is left out for languages that it lacks; a named task gets a job all the same. Raises
        UsageError, which lists the choices, for unknown names, and if no job is left.
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
        """The task of that name, or the tasks of a Python file (a path that ends with `.py`), of lm-evaluation-harness
        (`lm-eval:NAME`), or of another package (an entry point).

        Raises UsageError, which lists the choices, for an unknown name; MissingInput if the file does not exist,
        DamagedFile if it fails or has no task.
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
        """The tasks and riders among `names` that the registry or other packages have, and all tasks of `files`; by
        name."""
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
    """The tasks of lm-evaluation-harness that a name stands for: a named set (`korea`, `taiwan`), a group (made one
    task here), a task, or the path of a task's YAML file. Raises MissingExtra without lm-evaluation-harness, UsageError
    for an unknown name."""
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
    """The tasks of a Python file: its `TASK`, or the list `TASKS`. The file is run. Raises MissingInput,
    DamagedFile."""
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
