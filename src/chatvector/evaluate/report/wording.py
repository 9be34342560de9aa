# SPDX-License-Identifier: Apache-2.0
"""How figures are written and what may be said of them: numbers, intervals, and sentences that they support.

Shares are printed in percent and their differences in points; other units with three digits. Two models are said to
differ if the p value (corrected by Holm for metrics of the family) is below 0.05 and the interval does not contain 0.
Otherwise they "cannot be told apart", which is no claim that they are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from chatvector.evaluate.results import DifferenceRow, MetricRow, RecoveryRow, Results

ALPHA = 0.05
NONE = "–"
"""Written where there is no figure."""

NOT_EQUAL = (
    "That no difference was found does not show that there is none: the table of differences says which one would have"
    " shown."
)

Finding = Literal["higher", "lower", "cannot be told apart", "no interval"]


def number(value: float, unit: str, *, signed: bool = False) -> str:
    """A number as text: `98`, `2.5`, `+7.5`. Shares in percent, other units with three digits."""
    sign = "+" if signed and value else ""
    if unit == "share":
        text = f"{100 * value:{sign}.1f}" if abs(value) < 0.0995 and value else f"{100 * value:{sign}.0f}"
    else:
        text = f"{value:{sign}.3g}"
    return text.replace("-", "−")


def shown(value: float | None, low: float | None, high: float | None, unit: str, *, signed: bool = False) -> str:
    """A figure with its interval: `98 (95–99)`, `+7.5 (−2.5 to +20)`; without an interval the figure alone, without a
    figure `–`."""
    if value is None:
        return NONE
    if low is None or high is None:
        return number(value, unit, signed=signed)
    between = " to " if signed or low < 0 else "–"
    ends = [number(end, unit, signed=signed) for end in (low, high)]
    return f"{number(value, unit, signed=signed)} ({ends[0]}{between}{ends[1]})"


def titled(metric: MetricRow) -> str:
    """A metric's title with its unit, unless the title begins with it: `right replies, %`, `bits per byte, English`."""
    unit = "%" if metric.unit == "share" else metric.unit
    return metric.title if metric.title.startswith(unit) else f"{metric.title}, {unit}"


def primary(metrics: Sequence[MetricRow]) -> list[MetricRow]:
    """The primary metrics; if there are none, the first metric."""
    return [one for one in metrics if one.primary] or list(metrics[:1])


def p_text(row: DifferenceRow) -> str:
    """The corrected p value as text, or the plain one for a metric outside the family."""
    p = row.p if row.p_holm is None else row.p_holm
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def finding(row: DifferenceRow) -> Finding:
    """What a difference allows to say: its direction, or why nothing can be said."""
    if row.low is None or row.high is None:
        return "no interval"
    p = row.p if row.p_holm is None else row.p_holm
    if p >= ALPHA or row.low <= 0 <= row.high:
        return "cannot be told apart"
    return "higher" if row.value > 0 else "lower"


def judged(row: DifferenceRow, metric: MetricRow) -> Literal["better", "worse", "open"]:
    """Whether a difference is for the better or the worse; "open" if nothing can be said."""
    found = finding(row)
    if found not in ("higher", "lower") or metric.better == "neither":
        return "open"
    return "better" if found == metric.better else "worse"


def verdict(row: DifferenceRow, metric: MetricRow) -> str:
    """The finding for a table: `higher: better`, `cannot be told apart`, and whether the model is shown to be no
    worse."""
    found = finding(row)
    if found in ("higher", "lower"):
        side = judged(row, metric)
        return found if side == "open" else f"{found}: {side}"
    text = str(found)
    apart = row.low is not None and row.high is not None and not row.low <= 0 <= row.high
    if found == "cannot be told apart" and apart and row.p < ALPHA:
        text += " once corrected for all figures"
    if row.not_worse == "not worse":
        text += f"; shown not to be worse by {amount(metric.margin or 0, metric.unit)}"
    return text


def amount(value: float, unit: str, *, signed: bool = False) -> str:
    """A number with its unit: `2 points`, `+0.5 nats a byte`."""
    sign, scaled = "+" if signed else "", 100 * value if unit == "share" else value
    return f"{scaled:{sign}.3g} {'points' if unit == 'share' else unit}".replace("-", "−")


def summary(results: Results, model: str) -> list[str]:
    """Sentences on the primary differences of a model to the reference: the counts, then one sentence for each kind of
    finding."""
    sides: dict[str, dict[str, list[str]]] = {"better": {}, "worse": {}, "open": {}, "none": {}}
    for row in results.differences:
        metric = results.metric(row.task, row.metric)
        if row.model != model or not metric.primary:
            continue
        side = "none" if finding(row) == "no interval" else judged(row, metric)
        told = side in ("better", "worse")
        value = f": {amount(row.value, metric.unit, signed=True)}" if told else ""
        sides[side].setdefault(f"{row.task}/{row.metric}", []).append(f"{row.language}{value}")
    counts = {side: sum(map(len, names.values())) for side, names in sides.items()}
    against = f"{model} against {results.reference}"
    if not any(counts.values()):
        return [f"{against}: no primary figure was measured on both, so nothing can be said."]
    lines = [
        f"{against}, by primary figures ({sum(counts.values())}): better {counts['better']}, worse {counts['worse']},"
        f" cannot be told apart {counts['open']}."
    ]
    said = {
        "better": "Better",
        "worse": "Worse",
        "open": "Cannot be told apart",
        "none": "Too few items for an interval, so that nothing can be said",
    }
    for side, names in sides.items():
        if names:
            listed = [f"{name} ({', '.join(each)})" for name, each in names.items()]
            lines.append(f"{said[side]}: {'; '.join(listed)}.")
    return lines


def recovered(row: RecoveryRow, results: Results) -> str:
    """The share of the true chat model's gain as text, or why there is none."""
    if row.value is None:
        return "its gain cannot be told from 0"
    metric = results.metric(row.task, row.metric)
    if (row.gain < 0) == (metric.better == "higher"):
        return "none: the true chat model is worse than the reference here"
    return f"{shown(row.value, row.low, row.high, 'share')} %"
