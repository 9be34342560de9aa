# SPDX-License-Identifier: Apache-2.0
"""Pieces that several tabs have: who is asking, sentences, progress, documents in a frame."""

from __future__ import annotations

import base64
import html

import gradio as gr

from chatvector.web.sentences import told
from chatvector.web.visitors import noted
from chatvector.web.words import Words


def key_of(request: gr.Request) -> str:
    """What tells one tab from another."""
    return request.session_hash or ""


def said(text: str = "") -> str:
    """A sentence for the status line."""
    return f"<span>{html.escape(text)}</span>"


def problem(error: Exception, words: Words) -> str:
    """What went wrong, as a sentence for the status line; the terminal is told of what is no error of the user's."""
    return failed(noted(error), words)


def failed(error: Exception, words: Words) -> str:
    """The same for an error that was noted where it happened."""
    return f'<span class="problem">{told(error, words)}</span>'


def status_line(name: str) -> gr.HTML:
    """Where sentences appear; read out by screen readers."""
    return gr.HTML(said(), elem_id=name, elem_classes="status", html_template='<div role="status">${value}</div>')


def progress_bar(text: str, done: int, total: int) -> str:
    """How far something is."""
    share = f' value="{done}" max="{total}"' if total else ""
    words = html.escape(text)
    return f'<label>{words}<progress{share} aria-label="{words}"></progress></label>'


def framed(document: str, title: str) -> str:
    """A whole HTML document within the page, without scripts and without a way out."""
    return f'<iframe class="report" sandbox title="{html.escape(title)}" srcdoc="{html.escape(document)}"></iframe>'


def link_to_save(name: str, kind: str, content: bytes, text: str) -> str:
    """A link that saves a file which the server does not have."""
    address = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return f'<a class="button" download="{html.escape(name)}" href="{address}">{html.escape(text)}</a>'
