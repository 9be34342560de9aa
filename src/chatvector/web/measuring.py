# SPDX-License-Identifier: Apache-2.0
"""Evaluations and sweeps of the models that the page has loaded, each as an HTML document.

They share the models with the conversations: a reply waits for the batch that is being written, no longer.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chatvector.evaluate.registry import LANGUAGES, Registry
from chatvector.evaluate.report.document import document as report_document
from chatvector.evaluate.report.html import html as report_html
from chatvector.evaluate.request import Model, Request
from chatvector.evaluate.run import evaluate
from chatvector.evaluate.saving import open_cache
from chatvector.evaluate.sweep import Wanted, parse_scales, sweep
from chatvector.evaluate.sweep_picture import render
from chatvector.evaluate.sweep_report import document as sweep_document
from chatvector.runtime.backend import Backend
from chatvector.runtime.live_view import LiveView
from chatvector.web.errand import Errand
from chatvector.web.plot_words import in_words, translated
from chatvector.web.recipes import parents_and_rest
from chatvector.web.sentences import PageError
from chatvector.web.visitors import Models, Visitor
from chatvector.web.words import Words

QUICK, SWEEP, DEMO = "quick", "sweep", "demo"
"""Suites: what is measured at once, along the scale, and either for the embedded trio."""


@dataclass(frozen=True)
class Chosen:
    """What to ask.

    Attributes:
        suite: a name of the registry's suites.
        limit: items a task, of a sweep a task and half; None: as the suite says.
    """

    suite: str
    language: str
    limit: int | None

    @classmethod
    def of(cls, suite: object, language: object, limit: object) -> Chosen:
        """From the page's fields; an empty or zero limit is none. Raises UsageError for a number below 0 and for a
        language that no task speaks."""
        if language not in LANGUAGES:
            raise PageError("unknown_language", value=repr(language), known=", ".join(LANGUAGES))
        if limit is not None and (not isinstance(limit, int | float) or limit < 0 or limit != int(limit)):
            raise PageError("not_a_count", value=repr(limit))
        return cls(str(suite), str(language), int(limit) or None if limit else None)


def measure(visitor: Visitor, models: Models, registry: Registry, chosen: Chosen) -> Errand[str]:
    """Evaluate all models, the merge at the visitor's present scales; the report as one HTML document."""
    asked = [(_name(models, visitor, place), one) for place, one in enumerate(_backends(visitor))]

    def work(errand: Errand[str]) -> str:
        jobs = registry.choose([chosen.language], suite=chosen.suite, limit=chosen.limit)
        request = Request(
            models=tuple(Model(name, lambda one=one: _lent(one)) for name, one in asked),
            jobs=tuple(jobs),
            riders=registry.make_riders(),
            limit=chosen.limit,
            suite=chosen.suite,
        )
        with open_cache(None, errand.say) as cache:
            found = evaluate(request, cache=cache, progress=errand, say=errand.say)
        records = {
            (task.name, task.language): [json.loads(line) for line in found.items[task.items_file].split("\n") if line]
            for task in found.results.tasks
            if task.items_file is not None
        }
        return report_html(report_document(found.results, records), found.results.chatvector)

    return Errand(work)


def measure_along(
    visitor: Visitor, models: Models, registry: Registry, chosen: Chosen, scales: str, words: Words
) -> Errand[str]:
    """Sweep the scale of the merge; curves, table and answer as one HTML document.

    Raises UsageError for scales that cannot be read, and where no vector is loaded.
    """
    if visitor.live is None or models.recipe is None:
        raise PageError("nothing_to_sweep")
    tried = parse_scales(scales)
    live, recipe = LiveView.of(visitor.live), models.recipe

    def work(errand: Errand[str]) -> str:
        wanted = Wanted(
            scales=tried,
            jobs=tuple(registry.choose([chosen.language], suite=chosen.suite, limit=chosen.limit)),
            riders=registry.make_riders(),
            limit=chosen.limit,
            suite=chosen.suite,
        )

        @contextmanager
        def meter(_stage: str) -> Iterator[Errand[str]]:
            yield errand

        with open_cache(None, errand.say) as cache:
            found = sweep(live, wanted, cache=cache, meters=meter, say=errand.say)
        return sweep_html(sweep_document(found, parents_and_rest(recipe)), words)

    return Errand(work)


def sweep_html(told: Mapping[str, Any], words: Words) -> str:
    """A `sweep.json` as a page of its own."""
    rows = "".join(
        f'<tr{" class=chosen" if point["scale"] == told["chosen"] else ""}><th scope="row">{point["scale"]:g}</th>'
        + "".join(f"<td>{_merit(point[half]['merit'])}</td>" for half in ("development", "test"))
        + "".join(f"<td>{100 * point['test']['parts'][part]['value']:.0f}</td>" for part in told["weights"])
        + "</tr>"
        for point in told["scales"]
    )
    heads = "".join(
        f'<th scope="col">{html.escape(title)}</th>'
        for title in (
            words.scale,
            in_words("merit, to choose on", words),
            in_words("merit, test", words),
            *(in_words("{}, test", words).format(part) for part in told["weights"]),
        )
    )
    warnings = "".join(f"<li>{html.escape(line)}</li>" for line in told["warnings"])
    curves = render(told, "svg").decode()
    return (
        f'<!doctype html><html lang="{words.tag}"><meta charset="utf-8"><title>sweep</title><style>{_STYLE}</style>'
        f'<p lang="en"><strong>{html.escape(told["answer"])}</strong></p>'
        f"<pre>{html.escape(told['apply'])}</pre>"
        f"{translated(curves[curves.index('<svg') :], words)}"
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<p>{html.escape(in_words('% of the best possible, 95 % intervals.', words))}</p>"
        + (f'<ul lang="en">{warnings}</ul>' if warnings else "")
        + "</html>"
    )


_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem; }
svg { width: 100%; height: auto; background: #fff; border-radius: 6px; }
pre { white-space: pre-wrap; padding: .5rem .75rem; border: 1px solid #8885; border-radius: 6px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #8884; font-variant-numeric: tabular-nums; }
.chosen { font-weight: 700; background: #8882; }
@media (prefers-color-scheme: dark) { svg { filter: invert(.9) hue-rotate(180deg); } }
"""


def suites(registry: Registry, models: Models) -> list[str]:
    """Suites that the page offers, the usual one first."""
    return [QUICK, SWEEP, *([DEMO] if models.demo and DEMO in registry.suites else [])]


def _merit(one: Mapping[str, float | None]) -> str:
    value, low, high = (None if one[key] is None else 100 * (one[key] or 0) for key in ("value", "low", "high"))
    shown = "–" if value is None else f"{value:.0f}"
    return shown if low is None or high is None else f"{shown} ({low:.0f}–{high:.0f})"


def _backends(visitor: Visitor) -> list[Backend]:
    """What is asked: views of their own, so that the knob may be turned meanwhile."""
    return [
        LiveView.of(one.backend) if isinstance(one.backend, LiveView) else one.backend
        for one in visitor.session.speakers
    ]


def _name(models: Models, visitor: Visitor, place: int) -> str:
    speaker = visitor.session.speakers[place]
    if speaker.scale is None or models.recipe is None:
        return speaker.name
    return f"{models.recipe.target} + {speaker.scale.replace(', ', ' ')}·τ"


@contextmanager
def _lent(backend: Backend) -> Iterator[Backend]:
    """A model that is loaded already, and stays so."""
    yield backend
