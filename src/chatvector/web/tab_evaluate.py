# SPDX-License-Identifier: Apache-2.0
"""The tab *Evaluate*: the quick suite, or a sweep, while one waits; the report in a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from chatvector.evaluate.registry import LANGUAGES, Registry
from chatvector.web.errand import Errand
from chatvector.web.measuring import DEMO, QUICK, SWEEP, Chosen, measure, measure_along, suites
from chatvector.web.parts import failed, framed, key_of, link_to_save, problem, progress_bar, said, status_line
from chatvector.web.visitors import Visitors
from chatvector.web.words import Words

SCALES = "0:1.5:0.25"


def evaluate_tab(visitors: Visitors, registry: Registry, words: Words) -> None:
    """Components and events. Within a Gradio Blocks."""
    models = visitors.models
    scales = along = None
    errands: dict[str, Errand[str]] = {}
    spoken = models.language or ("ko" if models.demo else words.tag)
    with gr.Row():
        suite = gr.Dropdown(suites(registry, models), value=QUICK, label=words.suite, min_width=160, elem_id="suite")
        language = gr.Dropdown(
            list(LANGUAGES), value=spoken if spoken in LANGUAGES else "en", label=words.language, min_width=160
        )
        limit = gr.Number(0, label=words.items, info=words.items_hint, precision=0, min_width=160, elem_id="items")
        if models.live is not None:
            scales = gr.Textbox(
                SCALES,
                label=words.scales,
                info=words.scales_hint,
                lines=1,
                max_lines=1,
                min_width=160,
                elem_id="scales",
            )
    with gr.Row():
        run = gr.Button(words.run_suite, variant="primary", min_width=160, elem_id="run-suite")
        if models.live is not None:
            along = gr.Button(words.run_sweep, min_width=160, elem_id="run-sweep")
        cancel = gr.Button(words.cancel, min_width=100, elem_id="cancel")
    status = status_line("evaluate-status")
    report = gr.HTML(elem_id="report")

    def follow(key: str, begin: Callable[[], Errand[str]]) -> Iterator[tuple[Any, Any]]:
        """Run an errand for the tab with this key, which has one at a time."""
        try:
            errand = begin()
            if (other := errands.get(key)) is not None:
                other.call_off()
            errands[key] = errand
            yield said(words.waiting), ""
            for seen in errand.watch():
                text = words.progress.format(done=seen.done, total=seen.total) if seen.total else words.waiting
                yield progress_bar(f"{text} · {seen.line}" if seen.line else text, seen.done, seen.total), gr.skip()
            if errand.problem is not None:
                yield failed(errand.problem, words), ""
            elif errand.result is None:
                yield said(words.cancelled), ""
            else:
                saved = link_to_save("report.html", "text/html", errand.result.encode(), words.kept_report)
                yield said(), framed(errand.result, words.report) + saved
        except Exception as error:
            yield problem(error, words), ""
        finally:
            errands.pop(key, None)

    def quick(suite: Any, language: Any, limit: Any, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        key = key_of(request)
        yield from follow(
            key, lambda: measure(visitors.require(key), models, registry, Chosen.of(suite, language, limit))
        )

    def sweep(suite: Any, language: Any, limit: Any, scales: str, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        key = key_of(request)

        def begin() -> Errand[str]:
            chosen = Chosen.of(_along(suite, demo=models.demo), language, limit)
            return measure_along(visitors.require(key), models, registry, chosen, scales, words)

        yield from follow(key, begin)

    def call_off(request: gr.Request) -> None:
        if (errand := errands.get(key_of(request))) is not None:
            errand.call_off()

    shared: dict[str, Any] = {
        "outputs": [status, report],
        "show_progress": "hidden",
        "api_visibility": "private",
        "trigger_mode": "once",
    }
    run.click(quick, [suite, language, limit], **shared)
    if along is not None and scales is not None:
        along.click(sweep, [suite, language, limit, scales], **shared)
    cancel.click(call_off, queue=False, show_progress="hidden", api_visibility="private")


def _along(suite: Any, *, demo: bool) -> Any:
    """The quick suite has one set of items; a sweep needs two halves, and has a suite for that."""
    return (DEMO if demo else SWEEP) if suite == QUICK else suite
