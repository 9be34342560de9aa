# SPDX-License-Identifier: Apache-2.0
"""The page on 127.0.0.1: one address a language, nothing from outside, nothing to outside.

What the browser may load is said in a header, so that not even a model's reply with a picture in it reaches another
machine. Requests under another host's name are refused: a page elsewhere cannot talk to this one by pointing its own
name here.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from gradio.themes import Default
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatvector.errors import UsageError
from chatvector.evaluate.registry import Registry
from chatvector.web.page import build
from chatvector.web.tab_vector import Look
from chatvector.web.visitors import Visitors
from chatvector.web.words import ALL, preferred

HOST = "127.0.0.1"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:;"
    " frame-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'self'"
)
"""Gradio's own scripts are inline, and compile templates."""
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#2563eb"/>'
    '<path d="M4 12 L11 5 M7 5 H11 V9" stroke="#fff" stroke-width="2" fill="none"/></svg>'
)
SHUTDOWN_SECONDS = 1
"""For replies that are being written when the server ends."""


def listen(port: int) -> socket.socket:
    """The socket at `port` of 127.0.0.1, 0 for any that is free. Raises UsageError where it cannot be had."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise UsageError(f"port {port} of {HOST} {why}; --port takes another one, 0 any that is free") from error
    found.listen()
    return found


def address(place: socket.socket) -> str:
    """What to open in a browser."""
    return f"http://{HOST}:{place.getsockname()[1]}/"


def application(visitors: Visitors, registry: Registry, prompts: Callable[[str], Sequence[str]]) -> FastAPI:
    """All pages. `registry` knows the tasks; `prompts` gives first messages by the tag of a page's language."""
    app = FastAPI(openapi_url=None)
    app.add_middleware(Guarded)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.get("/")
    def front(request: Request) -> RedirectResponse:
        return RedirectResponse(f"/{preferred(request.headers.get('accept-language', '')).tag}/", 307)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(ICON, media_type="image/svg+xml")

    @app.get("/manifest.json")
    def manifest() -> dict[str, Any]:
        return {"name": "chatvector", "icons": [{"src": "/favicon.ico", "sizes": "any", "type": "image/svg+xml"}]}

    here = Path(__file__).parent
    recipe = visitors.models.recipe
    look = None if recipe is None else Look(recipe)
    theme = Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="blue").set(
        # Gradio's own are too pale to be read by everybody.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
    )

    async def mount() -> None:
        for words in ALL:
            gr.mount_gradio_app(
                app,
                build(visitors, registry, look, words, prompts(words.tag)),
                f"/{words.tag}",
                server_name=HOST,
                footer_links=[],
                run_history=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                show_error=False,
                theme=theme,
                css_paths=here / "page.css",
                js=(here / "page.js").read_text("utf-8"),
            )

    # Gradio makes an event loop for every lock where none runs, and closes none of them.
    asyncio.run(mount())
    return app


def serve(app: FastAPI, place: socket.socket, ready: Callable[[str], None], end: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM; `ready` is told the address when the first request would be answered, `end` is
    called when no more will be, and what is being answered has SHUTDOWN_SECONDS left."""
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=SHUTDOWN_SECONDS, lifespan="on")

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(address(place))

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            end()
            await super().shutdown(sockets)

    Server(config).run(sockets=[place])


class Guarded:
    """Puts POLICY on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self.app(scope, receive, guarded)
