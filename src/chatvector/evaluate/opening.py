# SPDX-License-Identifier: Apache-2.0
"""Turns what the user calls a model, `[NAME=]MODEL`, into a model that can be asked.

MODEL is a directory, a hub name or `demo:…` (transformers, or a server that is started for it), a running server's
`URL` or `URL#MODEL`, or a recording (`*.jsonl`). A model is loaded when its turn comes and released before the next one
is loaded.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.names import resolve
from chatvector.errors import UsageError
from chatvector.evaluate.request import Model
from chatvector.messages import Say, silent
from chatvector.runtime.backend import Backend
from chatvector.runtime.prompt_form import GivenTemplate, no_template, template_of
from chatvector.vocabulary.chat_format import read_chat_format
from chatvector.vocabulary.tokens import read_tokens

if TYPE_CHECKING:
    from chatvector.runtime.openai_backend import OpenAIBackend

_NAMED = re.compile(r"(?P<name>[\w.-]+)=(?P<model>.+)")


class Kind(StrEnum):
    """How a model is asked; `auto` decides by the form of MODEL."""

    auto = "auto"
    transformers = "transformers"
    openai = "openai"
    replay = "replay"


@dataclass(frozen=True)
class Loading:
    """How models are loaded or reached. None leaves the choice to the backend.

    Attributes:
        template: chat template for models that have none of their own.
        remote_code: run the Python code that comes with a model.
        batch: most prompts in one batch; None: `batches.MOST_ROWS`.
        server: command that serves a model and contains `{model}` and `{port}`; used instead of transformers.
        key_variable: environment variable with the key of a running server.
        revision: the user's name for the weights behind servers; without it their replies are kept for no other run.
        timeout: longest silence of a server in seconds; None: `http_json.SILENCE`.
    """

    template: GivenTemplate | None = None
    dtype: str | None = None
    device: str | None = None
    device_map: Any = None
    remote_code: bool = False
    batch: int | None = None
    server: str | None = None
    key_variable: str | None = None
    revision: str | None = None
    timeout: float | None = None


def split_name(text: str) -> tuple[str, str]:
    """(name, model) of `NAME=MODEL`. A text that exists as a path is a path, even with `=` in it. Without NAME the name
    is MODEL itself, or the last part of a local path."""
    match = None if Path(text).exists() else _NAMED.fullmatch(text)
    if match is not None:
        return match["name"], match["model"]
    path = Path(text)
    return (path.resolve().name if path.exists() else text), text


def models(
    texts: Sequence[str], *, kind: Kind = Kind.auto, loading: Loading | None = None, say: Say = silent
) -> tuple[Model, ...]:
    """The models of a command line, in order. Nothing is loaded. Raises UsageError for a kind that does not fit."""
    named = [split_name(text) for text in texts]
    return tuple(_model(name, text, kind, loading or Loading(), named, say) for name, text in named)


def _model(name: str, text: str, kind: Kind, loading: Loading, others: Sequence[tuple[str, str]], say: Say) -> Model:
    found = kind_of(text)
    if kind is not Kind.auto and kind is not found:
        raise UsageError(f"{text}: --backend {kind.value} does not fit; by its name it is one for {found.value}")
    if found is Kind.replay:
        return Model(name, lambda: _recording(text))
    if found is Kind.openai:
        return Model(name, lambda: server_model(text, name, loading, say))

    def offers() -> list[str]:
        return [other for _, other in others if other != text and _template_at_hand(other)]

    def check(conversations: bool) -> None:
        if conversations and loading.template is None and not has_template(text, say):
            raise no_template(text, offers())

    if loading.server is not None:
        return Model(name, lambda: _served(text, loading, say))
    return Model(name, lambda: _transformers(text, loading, offers, say), check)


def kind_of(text: str) -> Kind:
    """How a model is asked, decided by the form of its name; never `auto`."""
    if text.startswith(("http://", "https://")):
        return Kind.openai
    if text.endswith((".jsonl", ".ndjson")) and Path(text).is_file():
        return Kind.replay
    return Kind.transformers


def has_template(name: str, say: Say) -> bool:
    """Does a model have a chat template of its own? Reads its side files; of a hub model only those are fetched."""
    with Checkpoint.open(name, say, stream=True) as checkpoint:
        return read_chat_format(checkpoint, read_tokens(checkpoint)) is not None


def _template_at_hand(name: str) -> bool:
    """Is the model on this machine, with a chat template? Nothing is downloaded just to offer its template."""
    return kind_of(name) is Kind.transformers and resolve(name).path is not None and has_template(name, silent)


@contextmanager
def _recording(path: str) -> Iterator[Backend]:
    from chatvector.runtime.replay_backend import ReplayBackend

    yield ReplayBackend.load(path)


@contextmanager
def server_model(text: str, name: str, loading: Loading, say: Say) -> Iterator[Backend]:
    """The model of a running server, `URL` or `URL#MODEL`. Raises HubError if nothing answers."""
    backend = connected(text, name, loading)
    _say_unidentified(backend, text, say)
    yield backend


def connected(text: str, name: str, loading: Loading) -> OpenAIBackend:
    """The backend of a running server, `URL` or `URL#MODEL`. Only the server's list of models has been asked for so
    far."""
    from chatvector.runtime.http_json import SILENCE
    from chatvector.runtime.openai_backend import OpenAIBackend

    url, _, model = text.partition("#")
    return OpenAIBackend(
        url,
        model=model or None,
        name=None if name == text else name,
        key_variable=loading.key_variable,
        revision=loading.revision or "",
        timeout=loading.timeout or SILENCE,
    )


@contextmanager
def _served(name: str, loading: Loading, say: Say) -> Iterator[Backend]:
    from chatvector.runtime.http_json import SILENCE
    from chatvector.runtime.server_command import ServerCommand

    options: dict[str, Any] = {} if loading.revision is None else {"revision": loading.revision}
    options["timeout"] = loading.timeout or SILENCE
    with ServerCommand(loading.server or "", note=say).serving(name, **options) as backend:
        _say_unidentified(backend, name, say)
        yield backend


def _say_unidentified(backend: Backend, name: str, say: Say) -> None:
    if not backend.info.identified:
        say(
            f"{name}: a server's weights cannot be seen, so its replies are kept for no other run; --server-revision "
            "NAME keeps them, if you change NAME with the weights"
        )


@contextmanager
def _transformers(name: str, loading: Loading, offers: Callable[[], list[str]], say: Say) -> Iterator[Backend]:
    from chatvector.runtime.batches import MOST_ROWS
    from chatvector.runtime.loading import require_extra
    from chatvector.runtime.transformers_backend import TransformersBackend

    require_extra("Evaluating a model")
    own = loading.template is None or has_template(name, say)
    backend = TransformersBackend.load(
        name,
        dtype=loading.dtype,
        device=loading.device,
        device_map=loading.device_map,
        remote_code=loading.remote_code,
        progress=say,
        template=None if own else loading.template,
        offers=offers() if loading.template is None else (),
        batch=loading.batch or MOST_ROWS,
    )
    try:
        yield backend
    finally:
        del backend
        gc.collect()
        torch = sys.modules["torch"]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def template_from(name: str, say: Say) -> GivenTemplate:
    """The chat template that `--chat-format-from` names: that of a model, or a file. Raises MissingInput."""
    return template_of(name, say)
