# SPDX-License-Identifier: Apache-2.0
"""What `verify` reports: one check for each subject, readable and as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One subject.

    Attributes:
        name: `files`, `weights`, `side files`, `manifest`, `model` or `reply`.
        ok: None when it could not be checked.
        summary: what was compared, or why not.
        problems: one line each.
        figures: numbers and names, for machines.
    """

    name: str
    ok: bool | None
    summary: str
    problems: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """The report. `notes` are things worth knowing that are no difference."""

    output: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing differs; what could not be checked does not count."""
        return all(check.ok is not False for check in self.checks)

    @property
    def problems(self) -> tuple[str, ...]:
        """All problems, each with its subject before it."""
        return tuple(f"{check.name}: {problem}" for check in self.checks for problem in check.problems)

    @property
    def summary(self) -> str:
        """One line."""
        kinds = {ok: ", ".join(check.name for check in self.checks if check.ok is ok) for ok in (True, False, None)}
        text = (
            f"differences ({len(self.problems)}) in {kinds[False]}; as it should be:" if kinds[False] else "verified:"
        )
        return f"{text} {kinds[True] or 'nothing'}" + (f"; not checked: {kinds[None]}" if kinds[None] else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain data: schema in docs/verify.md."""
        checks = [
            {
                "name": check.name,
                "ok": check.ok,
                "summary": check.summary,
                "problems": list(check.problems),
                "figures": dict(check.figures),
            }
            for check in self.checks
        ]
        return {
            "output": self.output,
            "ok": self.ok,
            "summary": self.summary,
            "checks": checks,
            "notes": list(self.notes),
        }
