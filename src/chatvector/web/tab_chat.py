# SPDX-License-Identifier: Apache-2.0
"""The tab *Chat*: one message, every model's answer, and the knob."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from chatvector.arithmetic.roles import Role
from chatvector.arithmetic.scales import ScaleRules
from chatvector.web import knob
from chatvector.web.bubbles import columns
from chatvector.web.parts import key_of, problem, said, status_line
from chatvector.web.visitors import Visitor, Visitors
from chatvector.web.words import Words

SIDE_HEIGHT = 420
"""Of a conversation, in pixels; a phone has its own, see page.css."""


def chat_tab(visitors: Visitors, words: Words, prompts: Sequence[str]) -> None:
    """The components, and what happens when they are used. Within a Gradio Blocks."""
    models = visitors.models
    with gr.Row():
        sides = [
            gr.Chatbot(
                label=_label(words, speaker.name, place, len(models.speakers)),
                height=SIDE_HEIGHT,
                elem_id=f"side-{place}",
                elem_classes="side",
                min_width=280,
                allow_tags=False,
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
    if models.live is not None:
        _knob(visitors, words)
    usual = visitors.sampling
    with gr.Accordion(words.settings, open=False):
        system = gr.Textbox(visitors.system or "", label=words.system, lines=1, max_lines=4, elem_id="system")
        with gr.Row():
            settings = [
                gr.Number(usual.temperature, label=words.temperature, minimum=0, step=0.1),
                gr.Number(usual.top_p, label=words.top_p, minimum=0.01, maximum=1, step=0.05),
                gr.Number(usual.seed, label=words.seed, precision=0),
                gr.Number(usual.max_new_tokens, label=words.limit, minimum=1, precision=0, elem_id="limit"),
            ]

    def ask(
        message: str, shown: list[Any], system: str, temperature: Any, top_p: Any, seed: Any, limit: Any,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        visitor = visitors.find(key_of(request))
        line = said(words.restarted if shown and visitor is None else "")
        visitor = visitor or visitors.get(key_of(request))
        try:
            visitor.settle(system=system, temperature=temperature, top_p=top_p, seed=seed, limit=limit)
            cleared = ""
            for _ in visitor.ask(message):
                yield cleared, *columns(visitor, words), line
                cleared = gr.skip()  # the next message may be typed already
        except Exception as error:
            yield gr.skip(), *columns(visitor, words), problem(error, words)

    def end(request: gr.Request) -> None:
        visitors.get(key_of(request)).stop()

    def forget(request: gr.Request) -> tuple[Any, ...]:
        visitor = visitors.get(key_of(request))
        try:
            visitor.reset()
        except Exception as error:
            return *columns(visitor, words), problem(error, words)
        return *columns(visitor, words), said()

    asked = {
        "fn": ask,
        "inputs": [box, sides[0], system, *settings],
        "outputs": [box, *sides, status],
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    gr.on([box.submit, send.click], **asked, trigger_mode="once")
    stop.click(end, queue=False, show_progress="hidden", api_visibility="private")
    gr.on(
        [again.click, *(side.clear for side in sides)], forget, None, [*sides, status],
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def _label(words: Words, name: str, place: int, count: int) -> str:
    if count == 1:
        return name
    return (words.before, words.after)[place].format(name=name)


def _knob(visitors: Visitors, words: Words) -> None:
    """Sliders for everything and by role, and the line of text; each moves the others."""
    live = visitors.models.live
    assert live is not None
    roles = live.roles
    now = knob.shown(visitors.first_rules, roles)
    span = {"minimum": knob.LOWEST, "maximum": knob.HIGHEST, "step": knob.STEP, "buttons": []}
    whole = gr.Slider(value=now.scale, label=words.scale, info=words.scale_hint, elem_id="scale", **span)
    status = status_line("scale-status")
    with gr.Accordion(words.by_role, open=False):
        with gr.Row():
            parts = [
                gr.Slider(value=scale, label=role, elem_id=f"scale-{role}", min_width=220, **span)
                for role, scale in zip(roles, now.roles, strict=True)
            ]
        line = gr.Textbox(now.text, label=words.rules, info=words.rules_hint, lines=1, max_lines=1, elem_id="rules")
    outputs = [whole, *parts, line, status]

    def moved(visitor: Visitor, wanted: Callable[[ScaleRules], ScaleRules], by: int | None = None) -> list[Any]:
        """Move, and say where everything stands then and how long it took; or why not, and where it still stands.

        `by`: the slider that was moved, which stays as it is: it may be under way again.
        """
        stays = by is not None
        try:
            rules = wanted(visitor.rules())
            change = visitor.move(rules)
            told = said(
                words.moved.format(
                    scale=knob.shown(rules, roles).text, tensors=change.tensors, ms=f"{1000 * change.seconds:.0f}"
                )
            )
        except Exception as error:
            told, stays = problem(error, words), False
        at = knob.shown(visitor.rules(), roles)
        found: list[Any] = [at.scale, *at.roles, at.text, told]
        if stays and by is not None:
            found[by] = gr.skip()
        return found

    def turn(value: Any, request: gr.Request) -> list[Any]:
        return moved(visitors.get(key_of(request)), lambda _: knob.turned(value), by=0)

    def type_in(text: str, request: gr.Request) -> list[Any]:
        return moved(visitors.get(key_of(request)), lambda rules: knob.typed(text, rules))

    def turn_role(place: int, role: Role) -> Callable[..., list[Any]]:
        def turn_it(value: Any, request: gr.Request) -> list[Any]:
            visitor = visitors.get(key_of(request))
            return moved(visitor, lambda rules: knob.turned_role(rules, role, value), by=place)

        return turn_it

    shared: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    whole.release(turn, whole, outputs, **shared)
    for place, (role, slider) in enumerate(zip(roles, parts, strict=True), 1):
        slider.release(turn_role(place, role), slider, outputs, **shared)
    line.submit(type_in, line, outputs, **shared)
