# SPDX-License-Identifier: Apache-2.0
"""From what the user calls a model to a model that can be asked: `[NAME=]MODEL`.

MODEL is a directory, a hub name or `demo:…` (transformers), or a recording (`*.jsonl`). A model is loaded when its turn
comes and let go before the next.
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
from typing import Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.names import resolve
from chatvector.errors import UsageError
from chatvector.evaluate.run import Model
from chatvector.runtime.backend import Backend
from chatvector.runtime.prompt_form import GivenTemplate, no_template, template_of
from chatvector.vocabulary.chat_format import read_chat_format
from chatvector.vocabulary.tokens import read_tokens

_NAMED = re.compile(r"(?P<name>[\w.-]+)=(?P<model>.+)")

Say = Callable[[str], None]


class Kind(StrEnum):
    """How a model is asked; `auto` tells by what MODEL is."""

    auto = "auto"
    transformers = "transformers"
    replay = "replay"


@dataclass(frozen=True)
class Loading:
    """What loading through transformers is told; None is its own choice.

    Attributes:
        template: for models that have no chat template of their own.
        remote_code: run the Python code that comes with a model.
    """

    template: GivenTemplate | None = None
    dtype: str | None = None
    device: str | None = None
    device_map: Any = None
    remote_code: bool = False
    batch: int | None = None


def split_name(text: str) -> tuple[str, str]:
    """(name, model) of `NAME=MODEL`; a path that exists as written is a path, whatever signs are in it. The name is by
    default the model's, of a local path the last part."""
    match = None if Path(text).exists() else _NAMED.fullmatch(text)
    if match is not None:
        return match["name"], match["model"]
    path = Path(text)
    return (path.resolve().name if path.exists() else text), text


def models(
    texts: Sequence[str], *, kind: Kind = Kind.auto, loading: Loading | None = None, say: Say = lambda _: None
) -> tuple[Model, ...]:
    """The models of a command line, in order. Nothing is loaded. Raises UsageError for a kind that does not fit."""
    named = [split_name(text) for text in texts]
    return tuple(_model(name, text, kind, loading or Loading(), named, say) for name, text in named)


def _model(name: str, text: str, kind: Kind, loading: Loading, others: Sequence[tuple[str, str]], say: Say) -> Model:
    if kind is Kind.auto:
        kind = Kind.replay if text.endswith((".jsonl", ".ndjson")) and Path(text).is_file() else Kind.transformers
    if kind is Kind.replay:
        return Model(name, lambda: _recording(text))
    if text.endswith((".jsonl", ".ndjson")):
        raise UsageError(f"{text} is a recording, if anything: leave out --backend {kind.value}")

    def offers() -> list[str]:
        return [other for _, other in others if other != text and _template_at_hand(other)]

    def check(conversations: bool) -> None:
        if conversations and loading.template is None and not has_template(text, say):
            raise no_template(text, offers())

    return Model(name, lambda: _transformers(text, loading, offers, say), check)


def has_template(name: str, say: Say) -> bool:
    """Does a model bring a chat template? From its side files; of a hub model only those are fetched."""
    with Checkpoint.open(name, say, stream=True) as checkpoint:
        return read_chat_format(checkpoint, read_tokens(checkpoint)) is not None


def _template_at_hand(name: str) -> bool:
    """The same, of models on this machine only: an offer is not worth a download."""
    return not name.endswith((".jsonl", ".ndjson")) and resolve(name).path is not None and has_template(name, _silent)


def _silent(_line: str) -> None:
    """Nobody listens."""


@contextmanager
def _recording(path: str) -> Iterator[Backend]:
    from chatvector.runtime.replay_backend import ReplayBackend

    yield ReplayBackend.load(path)


@contextmanager
def _transformers(name: str, loading: Loading, offers: Callable[[], list[str]], say: Say) -> Iterator[Backend]:
    from chatvector.runtime.loading import require_extra
    from chatvector.runtime.transformers_backend import MOST_ROWS, TransformersBackend

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
    """The template of `--chat-format-from`: a model's, or a file's. Raises MissingInput."""
    return template_of(name, say)
