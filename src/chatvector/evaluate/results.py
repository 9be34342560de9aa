# SPDX-License-Identifier: Apache-2.0
"""`results.json`: the schema of what an evaluation found. Only this module writes and reads it.

Everything but `run` is the same, byte for byte, for the same models, items, seeds and marks. Figures are rounded to
six places. Lists are flat, one object per row; each table of the report selects rows. docs/evaluation.md lists
every key from the docstrings below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from chatvector.errors import DamagedFile, MissingInput, UnsupportedFormat, brief

FORMAT = "chatvector-results/1"
RESULTS = "results.json"


def _six_places(value: Any) -> Any:
    return round(value, 6) + 0.0 if isinstance(value, float) else value


Figure6 = Annotated[float, BeforeValidator(_six_places)]


class Row(BaseModel):
    """Base of all rows: unknown keys are errors, and rows are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelRow(Row):
    """One evaluated model."""

    name: str
    """Its name in the other rows."""
    part: Literal["candidate", "reference", "true chat"]
    """Its role in comparisons. Gates check candidates."""
    kind: str
    """Kind of backend: `transformers`, `live`, `openai`, `replay`."""
    model: str
    """What the user called it; for a local path only the last part."""
    fingerprint: str
    """Hash of weights and side files; for a server, of its own description."""
    template: str | None
    """Hash of the chat template's source; null without one."""
    prompt_form: str
    """How prompts are formed: `own template`, `template of NAME`, `raw`."""
    context: int | None
    """Most tokens of prompt and reply together; null if not known."""
    settings: dict[str, Any]
    """Other settings that decide replies: dtype, stop ids, major versions of libraries."""


class MetricRow(Row):
    """One metric of a task."""

    name: str
    """Name of the metric, unique within the task."""
    title: str
    """Title in tables."""
    mark: str | None
    """Name of the mark in the items file; null for a figure of all marks."""
    kind: Literal["rate", "mean", "figure"]
    """Share of true marks, mean of marks, or a figure computed from all marks."""
    better: Literal["higher", "lower", "neither"]
    """Which direction is better."""
    primary: bool
    """Whether it is in the headline table and in the family of corrected tests."""
    unit: str
    """Unit of the figure: `share` (0 to 1), `points`, `bits per byte` …"""
    margin: float | None
    """A model counts as not worse if it is worse by less than this, in `unit`; null if it has no margin."""
    of_some: bool = False
    """By its nature about some answers only: those that it leaves out are not missing."""


class SourceRow(Row):
    """Where items come from."""

    name: str
    """Name of the data file or set."""
    licence: str
    """Its licence."""
    version: str
    """Its version."""
    sha256: str
    """SHA-256 of the data file, in hex."""


class TaskRow(Row):
    """One task in one language, or one rider: what was measured on the replies of all chat tasks in that language."""

    name: str
    """Name of the task, as `--task` takes it, or of the rider."""
    axis: str
    """Its group in the report."""
    version: str
    """Version of items, prompts and marking."""
    language: str
    """Language of the items."""
    rider: bool
    """Whether it is a rider, measured on the replies of the other tasks."""
    items: int
    """Number of items asked."""
    clusters: int
    """Number of independent groups (clusters) among them."""
    samples: int
    """Replies drawn per item; the largest number among the items."""
    sampling: dict[str, Any]
    """Sampling settings of the replies; empty for a rider."""
    sources: tuple[SourceRow, ...]
    """Where the items come from."""
    metrics: tuple[MetricRow, ...]
    """Its metrics, in the task's order."""
    items_file: str | None
    """File with prompts, replies and marks, relative to `results.json`; null for a rider, whose marks are in the tasks'
    files."""


class FigureRow(Row):
    """One metric of one model, over all items or over those with one value of a facet."""

    task: str
    """Name of the task."""
    language: str
    """Language of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """Name of the model."""
    facet: str | None
    """Facet that the items are split by; null for all items."""
    facet_value: str | None
    """Value of the facet; null for all items."""
    value: Figure6 | None
    """The figure; null if there is none (no item, or undefined for these marks)."""
    low: Figure6 | None
    """Lower end of the 95 % interval; null if there is none."""
    high: Figure6 | None
    """Upper end of the interval."""
    n: int
    """Number of marks it was computed from."""
    clusters: int
    """Number of independent groups (clusters) among them."""
    left_out: int
    """Number of replies that the mark does not apply to."""
    failed: int
    """Number of answers that could not be marked: errors, never counted as misses."""
    method: str
    """How the interval was made."""


class DifferenceRow(Row):
    """One metric: model minus reference on the items that both have."""

    task: str
    """Name of the task."""
    language: str
    """Language of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """Name of the model."""
    reference: str
    """Name of the reference, which is subtracted."""
    value: Figure6
    """The difference."""
    low: Figure6 | None
    """Lower end of its 95 % interval."""
    high: Figure6 | None
    """Upper end of the interval."""
    n: int
    """Number of pairs."""
    clusters: int
    """Number of independent groups (clusters) among them."""
    discordant: Figure6
    """Share of pairs whose marks differ."""
    p: Figure6
    """Two-sided p value, uncorrected."""
    p_holm: Figure6 | None
    """p value corrected by Holm within the family; null for metrics outside it."""
    test: str
    """Name of the test that gave `p`."""
    method: str
    """How the interval was made."""
    detectable: Figure6 | None
    """Smallest difference that this many pairs would have shown with 80 % power; null without an interval."""
    not_worse: Literal["not worse", "worse", "undecided"] | None
    """Verdict on non-inferiority at the metric's margin; null without a margin or an interval."""


class RecoveryRow(Row):
    """Share of the true chat model's gain that a model has: (model − reference)/(true chat − reference)."""

    task: str
    """Name of the task."""
    language: str
    """Language of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """Name of the model whose share it is."""
    gain: Figure6
    """The gain: true chat − reference."""
    value: Figure6 | None
    """The share; null if the gain has no interval or its interval contains 0."""
    low: Figure6 | None
    """Lower end of its 95 % interval; null if the share is the same in every resample."""
    high: Figure6 | None
    """Upper end of the interval."""
    n: int
    """Number of answers (item and sample) that all three models have."""


class SpreadRow(Row):
    """Where the spread of a metric comes from, for tasks that draw several samples."""

    task: str
    """Name of the task."""
    language: str
    """Language of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """Name of the model."""
    between_items: Figure6
    """Variance of the items' true means."""
    within_item: Figure6
    """Variance between samples of an item."""
    of_sample_means: Figure6 | None
    """Standard deviation of the figure between sample numbers; null if items have unequal numbers of samples."""


class AbsentRow(Row):
    """A task that a model was not asked."""

    task: str
    """Name of the task."""
    language: str
    """Language of the items."""
    model: str
    """Name of the model."""
    why: str
    """The reason."""


class FailureRow(Row):
    """Answers that could not be marked."""

    task: str
    """Name of the task."""
    language: str
    """Language of the items."""
    model: str
    """Name of the model."""
    why: str
    """The reason. `context` means that prompt and reply do not fit into the model."""
    count: int
    """Number of such answers."""


class GateRow(Row):
    """A required figure."""

    text: str
    """The requirement, as the user wrote it."""
    model: str
    """Name of the model whose figure is required."""
    task: str
    """Name of the task."""
    language: str
    """Language of the items."""
    metric: str
    """Name of the metric."""
    value: Figure6 | None
    """What was compared: the figure, or with `--strict-gates` the bound of its interval; null if there is none."""
    passed: bool
    """Whether it is met; a missing figure does not pass."""


class Results(Row):
    """The whole document."""

    format: Literal["chatvector-results/1"] = FORMAT
    """Format of the document; changes when programs that read it have to change."""
    chatvector: str
    """Version of the program."""
    suite: str | None
    """Name of the suite that was asked for; null if none was."""
    seed: int
    """Seed of items, samples and resampling."""
    limit: int | None
    """Value of `--limit`; null if it was not given."""
    languages: tuple[str, ...]
    """Languages of the tasks, in order."""
    reference: str | None
    """Name of the model that differences are taken to; null for a single model."""
    true_chat: str | None
    """Name of the model whose gain is to be recovered; null if none was named."""
    services: dict[str, Any]
    """Judge, toxicity scorer and guard: how each describes itself; null for those not given."""
    models: tuple[ModelRow, ...]
    """The models, in the order of the command."""
    tasks: tuple[TaskRow, ...]
    """Tasks, then riders."""
    figures: tuple[FigureRow, ...]
    """Every metric of every model."""
    differences: tuple[DifferenceRow, ...]
    """Every metric that has a better direction, of every model but the reference."""
    family: str
    """Which differences are corrected together."""
    recovery: tuple[RecoveryRow, ...]
    """Share of the true chat model's gain, for primary metrics; empty without a true chat model."""
    spread: tuple[SpreadRow, ...]
    """Where the spread comes from, for tasks with several samples."""
    absent: tuple[AbsentRow, ...]
    """Tasks that models were not asked, and why."""
    failures: tuple[FailureRow, ...]
    """Answers that could not be marked, counted by reason."""
    gates: tuple[GateRow, ...]
    """Figures required by `--require`."""
    warnings: tuple[str, ...]
    """What a reader of the figures has to know."""
    run: dict[str, Any]
    """Date, machine, versions, time, cache: the only part that differs between equal runs."""

    def metric(self, task: str, name: str) -> MetricRow:
        """The metric `name` of `task`. Raises KeyError."""
        for row in self.tasks:
            if row.name == task:
                for metric in row.metrics:
                    if metric.name == name:
                        return metric
        raise KeyError(f"{task}/{name}")

    def text(self) -> str:
        """The content of the file. Long lists have one row per line, so that two versions can be compared by eye."""
        document = self.model_dump(mode="json")
        parts = [f"{json.dumps(key)}: {_value(value)}" for key, value in document.items()]
        return "{\n" + ",\n".join(parts) + "\n}\n"


def _value(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False, allow_nan=False) for row in value)
        return f"[\n{rows}\n]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def results_path(place: Path) -> Path:
    """The results file that `place` names: `place` itself, or its `results.json` if it is a directory."""
    return place / RESULTS if place.is_dir() else place


def read_results(place: Path) -> Results:
    """Read a results file, given itself or by its directory. Raises MissingInput, DamagedFile, UnsupportedFormat."""
    path = results_path(place)
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MissingInput(
            f"{path}: no results there: {error.strerror or error}; `chatvector eval --out` writes them"
        ) from error
    except ValueError as error:
        raise DamagedFile(f"{path}: no results of `chatvector eval --out`: not JSON: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise UnsupportedFormat(f"{path}: format {found!r}, this version reads {FORMAT!r}; run eval again")
    try:
        results = Results.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        at = f" at {where}" if where else ""
        raise DamagedFile(f"{path}: faults ({error.error_count()}), the first{at}: {first['msg']}") from error
    if fault := _strange_name(results):
        raise DamagedFile(f"{path}: {fault}")
    return results


def _strange_name(results: Results) -> str | None:
    """What is wrong with the names: models without unique names, or a row about a model or figure that the document
    does not have. None if nothing is."""
    names = [row.name for row in results.models]
    if not names or len(set(names)) < len(names):
        return f"models need names of their own, and are called {', '.join(names) or 'nothing'}"
    rows = (*results.figures, *results.differences, *results.recovery, *results.spread, *results.gates)
    called = dict.fromkeys([results.reference, results.true_chat, *(row.model for row in rows)])
    figures = {(task.name, task.language, metric.name) for task in results.tasks for metric in task.metrics}
    faults = [f"there is no model {brief(name)} in it" for name in called if name is not None and name not in names]
    faults += [
        f"there is no {brief(row.task)}/{brief(row.metric)} ({brief(row.language)}) in it"
        for row in rows
        if (row.task, row.language, row.metric) not in figures
    ]
    return faults[0] if faults else None
