# SPDX-License-Identifier: Apache-2.0
"""`results.json`: the schema of what an evaluation found, written and read here and nowhere else.

Everything but `run` is the same, byte for byte, for the same models, items, seeds and marks. Figures are rounded to
six places. Lists are flat, one object a row: a table of the report is a selection of rows. docs/evaluation.md lists
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
    """Unknown keys are errors; rows are not changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelRow(Row):
    """One evaluated model."""

    name: str
    """What it is called in the other rows."""
    part: Literal["candidate", "reference", "true chat"]
    """What it is compared as. Gates look at candidates."""
    kind: str
    """`transformers`, `live`, `openai`, `replay`."""
    model: str
    """What the user called it; of a local path the last part."""
    fingerprint: str
    """Hash of weights and side files; for a server, of what it says of itself."""
    template: str | None
    """Hash of the chat template's source; null without one."""
    prompt_form: str
    """`own template`, `template of NAME`, `raw`."""
    context: int | None
    """Tokens of prompt and reply that fit; null where not known."""
    settings: dict[str, Any]
    """What else decides replies: dtype, stop ids, major versions of libraries."""


class MetricRow(Row):
    """One metric of a task."""

    name: str
    """Unique within the task."""
    title: str
    """For tables."""
    mark: str | None
    """Name of the mark in the items file; null for a figure of all marks."""
    kind: Literal["rate", "mean", "figure"]
    """Share of true marks, mean of marks, or a figure of all marks."""
    better: Literal["higher", "lower", "neither"]
    """Which way is good."""
    primary: bool
    """In the headline table and in the family of tests."""
    unit: str
    """`share` (0 to 1), `points`, `bits per byte` …"""
    margin: float | None
    """Not worse means: worse by less than this; null where nothing is said."""
    of_some: bool = False
    """Asked of some answers only, by its nature: what it leaves out is not lost."""


class SourceRow(Row):
    """Where items come from."""

    name: str
    """The data file or set."""
    licence: str
    """Its licence."""
    version: str
    """Its version."""
    sha256: str
    """Of the data file."""


class TaskRow(Row):
    """One task in one language; of a rider, what was measured on the replies of all chat tasks."""

    name: str
    """As `--task` takes it."""
    axis: str
    """Its group."""
    version: str
    """Of items, prompts and marking."""
    language: str
    """Of the items."""
    rider: bool
    """Measured on the replies of the other tasks."""
    items: int
    """Items asked."""
    clusters: int
    """Independent groups among them."""
    samples: int
    """Replies an item, the largest number."""
    sampling: dict[str, Any]
    """How replies were drawn; empty for a rider."""
    sources: tuple[SourceRow, ...]
    """Where the items come from."""
    metrics: tuple[MetricRow, ...]
    """In the task's order."""
    items_file: str | None
    """Prompts, replies and marks, relative to `results.json`; null for a rider, whose marks stand beside the task's."""


class FigureRow(Row):
    """One metric of one model, over all items or over those with one value of a facet."""

    task: str
    """Name of the task."""
    language: str
    """Of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """Name of the model."""
    facet: str | None
    """What it is split by; null for all items."""
    facet_value: str | None
    """Which part."""
    value: Figure6 | None
    """The figure; null where it has none (no item, or undefined for these marks)."""
    low: Figure6 | None
    """Lower end of the 95 % interval; null where there is none."""
    high: Figure6 | None
    """Upper end."""
    n: int
    """Marks it was computed from."""
    clusters: int
    """Independent groups among them."""
    left_out: int
    """Replies the mark does not apply to."""
    failed: int
    """Answers that could not be marked: errors, never counted as misses."""
    method: str
    """How the interval was made."""


class DifferenceRow(Row):
    """One metric: model minus reference on the items that both have."""

    task: str
    """Name of the task."""
    language: str
    """Of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """The first term."""
    reference: str
    """What is subtracted."""
    value: Figure6
    """The difference."""
    low: Figure6 | None
    """Lower end of its 95 % interval."""
    high: Figure6 | None
    """Upper end."""
    n: int
    """Pairs."""
    clusters: int
    """Independent groups among them."""
    discordant: Figure6
    """Share of pairs whose marks differ."""
    p: Figure6
    """Two-sided, uncorrected."""
    p_holm: Figure6 | None
    """Corrected by Holm within the family; null for metrics outside it."""
    test: str
    """Which test."""
    method: str
    """How the interval was made."""
    detectable: Figure6 | None
    """The difference that this many pairs would have shown with 80 % power."""
    not_worse: Literal["not worse", "worse", "undecided"] | None
    """Non-inferiority at the metric's margin; null where it has none."""


class RecoveryRow(Row):
    """Share of the true chat model's gain that a model has: (model − reference)/(true chat − reference)."""

    task: str
    """Name of the task."""
    language: str
    """Of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """Whose share."""
    gain: Figure6
    """True chat − reference."""
    value: Figure6 | None
    """The share; null where the gain has no interval or it holds 0."""
    low: Figure6 | None
    """Lower end of its 95 % interval; null where the share is the same in every resample."""
    high: Figure6 | None
    """Upper end."""
    n: int
    """Items that all three have."""


class SpreadRow(Row):
    """Where the spread of a metric comes from, for tasks that draw several samples."""

    task: str
    """Name of the task."""
    language: str
    """Of the items."""
    metric: str
    """Name of the metric."""
    model: str
    """Name of the model."""
    between_items: Figure6
    """Variance of the items' true means."""
    within_item: Figure6
    """Variance between samples of an item."""
    of_sample_means: Figure6 | None
    """Standard deviation of the figure from one sample number to the next."""


class AbsentRow(Row):
    """A task that a model was not asked."""

    task: str
    """Name of the task."""
    language: str
    """Of the items."""
    model: str
    """Name of the model."""
    why: str
    """The reason."""


class FailureRow(Row):
    """Answers that could not be marked."""

    task: str
    """Name of the task."""
    language: str
    """Of the items."""
    model: str
    """Name of the model."""
    why: str
    """`context`: prompt and reply do not fit into the model."""
    count: int
    """So many."""


class GateRow(Row):
    """A required figure."""

    text: str
    """As required."""
    model: str
    """Whose figure."""
    task: str
    """Name of the task."""
    language: str
    """Of the items."""
    metric: str
    """Name of the metric."""
    value: Figure6 | None
    """What counted: the figure, or with `--strict-gates` the bound of its interval; null where there is none."""
    passed: bool
    """A figure that is not there does not pass."""


class Results(Row):
    """The document."""

    format: Literal["chatvector-results/1"] = FORMAT
    """Changes when a reader has to."""
    chatvector: str
    """Version of the program."""
    suite: str | None
    """Which suite was asked for."""
    seed: int
    """Of items, samples and resampling."""
    limit: int | None
    """`--limit`."""
    languages: tuple[str, ...]
    """In order."""
    reference: str | None
    """Name of the model that differences are taken to; null for a single model."""
    true_chat: str | None
    """Name of the model whose gain is to be recovered."""
    services: dict[str, Any]
    """Judge, toxicity scorer and guard: what each says of itself; null where not given."""
    models: tuple[ModelRow, ...]
    """In the order of the command."""
    tasks: tuple[TaskRow, ...]
    """Tasks, then riders."""
    figures: tuple[FigureRow, ...]
    """Every metric of every model."""
    differences: tuple[DifferenceRow, ...]
    """Every metric of every model but the reference."""
    family: str
    """Which differences are corrected together."""
    recovery: tuple[RecoveryRow, ...]
    """Where there is a true chat model: primary metrics."""
    spread: tuple[SpreadRow, ...]
    """Tasks with several samples."""
    absent: tuple[AbsentRow, ...]
    """What was not asked, and why."""
    failures: tuple[FailureRow, ...]
    """What failed, by reason."""
    gates: tuple[GateRow, ...]
    """`--require`."""
    warnings: tuple[str, ...]
    """What a reader of the figures has to know."""
    run: dict[str, Any]
    """Date, machine, versions, time, cache: the only part that differs between equal runs."""

    def metric(self, task: str, name: str) -> MetricRow:
        """A metric by its task's name. Raises KeyError."""
        for row in self.tasks:
            if row.name == task:
                for metric in row.metrics:
                    if metric.name == name:
                        return metric
        raise KeyError(f"{task}/{name}")

    def text(self) -> str:
        """The file's content: one row a line in the long lists, so that two versions can be compared by eye."""
        document = self.model_dump(mode="json")
        parts = [f"{json.dumps(key)}: {_value(value)}" for key, value in document.items()]
        return "{\n" + ",\n".join(parts) + "\n}\n"


def _value(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False, allow_nan=False) for row in value)
        return f"[\n{rows}\n]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def results_path(place: Path) -> Path:
    """The file that `place` names: itself, or `results.json` in the directory."""
    return place / RESULTS if place.is_dir() else place


def read_results(place: Path) -> Results:
    """Read a results file, or that of a directory. Raises MissingInput, DamagedFile, UnsupportedFormat."""
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
    """A row's name of something that the document does not hold; None where all are held."""
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
