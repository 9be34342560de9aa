# SPDX-License-Identifier: Apache-2.0
"""A survey as a figure for a paper: sizes by layer, cosines between layers, energy at a rank. Needs `[plot]`.

Drawn from the document of `Survey.as_dict`, so that a stored `--json` can be drawn again.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 200
FONT = "DejaVu Sans"
# matplotlib's own font of boxes, which claims every letter.
BOXES = "Last Resort"
# Okabe and Ito's colours, told apart by most people, and by their lightness in print.
COLOURS = {
    "attention": "#0072B2",
    "mlp": "#D55E00",
    "norm": "#009E73",
    "expert": "#CC79A7",
    "router": "#E69F00",
    "bias": "#56B4E9",
    "embedding": "#555555",
    "head": "#999999",
}
# Of logarithmic axes: largest over smallest value, and the steps within a decade that are labelled below it.
_STEPS = ((6, (1, 2, 3, 4, 5, 6, 7, 8, 9)), (30, (1, 2, 3, 5, 7)), (1000, (1, 2, 5)))
MARKERS = {"attention": "o", "mlp": "s", "norm": "^", "expert": "D", "router": "v", "bias": "x"}
STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "chatvector",
}


Panel = Callable[["Axes", Mapping[str, Any], "Figure"], None]


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Draw a survey and write it to `path`.

    Args:
        document: of `Survey.as_dict`.
        path: ends with .png, .svg or .pdf; an existing file is replaced.

    Letters of `missing_letters` become boxes in PNG and PDF; an SVG leaves them to whoever shows it.
    Raises UsageError for another ending or a model without layers, MissingExtra without matplotlib.
    """
    require_format(path)
    if not document["layers"]:
        raise UsageError(f"{path}: nothing to draw, none of the tensors belongs to a layer")
    data = render(document, path.suffix.lower().removeprefix("."))
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def require_format(path: Path) -> None:
    """Raise UsageError for an ending that is none of `FORMATS`, MissingExtra without matplotlib."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: a picture's name ends with {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra("plot", "Drawing pictures") from error


def render(document: Mapping[str, Any], kind: str) -> bytes:
    """The figure as the bytes of a file: `kind` is png, svg or pdf. The same document gives the same bytes."""
    panels: list[Panel] = [_sizes]
    if document["layer_cosines"]["all"] is not None:
        panels.append(_cosines)
    if any(layer["energy"] is not None for layer in document["layers"].values()):
        panels.append(_energies)
    if len(panels) == 1:
        panels.append(_bytes)
    return _figure(document, panels, kind, _title(document))


def render_panels(document: Mapping[str, Any]) -> dict[str, bytes]:
    """The panels that a survey has of `sizes` and `cosines`, each an SVG of its own, without a title above."""
    panels: dict[str, Panel] = {"sizes": _sizes}
    if document["layer_cosines"]["all"] is not None:
        panels["cosines"] = _cosines
    return {name: _figure(document, [panel], "svg", None) for name, panel in panels.items()}


def missing_letters(document: Mapping[str, Any]) -> str:
    """The letters of the models' names that no installed font has, each once."""
    return _fallback(_title(document))[1]


def _fallback(text: str) -> tuple[list[str], str]:
    """Installed fonts that have the letters which ours lacks, by the alphabet; and the letters that none has."""
    from matplotlib.font_manager import findfont, fontManager

    files = {entry.name: entry.fname for entry in fontManager.ttflist if not entry.name.startswith(BOXES)}
    lacking = set(text) - _letters(findfont(FONT))
    chosen: list[str] = []
    for name in sorted(files) if lacking else ():
        left = lacking - _letters(files[name])
        if left != lacking:
            chosen.append(name)
            lacking = left
    return chosen, "".join(letter for letter in dict.fromkeys(text) if letter in lacking)


def _letters(font: str) -> set[str]:
    """What a font file has; nothing where it cannot be read."""
    from matplotlib.font_manager import get_font

    try:
        return set(map(chr, get_font(font).get_charmap()))
    except (OSError, RuntimeError):
        return set()


def _figure(document: Mapping[str, Any], panels: Sequence[Panel], kind: str, title: str | None) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    family = [FONT, *_fallback(title or "")[0]]
    with matplotlib.rc_context({**STYLE, "font.family": family}), warnings.catch_warnings():
        # `missing_letters` says it in words of ours.
        warnings.filterwarnings("ignore", "Glyph .* missing from font|Matplotlib currently does not support")
        figure = Figure(figsize=(3.9 * len(panels), 3.4), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False, gridspec_kw={"wspace": 0.08})
        for axes, panel in zip(grid[0], panels, strict=True):
            panel(axes, document, figure)
        if title is not None:
            figure.suptitle(title, fontsize=10, x=0.01, ha="left", color="#444444", parse_math=False)
        buffer = io.BytesIO()
        # No date and no version: the same figures make the same file.
        metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
        figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
    return buffer.getvalue()


def _title(document: Mapping[str, Any]) -> str:
    names = [Path(name).name if "/" in name and not name.startswith("demo:") else name for name in document["names"]]
    subject = f"{names[1]} − {names[0]}" if document["kind"] == "pair" else names[0]
    return f"{subject}  (estimated from a sample)" if document["sampled"] else subject


def _layers(document: Mapping[str, Any]) -> list[int]:
    return [int(layer) for layer in document["layers"]]


def _sizes(axes: Axes, document: Mapping[str, Any], _figure: Figure) -> None:
    """Norm of τ over that of base, or the root mean square where there is no base, by layer and role."""
    key = "relative" if document["kind"] == "pair" else "rms"
    layers = _layers(document)
    for role, colour in COLOURS.items():
        values = [document["layers"][str(layer)]["roles"].get(role, {}).get(key) for layer in layers]
        if any(value is not None for value in values):
            points = [float("nan") if value is None else value for value in values]
            axes.plot(layers, points, label=role, **_line(role, layers))
        elif document["roles"].get(role, {}).get(key) is not None:
            axes.axhline(document["roles"][role][key], color=colour, linestyle="--", linewidth=1, label=role)
    if key == "relative":
        axes.set_title("Size of the chat vector")
        axes.set_ylabel("‖chat − base‖ / ‖base‖")
        axes.set_ylim(bottom=0)
    else:
        axes.set_title("Size of the weights" if document["kind"] == "checkpoint" else "Size of the chat vector")
        axes.set_ylabel("root mean square")
        _logarithmic(axes)
    _layer_axis(axes, layers)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    _legend(axes)


def _cosines(axes: Axes, document: Mapping[str, Any], figure: Figure) -> None:
    """Cosines between layers, the diagonal (1) left grey; colours span what the others need, at least ±0.1."""
    import numpy as np
    from matplotlib import colormaps

    values = np.array(document["layer_cosines"]["all"])
    apart = values[~np.eye(len(values), dtype=bool)]
    span = max(0.1, float(np.ceil(np.abs(apart).max() * 20) / 20))
    shown = np.where(np.eye(len(values), dtype=bool), np.nan, values)
    layers = document["layer_cosines"]["layers"]
    edges = (layers[0] - 0.5, layers[-1] + 0.5)
    colours = colormaps["RdBu_r"].with_extremes(bad="#d9d9d9")
    picture = axes.imshow(
        shown, cmap=colours, vmin=-span, vmax=span, origin="lower", extent=(*edges, *edges), aspect="auto"
    )
    axes.set_title("Cosine between layers")
    _layer_axis(axes, layers)
    axes.set_ylabel("layer")
    axes.set_yticks(_ticks(layers))
    bar = figure.colorbar(picture, ax=axes, pad=0.03)
    bar.outline.set_visible(False)  # type: ignore[operator]


def _energies(axes: Axes, document: Mapping[str, Any], _figure: Figure) -> None:
    """Energy at the rank by layer and role; a band where it lies between two bounds."""
    layers = _layers(document)
    rank = 0
    for role, colour in COLOURS.items():
        found = [document["layers"][str(layer)]["roles"].get(role, {}).get("energy") for layer in layers]
        if not any(found):
            continue
        low = [float("nan") if one is None else 100 * one["low"] for one in found]
        high = [float("nan") if one is None else 100 * one["high"] for one in found]
        rank = max(one["rank"] for one in found if one is not None)
        axes.plot(layers, low, label=role, **_line(role, layers))
        if low != high:
            axes.fill_between(layers, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_title(f"Energy at rank {rank}")
    axes.set_ylabel("% of the squared norm")
    axes.set_ylim(0, 100)
    _layer_axis(axes, layers)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    _legend(axes)


def _bytes(axes: Axes, document: Mapping[str, Any], _figure: Figure) -> None:
    """What the file's bytes are spent on."""
    roles = sorted(document["roles"].items(), key=lambda item: item[1]["bytes"])
    total = sum(figures["bytes"] for _, figures in roles)
    bars = axes.barh(
        [role for role, _ in roles],
        [figures["bytes"] for _, figures in roles],
        color=[COLOURS.get(role, "#bbbbbb") for role, _ in roles],
        height=0.6,
    )
    axes.bar_label(bars, [_share(figures["bytes"], total) for _, figures in roles], padding=3, fontsize=8)
    axes.set_title("Bytes by role")
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.25)


def _share(nbytes: int, total: int) -> str:
    unit, word = next(
        (unit, word) for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")) if nbytes >= unit
    )
    size = f"{nbytes / unit:.3g} {word}"
    return f"{size} ({nbytes / total:.0%})"


def _line(role: str, layers: list[int]) -> dict[str, Any]:
    """Colour and marks of a role; not on every layer where there are many."""
    marks = {"marker": MARKERS.get(role), "markersize": 4, "markevery": max(1, len(layers) // 12)}
    return {"color": COLOURS[role], "linewidth": 1.4, **marks}


def _legend(axes: Axes) -> None:
    """Below the panel, where it hides no line."""
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.17), ncols=4, handlelength=1.5, columnspacing=1.0)


def _layer_axis(axes: Axes, layers: list[int]) -> None:
    axes.set_xlabel("layer")
    axes.set_xticks(_ticks(layers))


def _logarithmic(axes: Axes) -> None:
    """Make the axis of sizes logarithmic unless all are zero; it ends at labelled ticks, more the fewer decades it has.

    matplotlib's own leave the upper half of a decade without, and label powers of ten only where there are several.
    """
    from matplotlib.ticker import FixedLocator, LogFormatterSciNotation, NullLocator

    low, high = float(axes.dataLim.minposy), float(axes.dataLim.y1)
    if not high > 0:
        return
    axes.set_yscale("log")
    steps = next((steps for span, steps in _STEPS if high < span * low), None)
    if steps is None:  # so many decades that their powers of ten are enough
        return
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 2)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    bottom = max(tick for tick in ticks if tick <= low)
    top = min(tick for tick in ticks if tick >= high and tick > bottom)
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if bottom <= tick <= top]))
    axes.yaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(math.inf, math.inf)))
    axes.yaxis.set_minor_locator(NullLocator())


def _ticks(layers: list[int]) -> list[int]:
    """At most nine layers, evenly spaced, the first among them."""
    step = max(1, -(-len(layers) // 9))
    return layers[::step]
