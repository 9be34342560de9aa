# SPDX-License-Identifier: Apache-2.0
"""A conversation as the messages that Gradio's Chatbot shows: plain dictionaries, one list a model."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from chatvector.web.sentences import told
from chatvector.web.visitors import Exchange, Said, Visitor
from chatvector.web.words import Words

Message = dict[str, Any]


def columns(visitor: Visitor, words: Words) -> list[list[Message]]:
    """Every model's side of the conversation."""
    contexts = [speaker.backend.context for speaker in visitor.session.speakers]
    return [one_column(visitor.exchanges, place, context, words) for place, context in enumerate(contexts)]


def one_column(exchanges: Sequence[Exchange], place: int, context: int | None, words: Words) -> list[Message]:
    """One model's side: `place` is its number, `context` its size in tokens."""
    found: list[Message] = []
    for exchange in exchanges:
        found.append({"role": "user", "content": as_text(exchange.message)})
        found += _answer(exchange.said[place], context, words)
    return found


def as_text(text: str) -> str:
    """Words of a model or a person as they were written: no Markdown is read in them, what looks like HTML is none."""
    return html.escape(text, quote=False)


def _answer(said: Said, context: int | None, words: Words) -> list[Message]:
    found: list[Message] = []
    if said.thinking:
        over = said.done or bool(said.answer)
        title = words.thought.format(count=len(said.thinking)) if over else words.thinking
        status = "done" if over else "pending"
        found.append(
            {"role": "assistant", "content": as_text(said.thinking), "metadata": {"title": title, "status": status}}
        )
    notes = _notes(said, context, words)
    if said.answer or said.done or not said.thinking:
        text = as_text(said.answer) if said.answer or said.done else words.in_turn
        small = f"<small>{' · '.join(notes)}</small>" if notes else ""
        found.append({"role": "assistant", "content": "\n".join(part for part in (text, small) if part) or "—"})
    return found


def _notes(said: Said, context: int | None, words: Words) -> list[str]:
    """What stands below a reply that is complete."""
    if said.problem == "context":
        return [words.context_full.format(context=context)]
    if said.problem == "template":
        return [words.template_refuses]
    if said.error is not None:
        return [told(said.error, words)]
    if not said.done:
        return []
    found = [] if said.scale is None else [words.at_scale.format(scale=said.scale)]
    found += [] if said.tokens is None else [words.tokens.format(count=said.tokens)]
    if said.cut is not None:
        found.append(
            {
                "stopped": words.was_stopped,
                "context": words.was_filled,
                "limit": words.was_cut.format(limit=said.limit),
            }[said.cut]
        )
    return found
