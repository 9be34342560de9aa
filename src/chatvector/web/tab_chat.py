# SPDX-License-Identifier: Apache-2.0
"""The tab *Chat*: one message, every model's answer, and the knob."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from chatvector.web.bubbles import columns
from chatvector.web.parts import key_of, problem, said, status_line
from chatvector.web.sentences import PageError
from chatvector.web.sliders import Sliders
from chatvector.web.visitors import Models, Visitor, Visitors
from chatvector.web.words import Words

SIDE_HEIGHT = 420
"""Of a conversation, in pixels; a phone has its own, see page.css."""


def chat_tab(tab: gr.Tab, visitors: Visitors, words: Words, prompts: Sequence[str]) -> tuple[gr.HTML, gr.Textbox]:
    """The components, and what happens when they are used, within `tab`; the line where sentences appear, and the box
    where a message is typed."""
    models = visitors.models
    with gr.Row():
        sides = [
            gr.Chatbot(
                label=_label(words, models, place),
                height=SIDE_HEIGHT,
                elem_id=f"side-{place}",
                elem_classes="side",
                min_width=280,
                allow_tags=False,
                latex_delimiters=[],
                render_markdown=False,  # a target's lines that begin with > or - are no quotes and lists
                buttons=["copy"],
                feedback_options=None,
                layout="bubble",
            )
            for place, speaker in enumerate(models.speakers)
        ]
    with gr.Row(equal_height=True):
        box = gr.Textbox(
            label=words.message, placeholder=words.ask, lines=1, max_lines=6, scale=6, min_width=240,
            autofocus=True, elem_id="message",
        )  # fmt: skip
        send = gr.Button(words.send, variant="primary", min_width=90, elem_id="send")
        stop = gr.Button(words.stop, min_width=90, elem_id="stop")
        again = gr.Button(words.again, min_width=120, elem_id="again")
    status = status_line("chat-status")
    if prompts:
        gr.Examples([[prompt] for prompt in prompts], inputs=[box], label=words.samples, api_visibility="private")
    sliders = None if models.live is None else Sliders(visitors, models.live, words)
    usual = visitors.sampling
    with gr.Accordion(words.settings, open=False):
        system = gr.Textbox(visitors.system or "", label=words.system, lines=1, max_lines=4, elem_id="system")
        with gr.Row():
            settings = [
                gr.Number(usual.temperature, label=words.temperature, step=0.1),
                gr.Number(usual.top_p, label=words.top_p, step=0.05),
                gr.Number(usual.seed, label=words.seed, precision=0),
                gr.Number(usual.max_new_tokens, label=words.limit, precision=0, elem_id="limit"),
            ]

    knob = [] if sliders is None else sliders.all
    stay = [gr.skip() for _ in knob]

    def arrived(request: gr.Request) -> tuple[Visitor, str, list[Any]]:
        """Who asks, what they are told, and where the knob stands: at the first scales for whom nothing is known of."""
        visitor = visitors.find(key_of(request))
        if visitor is not None:
            return visitor, said(), stay
        visitor = visitors.get(key_of(request))
        return visitor, said(words.restarted), [] if sliders is None else sliders.at(visitor.rules())

    def ask(
        request: gr.Request, message: str, shown: list[Any], system: str, temperature: Any, top_p: Any, seed: Any,
        limit: Any, *scales: Any,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        visitor, line, at = arrived(request)
        if shown and not visitor.exchanges:
            line = said(words.restarted)
        try:
            visitor.settle(system=system, temperature=temperature, top_p=top_p, seed=seed, limit=limit)
            if sliders is not None and at is stay:
                at = sliders.follow(visitor, scales)
            cleared: Any = ""
            for state in visitor.ask(message):
                over = all(column.done for column in state)
                if over and visitors.ended:
                    line = problem(PageError("server_ended"), words)
                # In between the line answers other buttons, and the next message may be typed already.
                yield cleared, *columns(visitor, words), line if cleared == "" or over else gr.skip(), *at
                cleared, at = gr.skip(), stay
        except Exception as error:
            at = stay if sliders is None else sliders.at(visitor.rules(), gr.skip())
            yield gr.skip(), *columns(visitor, words), problem(error, words), *at

    def end(request: gr.Request) -> None:
        if (visitor := visitors.find(key_of(request))) is not None:
            visitor.stop()

    def forget(request: gr.Request) -> tuple[Any, ...]:
        visitor, line, at = arrived(request)
        try:
            visitor.reset()
        except Exception as error:
            line = problem(error, words)
        return *columns(visitor, words), line, *at

    def look(request: gr.Request, shown: list[Any], *shown_knob: Any) -> tuple[Any, ...]:
        """A page that was only just opened has nothing to be told."""
        known = visitors.find(key_of(request)) is not None
        found = forget(request) if not known else ()
        at = found[len(sides) + 1 :]
        if known or (not shown and list(shown_knob) == list(at[:-1])):
            return *(gr.skip() for _ in sides), gr.skip(), *stay
        return found

    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on(
        [box.submit, send.click],
        ask,
        [box, sides[0], system, *settings, *([] if sliders is None else sliders.scales)],
        [box, *sides, status, *knob],
        preprocess=False,  # numbers out of range get our own sentences
        trigger_mode="multiple",  # what is sent during a reply is refused aloud
        **hidden,
    )
    stop.click(end, queue=False, **hidden)
    gr.on([again.click, *(side.clear for side in sides)], forget, None, [*sides, status, *knob], **hidden)
    tab.select(look, [sides[0], *knob[:-1]], [*sides, status, *knob], preprocess=False, **hidden)
    return status, box


def _label(words: Words, models: Models, place: int) -> str:
    name = models.speakers[place].name
    return (words.before, words.after)[place].format(name=name) if models.pair else name
