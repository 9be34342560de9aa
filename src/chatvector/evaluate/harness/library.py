# SPDX-License-Identifier: Apache-2.0
"""Finds and loads the harness's tasks by name or path. Errors of the harness become messages of one line."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chatvector.errors import HubError, InputError, MissingExtra, UsageError, first_five
from chatvector.evaluate.harness.sets import family_of


def need_harness() -> None:
    """Raises MissingExtra if lm-evaluation-harness is not installed."""
    if find_spec("lm_eval") is None:
        raise MissingExtra("harness", "A task of lm-evaluation-harness")


def harness_version() -> str:
    """Version of the installed library."""
    from importlib.metadata import version

    return version("lm_eval")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it, the harness logs errors only and draws no progress bars; ours are drawn elsewhere."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def task_names(name: str) -> tuple[str, ...]:
    """The tasks that a name stands for: those of a group or tag in their order, or the name itself if it is a task. A
    path stands for itself. Nothing is downloaded. Raises UsageError for a name that the harness does not have, or a
    group without tasks that could be named."""
    need_harness()
    if _is_path(name):
        return (name,)
    index = _manager_for(name).task_index
    found: list[str] = []
    _collect(name, index, found)
    if not found:
        raise UsageError(f"lm-eval:{name}: a group without tasks that could be named; name a task")
    return tuple(dict.fromkeys(found))


def load_task(name: str) -> Any:
    """A task object of the harness, with its data loaded.

    Raises UsageError for an unknown name or one that stands for several tasks, HubError if the data is not on this
    machine and cannot be fetched, InputError if the library refuses it.
    """
    need_harness()
    try:
        with quiet():
            manager = _empty() if _is_path(name) else _manager_for(name)
            tasks: Mapping[str, Any] = manager.load(name)["tasks"]
    except OSError as error:  # the data sets' and the hub's errors are all OSErrors
        raise _unreachable(name, error) from error
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"lm-eval:{name}: the harness cannot load it: {_first_line(error)}") from error
    if len(tasks) != 1:
        raise UsageError(f"lm-eval:{name}: stands for {len(tasks)} tasks ({first_five(tasks)}); name one of them")
    return next(iter(tasks.values()))


def _is_path(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _manager_for(name: str) -> Any:
    """A task manager that knows the name. It has the index of one folder if that has the name, which is quick; else of
    all 14,000 tasks. Raises UsageError for an unknown name."""
    import lm_eval.tasks

    folder = Path(lm_eval.tasks.__file__).parent / family_of(name)
    if folder.is_dir():
        manager = _manager_of(str(folder))
        if name in manager.task_index:
            return manager
    manager = _manager_of(None)
    if name not in manager.task_index:
        near = [one for one in manager.all_tasks if one.startswith(family_of(name))]
        hint = f"; there are {first_five(near)}" if near else "; `lm-eval ls tasks` lists them"
        raise UsageError(f"lm-eval:{name}: the harness ({harness_version()}) has no such task{hint}")
    return manager


@cache
def _manager_of(folder: str | None) -> Any:
    from lm_eval.tasks import TaskManager

    with quiet():
        return TaskManager() if folder is None else TaskManager(include_path=folder, include_defaults=False)


def _empty() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=False)


def _collect(name: str, index: Mapping[str, Any], found: list[str]) -> None:
    """Adds to `found` the tasks below a name of the harness's index."""
    entry = index.get(name)
    if entry is None:
        return
    if entry.kind.name not in ("GROUP", "TAG"):
        found.append(name)
        return
    for one in _members(entry):
        _collect(one, index, found)


def _members(entry: Any) -> list[str]:
    if entry.kind.name == "TAG":
        return sorted(entry.tags or ())
    listed = (entry.cfg or {}).get("task", [])
    listed = [listed] if isinstance(listed, str) else listed
    names = [one if isinstance(one, str) else one.get("task") or one.get("group") for one in listed]
    return [one for one in names if isinstance(one, str)]


def _unreachable(name: str, error: OSError) -> HubError:
    return HubError(
        f"lm-eval:{name}: its data is not on this machine and cannot be fetched ({_first_line(error)}); run the "
        "command once with network, or copy the data sets' cache ($HF_HOME) of a machine that has it"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
