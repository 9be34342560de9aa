# SPDX-License-Identifier: Apache-2.0
"""The intervals hold the truth as often as they say. A short form of experiments/interval_coverage.py, whose long
form is in docs/validation.md."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
RUNS = 240


def load() -> ModuleType:
    path = ROOT / "experiments" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("interval_coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SIMULATION = load()


QUICK = [case for case in SIMULATION.CASES if not case.slow]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_coverage(case) -> None:
    """Within 93–97 % but for three standard deviations of `RUNS` samples."""
    slack = 3 * (0.95 * 0.05 / RUNS) ** 0.5
    assert 0.93 - slack <= SIMULATION.coverage(case, RUNS, seed=1) <= min(1.0, 0.97 + slack)


def test_the_published_table_lists_every_case_and_keeps_its_promise() -> None:
    table = (ROOT / "docs" / "validation.md").read_text("utf-8")
    for case in SIMULATION.CASES:
        row = re.search(rf"^\| {re.escape(case.name)} \| [\d,]+ \| ([\d.]+) % \|$", table, re.MULTILINE)
        assert row is not None, f"docs/validation.md lacks {case.name}"
        assert 93 <= float(row[1]) <= 97
