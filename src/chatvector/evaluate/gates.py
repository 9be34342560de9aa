# SPDX-License-Identifier: Apache-2.0
"""Required figures, for pipelines: `language>=0.95`, `memory/recall@merged>=0.8`, `toxicity<=2%`.

    NAME[@MODEL] OP VALUE      OP: >= > <= <        VALUE: 0.95 or 95%

NAME is an axis or a task (its primary metrics), TASK/METRIC, or `all` (every primary metric). Except with TASK/METRIC,
metrics that should be on the other side of VALUE are skipped: `>=` is not asked of a metric that should be low. Without
MODEL every candidate has to pass: every model but the reference and the true chat model; every model if there is no
candidate.

The figure itself is compared with VALUE. With `strict` it is the end of its 95 % interval that is nearer to failing, so
a figure measured on few items has to be better by its uncertainty.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

from chatvector.errors import UsageError
from chatvector.evaluate.results import FigureRow, GateRow, MetricRow, Results

_GATE = re.compile(r"(?P<name>[^@<>=\s]+)(@(?P<model>[^<>=]+?))?\s*(?P<op>>=|<=|>|<)\s*(?P<value>[-+]?[\d.]+%?)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Address:
    """A metric of a task and the task's axis: what a gate can name."""

    axis: str
    task: str
    metric: str
    primary: bool
    better: str = "higher"


@dataclass(frozen=True)
class Gate:
    """One requirement. `model` is None if it holds for all candidates; `text` is what the user wrote."""

    text: str
    name: str
    model: str | None
    operator: str
    value: float


def parse_gate(text: str) -> Gate:
    """Read `NAME[@MODEL]>=VALUE`. Raises UsageError."""
    match = _GATE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--require {text}: write NAME>=VALUE, such as 'language>=0.95' or 'toxicity<=2%'")
    return Gate(text, match["name"], match["model"], match["op"], number(match["value"], f"--require {text}"))


def number(text: str, where: str) -> float:
    """The number written as `0.95` or `95%`. Raises UsageError for anything but a finite number."""
    try:
        found = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise UsageError(f"{where}: {text!r} is no number") from None
    if not isfinite(found):
        raise UsageError(f"{where}: {text!r} is no finite number")
    return found


def addresses(axis: str, task: str, metrics: Iterable[MetricRow]) -> list[Address]:
    """The addresses of a task's metrics."""
    return [Address(axis, task, metric.name, metric.primary, metric.better) for metric in metrics]


def known_in(results: Results) -> list[Address]:
    """The addresses of all metrics of the results."""
    return [one for task in results.tasks for one in addresses(task.axis, task.name, task.metrics)]


def select(name: str, known: Sequence[Address], flag: str) -> list[Address]:
    """The metrics that a name means. A task or axis without a primary metric means all of its metrics.

    Raises UsageError, which lists the choices, if it means none.
    """
    task, slash, metric = name.partition("/")
    if slash:
        found = [one for one in known if (one.task, one.metric) == (task, metric)]
    elif name == "all":
        found = [one for one in known if one.primary]
    else:
        found = [one for one in known if name in (one.task, one.axis)]
        found = [one for one in found if one.primary] or found
    if not found:
        choices = dict.fromkeys([*(one.axis for one in known), *(f"{one.task}/{one.metric}" for one in known)])
        near = dict.fromkeys(
            f"{one.task}/{one.metric}" for one in known if name in (f"{one.metric}/{one.task}", one.metric)
        )
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"{flag} {name}: no such figure here; {meant}there are {', '.join(choices)}")
    return list(dict.fromkeys(found))


def required(gate: Gate, known: Sequence[Address]) -> list[Address]:
    """The metrics that a gate asks for: what `select` finds, without the metrics whose better direction the operator
    contradicts. A metric named as TASK/METRIC is kept in any case. Raises UsageError if none is left."""
    found = select(gate.name, known, "--require")
    if "/" in gate.name:
        return found
    bad, instead = _against(gate)
    fit = [one for one in found if one.better != bad]
    if not fit:
        listed = ", ".join(dict.fromkeys(f"{one.task}/{one.metric}" for one in found))
        raise UsageError(f"--require {gate.text}: {bad} is better for {listed}; write {instead}, or name TASK/METRIC")
    return fit


def _against(gate: Gate) -> tuple[str, str]:
    """The better direction that the gate's operator contradicts, and the operator that asks for that direction."""
    return ("lower", "<=") if gate.operator.startswith(">") else ("higher", ">=")


def wrong_way(gate: Gate, known: Sequence[Address]) -> str | None:
    """A warning if a gate that names one metric asks for its worse direction; else None."""
    bad, instead = _against(gate)
    if all(one.better != bad for one in required(gate, known)):
        return None
    return f"--require {gate.text}: {bad} is better for {gate.name}, so that bad figures meet it; was {instead} meant?"


def with_gates(results: Results, gates: Sequence[Gate], *, strict: bool) -> Results:
    """The results with the rows of `judge` and two kinds of warnings: of gates that ask for a metric's worse direction,
    and of required figures that leave out most answers, which may differ much from figures of all answers.

    Raises UsageError for names that the results do not have.
    """
    rows = judge(gates, results, strict=strict)
    known = known_in(results)
    lines = [*(wrong_way(gate, known) for gate in gates), *(_thin_gate(row, results) for row in rows)]
    found = dict.fromkeys(line for line in lines if line is not None)
    return results.model_copy(update={"gates": rows, "warnings": (*results.warnings, *found)})


def figure_of(row: GateRow, results: Results) -> FigureRow | None:
    """The figure over all items that a gate's row is about; None if there is none."""
    wanted = (row.task, row.metric, row.language, row.model, None)
    return next(
        (one for one in results.figures if (one.task, one.metric, one.language, one.model, one.facet) == wanted), None
    )


def countable(figures: Iterable[FigureRow], metric: MetricRow) -> int:
    """How many answers these figures of one metric could have counted: all that were given. For a metric that is by its
    nature about some answers only (`of_some`): the largest number that one of the figures counts."""
    return max((one.n + (0 if metric.of_some else one.left_out + one.failed) for one in figures), default=0)


def with_thin_figures(results: Results) -> Results:
    """The results with a warning for every primary figure, required or not, that counts fewer than half of the
    answers."""
    lines = [
        _thin(row, results)
        for row in results.figures
        if row.facet is None and results.metric(row.task, row.metric).primary
    ]
    return results.model_copy(update={"warnings": (*results.warnings, *filter(None, lines))})


def _thin(figure: FigureRow, results: Results, why: str = "") -> str | None:
    """A warning if a figure counts fewer than half of the answers; else None. `why` is put before the numbers."""
    same = (figure.task, figure.metric, figure.language, None)
    asked = countable(
        (one for one in results.figures if (one.task, one.metric, one.language, one.facet) == same),
        results.metric(figure.task, figure.metric),
    )
    if figure.value is None or 2 * figure.n >= asked:
        return None
    return (
        f"{figure.task} ({figure.language}) {figure.metric}, {figure.model}: {why}counts {figure.n} of {asked} answers;"
        f" left out {figure.left_out}, failed {figure.failed}"
    )


def _thin_gate(row: GateRow, results: Results) -> str | None:
    figure = figure_of(row, results)
    return None if row.value is None or figure is None else _thin(figure, results, "required, and ")


def judge(gates: Sequence[Gate], results: Results, *, strict: bool) -> tuple[GateRow, ...]:
    """Compare every gate with every figure over all items that it names. Raises UsageError for unknown names."""
    known = known_in(results)
    candidates = [model.name for model in results.models if model.part == "candidate"]
    everyone = [model.name for model in results.models]
    rows: list[GateRow] = []
    for gate in gates:
        if gate.model is not None and gate.model not in everyone:
            raise UsageError(f"--require {gate.text}: no model {gate.model!r}; there are {', '.join(everyone)}")
        models = [gate.model] if gate.model else candidates or everyone
        for address in required(gate, known):
            languages = [task.language for task in results.tasks if task.name == address.task]
            for language in languages:
                rows += [_row(gate, address, language, model, results, strict=strict) for model in models]
    return tuple(rows)


def _row(gate: Gate, address: Address, language: str, model: str, results: Results, *, strict: bool) -> GateRow:
    row = GateRow(
        text=gate.text,
        model=model,
        task=address.task,
        language=language,
        metric=address.metric,
        value=None,
        passed=False,
    )
    figure = figure_of(row, results)
    if figure is None:
        return row
    bound = figure.low if gate.operator.startswith(">") else figure.high
    value = bound if strict else figure.value
    passed = value is not None and _OPERATORS[gate.operator](value, gate.value)
    return row.model_copy(update={"value": value, "passed": passed})
