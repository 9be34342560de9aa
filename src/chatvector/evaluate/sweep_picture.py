# SPDX-License-Identifier: Apache-2.0
"""The curves of a sweep, drawn from its document: the figure of merit on both halves, and its parts. Needs `[plot]`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from chatvector.errors import MissingExtra
from chatvector.evaluate.sweep_report import ITEMS
from chatvector.inspection.picture import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which most people can tell apart; every line also has its own marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
MARKS = ("o", "s", "^", "D", "v", "P", "X")

METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


def render(told: Mapping[str, Any], kind: Literal["svg", "png"] | str) -> bytes:
    """The picture of a `sweep.json`; the same document gives the same bytes. Raises MissingExtra without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("plot", "Drawing curves") from error
    scales = [point["scale"] for point in told["scales"]]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for number, (half, label) in enumerate(ITEMS.items()):
            _line(left, scales, [point[half]["merit"] for point in told["scales"]], number, label)
        left.set_title("Figure of merit")
        for number, part in enumerate(told["weights"]):
            _line(right, scales, [point["test"]["parts"][part] for point in told["scales"]], number, part, bars=True)
        right.set_title("Its parts, test items (95 % intervals)")
        for axes in (left, right):
            axes.axvline(told["chosen"], color="#444444", linewidth=0.8, linestyle=":")
            axes.set_xlabel("scale")
            axes.set_ylim(-3, 103)
            axes.legend(loc="lower right" if axes is left else "best")
        left.set_ylabel("% of the best possible (95 % intervals)")
        left.annotate(f" chosen: {told['chosen']:g}", (told["chosen"], 22), ha="left", fontsize=8, color="#444444")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=200, metadata=METADATA[kind])
    return buffer.getvalue()


def _line(
    axes: Axes,
    scales: Sequence[float],
    points: Sequence[Mapping[str, Any]],
    number: int,
    label: str,
    *,
    bars: bool = False,
) -> None:
    """Draw a curve with its intervals, as a band or (`bars`) as vertical bars, which stay readable where curves
    cross."""
    colour = COLOURS[number % len(COLOURS)]
    values = [100 * point["value"] for point in points]
    axes.plot(scales, values, color=colour, marker=MARKS[number % len(MARKS)], markersize=4, label=label)
    ends = [(point["low"], point["high"]) for point in points]
    if any(low is None for low, _ in ends):
        return
    if bars:
        axes.vlines(
            [scale + 0.004 * number * (scales[-1] - scales[0]) for scale in scales],
            [100 * low for low, _ in ends], [100 * high for _, high in ends], color=colour, linewidth=0.8, alpha=0.6,
        )  # fmt: skip
    else:
        axes.fill_between(
            scales,
            [100 * low for low, _ in ends],
            [100 * high for _, high in ends],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
