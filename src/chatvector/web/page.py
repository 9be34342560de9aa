# SPDX-License-Identifier: Apache-2.0
"""The page in one language: what stands at its head, and its tabs."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

import gradio as gr

from chatvector.evaluate.registry import Registry
from chatvector.web.parts import key_of, said
from chatvector.web.tab_chat import chat_tab
from chatvector.web.tab_evaluate import evaluate_tab
from chatvector.web.tab_recipe import recipe_tab
from chatvector.web.tab_vector import Look, vector_tab
from chatvector.web.visitors import Visitors
from chatvector.web.words import ALL, Words

ARRIVED = """() => {
  const place = "chatvector " + location.pathname, now = window.gradio_config.app_id.toString();
  const before = sessionStorage.getItem(place), draft = sessionStorage.getItem("chatvector draft") ?? "";
  sessionStorage.setItem(place, now);
  sessionStorage.removeItem("chatvector draft");
  for (const side of document.querySelectorAll(".side")) {
    side.querySelector("[role=log]").ariaLabel = side.querySelector("label").innerText;
  }
  return [%s[before === null || before === now ? 0 : 1], document.querySelector("#message textarea").value || draft];
}"""
"""Gradio loads the page anew when a server comes back that broke off a reply: the browser's tab knows of the last, and
what was typed there (page.js). Gradio gives all conversations one name: each gets that of its model."""


def build(visitors: Visitors, registry: Registry, look: Look | None, words: Words, prompts: Sequence[str]) -> gr.Blocks:
    """The page. `prompts` are offered as first messages; `look` is of the live merge, where there is one."""
    recipe = visitors.models.recipe

    def arrive(request: gr.Request) -> None:
        visitors.get(key_of(request))

    def leave(request: gr.Request) -> None:
        visitors.leave(key_of(request))

    with gr.Blocks(title="chatvector", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(head(visitors, words))
        with gr.Tabs():
            with gr.Tab(words.chat, id="chat") as tab:
                status, box = chat_tab(tab, visitors, words, prompts)
            if look is not None:
                with gr.Tab(words.vector, id="vector") as tab:
                    vector_tab(tab, look, words)
            with gr.Tab(words.evaluate, id="evaluate"):
                evaluate_tab(visitors, registry, words)
            if recipe is not None:
                with gr.Tab(words.recipe, id="recipe") as tab:
                    recipe_tab(tab, visitors, recipe, words)
        page.load(arrive, api_visibility="private", show_progress="hidden")
        page.load(None, None, [status, box], js=ARRIVED % json.dumps([said(), said(words.restarted)]))
        page.unload(leave)
    # The models, not the queue, decide who has to wait.
    return page.queue(default_concurrency_limit=None)


def head(visitors: Visitors, words: Words) -> str:
    """Title, what one talks to and the memory it takes, and the other languages."""
    models = visitors.models
    if models.recipe is not None and models.pair:
        about = words.pair.format(target=models.recipe.target)
    else:
        about = words.alone.format(name=", ".join(speaker.name for speaker in models.speakers))
    links = "".join(
        f'<a href="../{other.tag}/" lang="{other.tag}" hreflang="{other.tag}"'
        f"{' aria-current=page' if other is words else ''}>{other.own_name}</a>"
        for other in ALL
    )
    return (
        f'<header class="page-head" lang="{words.tag}"><h1>chatvector</h1>'
        f'<p title="{html.escape("; ".join(models.memory))}">{html.escape(about)}</p>'
        f'<nav aria-label="{html.escape(words.languages)}">{links}</nav></header>'
    )
