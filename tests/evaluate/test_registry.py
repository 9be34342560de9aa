# SPDX-License-Identifier: Apache-2.0
"""The list of tasks says of each what the task says of itself, and what is chosen from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from chatvector.cli.tasks import known
from chatvector.errors import UsageError
from chatvector.evaluate.harness.sets import SETS
from chatvector.evaluate.registry import LANGUAGES, Entry
from chatvector.evaluate.task import Services

ROOT = Path(__file__).parents[2]
REGISTRY = known()
OPTIONAL = {"readable"}
"""Facets that items have only where something is known of the models."""


@pytest.mark.parametrize("entry", [*REGISTRY.tasks, *REGISTRY.riders], ids=lambda entry: entry.name)
def test_an_entry_says_what_its_task_says(entry: Entry) -> None:
    made = entry.make()
    assert (made.name, made.axis) == (entry.name, entry.axis)
    names = [metric.name for metric in made.metrics]
    assert len(set(names)) == len(names)
    assert all("/" not in name and "@" not in name for name in (made.name, *names)), "gates could not name it"
    assert made.version


@pytest.mark.parametrize("entry", REGISTRY.tasks, ids=lambda entry: entry.name)
def test_a_task_keeps_to_the_contract(entry: Entry) -> None:
    task = entry.make()
    assert set(task.languages) <= set(LANGUAGES)
    assert set(task.needs()) <= set(vars(Services()))
    for language in task.languages:
        items = task.items(language, limit=12, seed=0)
        assert items
        assert items == task.items(language, limit=12, seed=0)
        assert len({item.id for item in items}) == len(items)
        assert all(item.language for item in items), "a reply in another language may be asked for"
        assert all(source.licence for source in task.sources(language))
        facets = {facet for metric in task.metrics for facet in metric.by}
        assert facets - OPTIONAL <= {facet for item in items for facet in item.facets}
    missing = set(LANGUAGES) - set(task.languages)
    for language in missing:
        with pytest.raises(UsageError):
            task.items(language, limit=1, seed=0)


def test_names_are_unique() -> None:
    names = [entry.name for entry in (*REGISTRY.tasks, *REGISTRY.riders)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", REGISTRY.suites)
def test_suites_name_tasks_that_are_there(name: str) -> None:
    suite = REGISTRY.suites[name]
    brought = {f"lm-eval:{task}" for task in SETS[name].tasks} if name in SETS else set()
    assert set(suite.tasks) - brought <= {entry.name for entry in REGISTRY.tasks}
    assert brought <= set(suite.tasks), "a suite for a country holds its public sets"
    for language in suite.languages or ("ko", "en"):
        assert REGISTRY.choose([language], suite=name)


def test_a_suite_leaves_out_what_lacks_the_language_and_a_named_task_does_not() -> None:
    jobs = REGISTRY.choose(["ja", "ko"], suite="demo")
    assert {job.language for job in jobs} == {"ko"}
    named = REGISTRY.choose(["ja"], task=["demo-fact"])
    assert [(job.task.name, job.language) for job in named] == [("demo-fact", "ja")], "the run refuses it"
    with pytest.raises(UsageError, match="no task that was chosen has items in ja"):
        REGISTRY.choose(["ja"], suite="demo")


def test_a_limit_overrides_the_suite() -> None:
    assert {job.limit for job in REGISTRY.choose(["ko"], suite="quick", limit=3)} == {3}
    assert {job.limit for job in REGISTRY.choose(["ko"], suite="quick")} == set(REGISTRY.suites["quick"].tasks.values())


def test_the_list_imports_no_task() -> None:
    code = (
        "import sys; from chatvector.evaluate.catalogue import STANDARD;"
        "print([name for name in sys.modules if name.startswith(('chatvector.evaluate.tasks.', 'torch', 'scipy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_shows_the_example() -> None:
    """docs/own-task.md and examples/own_task/proverbs.py say the same, in about 20 lines of code."""
    page = (ROOT / "docs" / "own-task.md").read_text("utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    file = (ROOT / "examples" / "own_task" / "proverbs.py").read_text("utf-8")
    body = file.partition('"""\n\n')[2]
    here = 'Path(__file__).with_name("proverbs.ko.jsonl")'
    assert shown == body.replace(here, 'Path("examples/own_task/proverbs.ko.jsonl")')
    assert len([line for line in shown.splitlines() if line.strip()]) <= 20
