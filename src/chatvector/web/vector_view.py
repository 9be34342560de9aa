# SPDX-License-Identifier: Apache-2.0
"""What the tab *Vector* shows: sizes and cosines by layer as pictures, and what the lineage check says.

The figures are those of `inspect` and `check`. Large models are looked at by the fixed sample.
"""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from chatvector.arithmetic.stored import StoredVector
from chatvector.checking import Check, check_models
from chatvector.checks.geometry import CORRELATION, Geometry, Products
from chatvector.inspection.picture import STYLE, render_panels
from chatvector.inspection.subject import of_pair, of_vector
from chatvector.inspection.survey import bytes_to_read, survey
from chatvector.messages import Say
from chatvector.preparation import open_model
from chatvector.recipe import Recipe
from chatvector.web.plot_words import translated
from chatvector.web.words import Words

WHOLE_BYTES = 256 << 20
"""Vectors that are read whole; larger ones are estimated from the sample."""


@dataclass(frozen=True)
class View:
    """Pictures by name (`sizes`, `cosines`, `lineage`), SVG in English without what stands before its root; and the
    verdict, None for a vector on disk."""

    pictures: Mapping[str, str]
    check: Check | None
    notes: tuple[str, ...] = field(default=())


def view(recipe: Recipe, say: Say) -> View:
    """Read the first vector of `recipe`, and compare it with the target where base and chat are at hand.

    Raises what opening and reading raise, and IncompatibleParents for shapes that differ.
    """
    spec = recipe.vectors[0]
    with ExitStack() as stack:
        check = None
        if spec.vector is not None:
            vector = StoredVector(Path(spec.vector), spec.vector)
            stack.callback(vector.close)
            subject = of_vector(vector)
        else:
            assert spec.base is not None
            assert spec.chat is not None
            base, chat, target = (
                open_model(name, stack, say, stream=recipe.stream) for name in (spec.base, spec.chat, recipe.target)
            )
            subject = of_pair(base, chat)
            check = check_models(base, chat, target)
        document = survey(subject, sample=bytes_to_read(subject) > WHOLE_BYTES).as_dict()
    pictures = {name: _bare(data.decode()) for name, data in render_panels(document).items()}
    if check is not None and check.lineage is not None and check.lineage.geometry.layers:
        pictures["lineage"] = _bare(draw_lineage(check.lineage.geometry).decode())
    return View(pictures, check, subject.notes)


def draw_lineage(geometry: Geometry) -> bytes:
    """SVG: by layer the cosine of chat − base and target − base, and that over all layers; the band is what two honest
    arrows may share (two standard deviations of the prior)."""
    import matplotlib
    from matplotlib.figure import Figure

    layers = sorted(geometry.layers)
    values = [geometry.layers[layer].cosine for layer in layers]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.axhspan(-2 * CORRELATION, 2 * CORRELATION, color="#009E73", alpha=0.12, linewidth=0, label="unrelated")
        axes.axhline(0, color="#bbbbbb", linewidth=0.8)
        axes.axhline(
            geometry.total.cosine, color="#555555", linestyle="--", linewidth=1,
            label=f"all that count: {geometry.total.cosine:+.3f}",
        )  # fmt: skip
        axes.plot(layers, values, color="#0072B2", marker="o", markersize=4, linewidth=1.4, label="layer")
        span = max(0.3, *(abs(value) * 1.15 for value in [*values, geometry.total.cosine]))
        axes.set_ylim(-span, span)
        axes.set_title("Is the vector in the target?")
        axes.set_xlabel("layer")
        axes.set_xticks(layers[:: max(1, -(-len(layers) // 9))])
        axes.set_ylabel("cos(chat − base, target − base)")
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.17), ncols=3, handlelength=1.5, columnspacing=1.0)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def as_html(found: View, words: Words) -> str:
    """The verdict and the pictures."""
    captions = {"sizes": words.sizes, "cosines": words.cosines, "lineage": words.lineage}
    figures = "".join(
        f'<figure><figcaption>{html.escape(captions[name])}</figcaption><div role="img"'
        f' aria-label="{html.escape(captions[name])}">{translated(picture, words)}</div></figure>'
        for name, picture in found.pictures.items()
    )
    return f'{_verdict(found, words)}<div class="pictures">{figures}</div>'


def _verdict(found: View, words: Words) -> str:
    if found.check is None:
        return f'<p class="verdict">{html.escape(words.no_parents)}</p>'
    check = found.check
    head = words.verdict_fine
    if check.refused:
        head = words.verdict_refused
    elif check.warnings:
        head = words.verdict_warning
    lines = [*check.refusals, *check.warnings, *found.notes]
    figures = "" if check.lineage is None else _figures(check.lineage.geometry.total)
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    name = "" if check.lineage is None else f": {check.lineage.verdict}"
    return (
        f'<div class="verdict"><strong>{html.escape(head + name)}</strong> {figures}'
        + (f"<ul>{listed}</ul>" if listed else "")
        + "</div>"
    )


def _figures(products: Products) -> str:
    total = products.as_dict()
    shown = [
        f"|chat − base| / |base| {total['tau_over_base']:.4f}" if total["tau_over_base"] is not None else "",
        f"|target − base| / |base| {total['drift_over_base']:.4f}" if total["drift_over_base"] is not None else "",
        f"cos {total['cosine']:+.3f}",
    ]
    return f"<small>({html.escape('; '.join(part for part in shown if part))})</small>"


def _bare(svg: str) -> str:
    """An SVG file as part of a page: without the XML declaration. Its ids are hashes of what they stand for: equal ones
    in two pictures mean the same."""
    return svg[svg.index("<svg") :]
