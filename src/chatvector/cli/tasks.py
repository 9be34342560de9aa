# SPDX-License-Identifier: Apache-2.0
"""The tasks that the command line knows, those of the evaluation and the micro-world's, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatvector.evaluate.registry import Registry
    from chatvector.evaluate.request import Job
    from chatvector.evaluate.task import Language


def known() -> Registry:
    """All of them."""
    from chatvector.evaluate.catalogue import STANDARD
    from chatvector.lab.tasks import WORLD

    return STANDARD + WORLD


@dataclass(frozen=True)
class Choice:
    """What is asked: the jobs, in which languages, and of which suite if it is one."""

    suite: str | None
    languages: tuple[Language, ...]
    jobs: tuple[Job, ...]


def choose(
    registry: Registry,
    *,
    languages: Sequence[str] | None,
    suite: str | None,
    axes: Sequence[str] | None,
    tasks: Sequence[str] | None,
    limit: int | None,
    usual: str,
) -> Choice:
    """The jobs that the flags name; without suite, axis or task those of the suite `usual`.

    Raises UsageError where no language is named and the suite has none of its own, and what `Registry.choose` raises.
    """
    from chatvector.errors import UsageError
    from chatvector.evaluate.registry import LANGUAGES

    if suite is None and not axes and not tasks:
        suite = usual
    wanted = list(languages or registry.languages_of(suite))
    if not wanted:
        raise UsageError(f"--language: which? choose from {', '.join(LANGUAGES)}")
    jobs = registry.choose(wanted, suite=suite, axis=axes or (), task=tasks or (), limit=limit)
    return Choice(suite, tuple(wanted), tuple(jobs))
