# SPDX-License-Identifier: Apache-2.0
"""Draws charts as SVG inside a page, whose colours they take in the light and the dark theme. Needs `[plot]`.

Colours are Okabe and Ito's, which most people can tell apart; every model also has its own marker and line style.
matplotlib draws with stand-in colours that are replaced by the page's custom properties (`--c0` … `--line`). The same
figures give the same bytes. Models are named at the ends of their lines, in the text colour, which is always readable.
"""

from __future__ import annotations

import io
import re
import warnings
from html import escape
from typing import TYPE_CHECKING, Any

from chatvector.errors import MissingExtra
from chatvector.evaluate.report.blocks import Curves, Forest, Series
from chatvector.evaluate.report.characters import anchor, clipped, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-in colours: each occurs nowhere else in what matplotlib writes.
SERIES = ("#0172b1", "#d65e01", "#019e74", "#cd79a6", "#9a6b01", "#57b4e8")
TEXT, LINE, GROUND = "#010203", "#d1d2d3", "#fefdfc"
PAGE = {TEXT: "currentColor", LINE: "var(--line)", GROUND: "var(--ground)"} | {
    colour: f"var(--c{number})" for number, colour in enumerate(SERIES)
}
MARKS = ("o", "s", "^", "D", "v", "P", "X")
STROKES = ("-", "--", "-.", ":", (0, (6, 1.5)))
WIDTH = 5.0
"""Width of a chart in inches, each 72 units of the picture: as wide as a page on a phone, so that letters keep their
size there."""
NAME = 16
"""Most characters of a model's name in a chart."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "text.parse_math": False,
}


def require_plot() -> None:
    """Raise MissingExtra without matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra("plot", "Drawing a report's charts") from error


def svg(chart: Curves | Forest) -> str:
    """The chart as an `svg` element with title and description. Raises MissingExtra."""
    require_plot()
    import matplotlib

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": chart.id}), warnings.catch_warnings():
        # The page's own fonts draw the letters; matplotlib's only measures them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = _curves(chart) if isinstance(chart, Curves) else _forest(chart)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(buffer.getvalue(), chart)


def _for_page(text: str, chart: Curves | Forest) -> str:
    """The picture as an element of a page: without the file's own head, metadata and style sheet, and in the page's
    colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style .*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    for stand_in, colour in PAGE.items():
        text = text.replace(stand_in, colour)
    text = text.replace("font: 10px 'DejaVu Sans'", "font-size: 10px").replace("'DejaVu Sans'", "sans-serif")
    # Ids must differ between charts of one page.
    own = anchor(chart.id)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{own}-", text)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    head = (
        f'<svg {box[0]} role="img" aria-labelledby="{own}-title {own}-desc">'
        f'<title id="{own}-title">{escape(one_line(chart.caption))}</title>'
        f'<desc id="{own}-desc">{escape(one_line(chart.description))}</desc>'
    )
    return head + text[text.index(">") + 1 :].strip()


def _look(series: Series) -> dict[str, Any]:
    """Colour and marker of a model."""
    number = series.number
    return {"color": SERIES[number % len(SERIES)], "marker": MARKS[number % len(MARKS)]}


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    return figure, axes


def _curves(chart: Curves) -> Figure:
    height = 3.1
    figure, axes = _figure(height)
    figure.subplots_adjust(left=0.12, right=0.73, top=0.95, bottom=0.17)
    places = sorted({point.x for series in chart.series for point in series.points})
    width = (places[-1] - places[0]) or 1
    for order, series in enumerate(chart.series):
        # Shifted sideways, so that the intervals of different models do not cover each other.
        shift = (order - (len(chart.series) - 1) / 2) * width * 0.012
        xs = [point.x + shift for point in series.points]
        look = _look(series)
        stroke = STROKES[series.number % len(STROKES)]
        axes.plot(xs, [point.value for point in series.points], linestyle=stroke, markersize=5, linewidth=1.5, **look)
        for x, point in zip(xs, series.points, strict=True):
            if point.low is not None and point.high is not None:
                axes.plot([x, x], [point.low, point.high], color=look["color"], linewidth=1)
    if chart.percent:
        axes.set_ylim(-4, 104)
        axes.set_yticks([0, 25, 50, 75, 100], ["0 %", "25", "50", "75", "100 %"])
    else:
        axes.margins(y=0.08)
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set_xlabel(chart.x_title)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.tick_params(length=3)
    _name_ends(axes, chart.series)
    return figure


def _name_ends(axes: Axes, series: tuple[Series, ...]) -> None:
    """Write the names to the right of the ends of the lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.075
    ends = sorted(((one.points[-1].value, one) for one in series), key=lambda pair: (pair[0], -pair[1].number))
    heights: list[float] = []
    for value, _ in ends:
        heights.append(max(value, heights[-1] + step) if heights else value)
    over = heights[-1] - max(high - step / 2, ends[-1][0])
    heights = [height - max(over, 0) for height in heights]
    for (value, one), height in zip(ends, heights, strict=True):
        at = (1.05, height)
        look = _look(one)
        frame = axes.get_yaxis_transform()
        axes.plot([1.0, 1.03], [value, height], color=LINE, linewidth=0.7, transform=frame, clip_on=False)
        axes.plot([at[0]], [height], transform=frame, clip_on=False, markersize=5, linestyle="none", **look)
        axes.text(1.085, height, clipped(one.name, NAME), transform=frame, va="center", fontsize=9)


def _forest(chart: Forest) -> Figure:
    lines = sum(1 + len(series) for _, series in chart.groups)
    height = 0.19 * lines + 0.09 * len(chart.groups) + 0.6
    figure, axes = _figure(height)
    figure.subplots_adjust(left=0.25, right=0.97, top=1 - 0.08 / height, bottom=0.5 / height)
    y, top = 0.0, 0.0
    for title, members in chart.groups:
        axes.text(
            -0.33,
            y,
            clipped(title, 62),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            # A background keeps the zero line from running through the words.
            bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 1},
        )
        y -= 1
        for series in members:
            (point,) = series.points
            look = _look(series)
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [y, y], color=look["color"], linewidth=1.5)
            axes.plot([point.value], [y], markersize=5, linestyle="none", **look)
            name = clipped(series.name, 13)
            axes.text(-0.02, y, name, transform=axes.get_yaxis_transform(), va="center", ha="right", fontsize=8.5)
            y -= 1
        y -= 0.45
    axes.axvline(0, color=TEXT, linewidth=0.8)
    axes.set_ylim(y + 0.7, top + 0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_xlabel(clipped(chart.x_title, 60), fontsize=9)
    axes.tick_params(length=3)
    return figure
