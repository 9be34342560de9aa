# SPDX-License-Identifier: Apache-2.0
"""The tab *Vector*: looked at when somebody first opens it, once for everybody."""

from __future__ import annotations

import threading

import gradio as gr

from chatvector.messages import silent
from chatvector.recipe import Recipe
from chatvector.web.parts import problem, said, status_line
from chatvector.web.vector_view import View, as_html, view
from chatvector.web.words import Words


class Look:
    """The view of a recipe's vector, made when it is first asked for."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._lock = recipe, threading.Lock()
        self._view: View | None = None

    def take(self) -> View:
        """The view. Raises what `view` raises; the next one who asks tries again."""
        with self._lock:
            if self._view is None:
                self._view = view(self._recipe, silent)
            return self._view


def vector_tab(tab: gr.Tab, look: Look, words: Words) -> None:
    """Components and events, within `tab`."""
    status = status_line("vector-status")
    shown = gr.HTML(elem_id="vector", elem_classes="plot")

    def open_it() -> tuple[str, str]:
        try:
            return said(), as_html(look.take(), words)
        except Exception as error:
            return problem(error, words), ""

    tab.select(open_it, None, [status, shown], show_progress="minimal", api_visibility="private")
