# SPDX-License-Identifier: Apache-2.0
"""Would a judge judge itself? Decided by names, files and the lists of servers, before any model is loaded or asked.

A model on the hub is known only by its name until it is fetched, so `run.evaluate` checks again when all weights have
been seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import Sample, fingerprint
from chatvector.checkpoint.names import resolve
from chatvector.checkpoint.storage import LocalDirectory
from chatvector.errors import InputError
from chatvector.evaluate.judge.protocol import refuse_self
from chatvector.evaluate.opening import Kind, Loading, connected, kind_of, split_name


@dataclass(frozen=True)
class Identity:
    """A model's name and what identifies its weights: a hash of a sample of them, a server's address, or only the
    name."""

    model: str
    fingerprint: str


def refuse_judging_itself(judge: str, models: Iterable[str], loading: Loading) -> None:
    """Raise UsageError if one of `models` is the judge; names are as the user wrote them. Raises MissingInput for a
    model that does not exist, HubError for a server that does not answer."""
    refuse_self(_identity(judge, loading), (_identity(one, loading) for one in models))


def _identity(text: str, loading: Loading) -> Identity:
    name, model = split_name(text)
    if kind_of(model) is Kind.openai:
        backend = connected(model, name, loading)
        return Identity(backend.name, backend.address)
    if Path(model).is_file() or (path := resolve(model).path) is None:
        return Identity(model, model)
    # A model in a format that only a server reads is known by its name.
    with suppress(InputError), Checkpoint(LocalDirectory(path, model), model) as checkpoint:
        return Identity(model, repr(fingerprint(checkpoint, Sample(checkpoint))))
    return Identity(model, model)
