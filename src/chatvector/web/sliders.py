# SPDX-License-Identifier: Apache-2.0
"""The knob on the page: a slider for everything, one for every role, and the line of text; each moves the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from chatvector.arithmetic.roles import Role
from chatvector.arithmetic.scales import ScaleRules
from chatvector.runtime.live import LiveBackend
from chatvector.web import knob
from chatvector.web.parts import key_of, problem, said, status_line
from chatvector.web.visitors import Visitor, Visitors
from chatvector.web.words import Words


class Sliders:
    """Components and events. Within a Gradio Blocks.

    Attributes:
        scales: the sliders, the one for everything first: what a page shows is read from them.
        all: the sliders, the line of text and the status line: where `at` goes.
    """

    def __init__(self, visitors: Visitors, live: LiveBackend, words: Words) -> None:
        self._visitors, self._words, self._roles = visitors, words, live.roles
        now = knob.shown(visitors.first_rules, live.roles)
        span = {"minimum": knob.LOWEST, "maximum": knob.HIGHEST, "step": knob.STEP, "buttons": []}
        whole = gr.Slider(value=now.scale, label=words.scale, info=words.scale_hint, elem_id="scale", **span)
        status = status_line("scale-status")
        with gr.Accordion(words.by_role, open=False):
            with gr.Row():
                parts = [
                    gr.Slider(value=scale, label=role, elem_id=f"scale-{role}", min_width=220, **span)
                    for role, scale in zip(live.roles, now.roles, strict=True)
                ]
            line = gr.Textbox(now.text, label=words.rules, info=words.rules_hint, lines=1, max_lines=1, elem_id="rules")
        self.scales = [whole, *parts]
        self.all = [*self.scales, line, status]
        # Gradio checks what is typed beside a slider before we do, and says "Error" over the whole page.
        shared: dict[str, Any] = {
            "show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last", "preprocess": False,
        }  # fmt: skip
        whole.release(self._turn, whole, self.all, **shared)
        for place, (role, slider) in enumerate(zip(live.roles, parts, strict=True), 1):
            slider.release(self._turn_role(place, role), slider, self.all, **shared)
        line.submit(self._type_in, line, self.all, **shared)

    def at(self, rules: ScaleRules, told: Any = None) -> list[Any]:
        """What `all` shows at these scales, with a sentence, none, or the one that stands there (`gr.skip()`)."""
        at = knob.shown(rules, self._roles)
        return [at.scale, *at.roles, at.text, said() if told is None else told]

    def follow(self, visitor: Visitor, scales: Sequence[object]) -> list[Any]:
        """Move the merge to what `scales` show, if it is not there: what was typed a moment ago may be under way still.
        What `all` shows then. Raises what `knob.left` and `Visitor.move` raise."""
        rules = knob.left(visitor.rules(), visitor.before, self._roles, scales)
        if rules == visitor.rules():
            return [gr.skip() for _ in self.all]
        visitor.move(rules)
        return self.at(rules)

    def _moved(
        self, request: gr.Request, wanted: Callable[[ScaleRules], ScaleRules], by: int | None = None
    ) -> list[Any]:
        """Move, and say where everything stands then and how long it took; or why not, and where it still stands.

        `by`: the slider that was moved, which stays as it is: it may be under way again.
        """
        visitor = self._visitors.find(key_of(request))
        if visitor is None:
            return self.at(self._visitors.get(key_of(request)).rules(), said(self._words.restarted))
        try:
            before = visitor.rules()
            rules = wanted(before)
            line: Any = gr.skip()  # a field that was only looked at and left has nothing to say
            if rules != before:
                change = visitor.move(rules)
                scale, ms = knob.shown(rules, self._roles).text, f"{1000 * change.seconds:.0f}"
                line = said(self._words.moved.format(scale=scale, tensors=change.tensors, ms=ms))
        except Exception as error:
            return self.at(visitor.rules(), problem(error, self._words))
        found = self.at(rules, line)
        if by is not None and knob.LOWEST <= found[by] <= knob.HIGHEST:
            found[by] = gr.skip()
        return found

    def _turn(self, value: Any, request: gr.Request) -> list[Any]:
        return self._moved(request, lambda rules: knob.turned(rules, value), by=0)

    def _type_in(self, text: str, request: gr.Request) -> list[Any]:
        return self._moved(request, lambda rules: knob.typed(text, rules))

    def _turn_role(self, place: int, role: Role) -> Callable[..., list[Any]]:
        def turn_it(value: Any, request: gr.Request) -> list[Any]:
            return self._moved(request, lambda rules: knob.turned_role(rules, role, value), by=place)

        return turn_it
