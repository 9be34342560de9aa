# SPDX-License-Identifier: Apache-2.0
"""Avoids loading a rung again that was asked before: a file describes it, and its replies are in the cache.

`KEY.json` holds a stamp of everything that determines the rung, and the model's information about itself. While the
stamp is the same, the model is opened only if it is asked something that the cache does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from chatvector.lab.ladder.files import write_whole
from chatvector.runtime.backend import Backend, BackendInfo, Likelihood, LikelihoodBackend, Prompt, Reply, Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Open = Callable[[], AbstractContextManager[Backend]]


@contextmanager
def late(path: Path, stamp: str, open_model: Open) -> Iterator[Backend]:
    """The model. It is opened at once or, if the file `path` describes it, when it is first asked."""
    with ExitStack() as stack:
        known = _read(path, stamp)
        if known is None:
            model = stack.enter_context(open_model())
            told = {"stamp": stamp, "info": asdict(model.info)}
            write_whole(path, json.dumps(told, ensure_ascii=False, indent=1) + "\n")
            yield model
        else:
            yield LateModel(known, open_model, stack)


def _read(path: Path, stamp: str) -> BackendInfo | None:
    """The information that an earlier run wrote; None unless the file is whole and of the same rung."""
    try:
        told = json.loads(path.read_text("utf-8"))
        return BackendInfo(**told["info"]) if told["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing, damaged or from another version: the rung is opened


class LateModel:
    """A model that knows its information and is opened when more is asked. It follows `LikelihoodBackend` and
    `DistributionBackend`, as every model of a ladder does."""

    def __init__(self, info: BackendInfo, open_model: Open, stack: ExitStack) -> None:
        self._info, self._open, self._stack = info, open_model, stack
        self._model: Backend | None = None

    @property
    def info(self) -> BackendInfo:
        """Information about the model, recorded when it was last open."""
        return self._info

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        """One reply per prompt; without prompts the model is not opened."""
        return self._opened().generate(prompts, sampling) if prompts else []

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """One likelihood per pair; without pairs the model is not opened."""
        return cast(LikelihoodBackend, self._opened()).loglikelihood(pairs) if pairs else []

    def log_probabilities(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `evaluate.tasks.distributions.DistributionBackend`."""
        return cast(Any, self._opened()).log_probabilities(text)

    def vocabulary(self) -> Mapping[str, int]:
        """See `evaluate.tasks.distributions.DistributionBackend`."""
        return cast(Any, self._opened()).vocabulary()

    def _opened(self) -> Backend:
        if self._model is None:
            self._model = self._stack.enter_context(self._open())
        return self._model
