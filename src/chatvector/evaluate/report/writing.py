# SPDX-License-Identifier: Apache-2.0
"""Writes the files of a report from a directory of results."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatvector.checkpoint.staging import unwritable
from chatvector.errors import DamagedFile
from chatvector.evaluate.records import read_lines
from chatvector.evaluate.report.characters import visible
from chatvector.evaluate.report.document import document
from chatvector.evaluate.report.html import html
from chatvector.evaluate.report.hub import Benchmark, card_table, eval_results, model_index, yaml_of
from chatvector.evaluate.report.markdown import markdown, table
from chatvector.evaluate.report.picture import require_plot
from chatvector.evaluate.report.samples import Records
from chatvector.evaluate.report.view import View
from chatvector.evaluate.results import Results, read_results, results_path
from chatvector.evaluate.saving import refuse_no_directory


@dataclass(frozen=True)
class Written:
    """What was written: the names of files in `folder`, and whether texts that may hold harm were to be shown in
    them."""

    folder: Path
    files: tuple[str, ...]
    harmful_shown: bool


def write_report(place: Path, out: Path, *, reveal: bool = False, benchmarks: Sequence[Benchmark] = ()) -> Written:
    """Write the report of the results at `place` (a directory or its `results.json`) into the directory `out`.

    Files of an earlier report are replaced, each as a whole; nothing else in `out` is touched.

    Raises what `read_results` and `read_lines` raise, UsageError for a benchmark that is not in the results,
    MissingExtra without matplotlib, OutputRefused if nothing can be written, NotEnoughSpace on a full disk.
    """
    refuse_no_directory(out, "a directory")
    require_plot()
    results = read_results(place)
    files = render(results, read_items(results, results_path(place).parent), reveal=reveal, benchmarks=benchmarks)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            staging = out / f".{name}.partial"
            staging.write_text(text, "utf-8")
            os.replace(staging, out / name)
    except OSError as error:
        raise unwritable(error, out, f"{out}: the report cannot be written there") from error
    return Written(out, tuple(files), reveal)


def read_items(results: Results, folder: Path) -> dict[tuple[str, str], Records]:
    """Lines of all items files by (task, language). Raises MissingInput, and DamagedFile also for a file name that
    leads out of `folder`, since results may come from anybody."""
    found: dict[tuple[str, str], Records] = {}
    for task in results.tasks:
        if task.items_file is None:
            continue
        name = Path(task.items_file)
        if name.is_absolute() or ".." in name.parts:
            raise DamagedFile(f"{folder}: the items of {task.name} are said to be in {name}, outside of the results")
        found[task.name, task.language] = read_lines(folder / name)
    return found


def render(
    results: Results,
    records: Mapping[tuple[str, str], Records],
    *,
    reveal: bool = False,
    benchmarks: Sequence[Benchmark] = (),
) -> dict[str, str]:
    """The content of the report's files by file name."""
    report = document(results, records, reveal=reveal, benchmarks=benchmarks)
    view = View(results)
    files = {"report.html": html(report, results.chatvector), "report.md": markdown(report)}
    for name, part in zip(view.candidates, file_names(view.candidates), strict=True):
        files[f"card.{part}.md"] = _card(view, name)
        entries = eval_results(view, name, benchmarks)
        if entries:
            files[f"eval_results.{part}.yaml"] = yaml_of(entries)
    return files


def file_names(models: Sequence[str]) -> list[str]:
    """Models' names made fit for file names, each unique without regard to case: `org/model` becomes `org-model`."""
    found: list[str] = []
    for model in models:
        name = re.sub(r"[^\w.-]+", "-", visible(model)).strip("-.")[:80] or "model"
        taken = {one.casefold() for one in found}
        tries = [name, *(f"{name}-{number}" for number in range(2, len(models) + 1))]
        found.append(next(one for one in tries if one.casefold() not in taken))
    return found


def _card(view: View, name: str) -> str:
    """The content of a model card: front matter and evaluation section."""
    marked = "Measured by chatvector " + view.results.chatvector + ", paired item by item; 95 % intervals."
    return (
        f"---\n{yaml_of(model_index(view, name))}---\n\n## Evaluation\n\n{table(card_table(view, name))}\n\n{marked}\n"
    )
