# SPDX-License-Identifier: Apache-2.0
"""The tab *Recipe*: what one hears as a command and as YAML, and the button that writes it."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from chatvector import pipeline
from chatvector.recipe import Recipe
from chatvector.sizes import memory_size
from chatvector.web.errand import Errand
from chatvector.web.parts import failed, key_of, link_to_save, problem, progress_bar, said, status_line
from chatvector.web.recipes import FILE, command_line, named_output, recipe_at
from chatvector.web.visitors import Visitors
from chatvector.web.words import Words


def recipe_tab(tab: gr.Tab, visitors: Visitors, recipe: Recipe, words: Words) -> None:
    """Components and events, within `tab`."""
    shown = gr.HTML(as_html(recipe_at(recipe, visitors.first_rules), words), elem_id="recipe")
    with gr.Row(equal_height=True):
        place = gr.Textbox(
            label=words.output, info=words.output_hint, lines=1, max_lines=1, scale=4, min_width=240, elem_id="output"
        )
        write = gr.Button(words.write, variant="primary", min_width=140, elem_id="write")
    status = status_line("recipe-status")

    def present(request: gr.Request) -> tuple[Any, Any]:
        try:
            return as_html(recipe_at(recipe, visitors.require(key_of(request)).rules()), words), said()
        except Exception as error:
            return gr.skip(), problem(error, words)

    def make(place: str, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        try:
            wanted = recipe_at(recipe, visitors.require(key_of(request)).rules(), named_output(place))
        except Exception as error:
            yield gr.skip(), problem(error, words)
            return
        started = time.monotonic()
        errand = merge(wanted)
        for seen in errand.watch():
            yield as_html(wanted, words), progress_bar(seen.line, seen.done, seen.total)
        if errand.problem is not None:
            yield as_html(wanted, words), failed(errand.problem, words)
            return
        told = words.written.format(
            output=wanted.output, size=memory_size(errand.total), seconds=f"{time.monotonic() - started:.1f}"
        )
        yield as_html(wanted, words), said(told)

    tab.select(present, None, [shown, status], show_progress="hidden", api_visibility="private")
    gr.on(
        [write.click, place.submit], make, place, [shown, status],
        show_progress="hidden", api_visibility="private", trigger_mode="once",
    )  # fmt: skip


def merge(recipe: Recipe) -> Errand[pipeline.Result]:
    """The ordinary `apply` of a recipe. Called off, it is continued by the same recipe, as after any interruption."""

    def work(errand: Errand[pipeline.Result]) -> pipeline.Result:
        return pipeline.apply(recipe, progress=lambda job: errand.start(job.plan.bytes_written), say=errand.say)

    return Errand(work)


def as_html(recipe: Recipe, words: Words) -> str:
    """Command and YAML, each to be selected, and the link that saves the file."""
    link = link_to_save(FILE, "application/yaml", recipe.to_yaml().encode(), words.download)
    return (
        f"<p>{html.escape(words.command)}</p>{_block(command_line(recipe), 'command')}"
        f"<p>{html.escape(words.yaml)}</p>{_block(recipe.to_yaml(), 'yaml')}{link}"
    )


def _block(text: str, name: str) -> str:
    return f'<pre class="text {name}" tabindex="0">{html.escape(text.rstrip())}</pre>'
