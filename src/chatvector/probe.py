# SPDX-License-Identifier: Apache-2.0
"""The go/no-go probe: losses of target + s·τ on the target's text and on chat replies. Needs `chatvector[local]`.

At every scale the ordinary `apply` writes the model that a user would get into a temporary directory, and transformers
loads that; one of them is on disk at a time. Nothing is measured on a shortcut.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from chatvector.checks.connectivity import Connectivity, Losses, judge_paths
from chatvector.messages import Say, silent
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.loading import require_extra
from chatvector.runtime.loss import bits, document_passages, nbytes, reply_passages
from chatvector.runtime.texts import ProbeTexts
from chatvector.runtime.transformers_backend import TransformersBackend

T = TypeVar("T")

# The paper's 0.5 and 1, values between them, and values beyond 1, as ExPO extrapolates (arXiv 2404.16792).
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def probe(
    base: str,
    chat: str,
    target: str,
    texts: ProbeTexts,
    *,
    chat_format: str = "auto",
    scales: Sequence[float] = SCALES,
    say: Say = silent,
) -> Connectivity:
    """Measure the merge along `scales`, which are sorted and include 0 and 1, and judge it.

    `chat_format` is that of `apply`. Needs disk for one output under the system's temporary directory (TMPDIR), and
    memory for its weights in float32. Lineage is not checked: a probe is meant to show what
    happens.

    Raises MissingExtra without torch and transformers, UsageError where only the user can choose a chat format, and
    what `apply` raises.
    """
    require_extra("The probe")
    documents, conversations = len(texts.documents), len(texts.conversations)
    plain = document_passages(texts.documents)

    def both(model: TransformersBackend) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        replies = reply_passages(model, texts.conversations)
        return bits(model, plain, documents), bits(model, replies, conversations), nbytes(replies, conversations)

    along: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []
    for scale in scales:
        say(f"probing scale {scale:g}")
        along.append(_asked(both, target, VectorSpec(base=base, chat=chat, scale=scale), chat_format))
    say(f"probing {chat}")
    alone = _asked(
        lambda model: bits(model, plain, documents), chat, VectorSpec(base=base, chat=chat, scale=0.0), "target"
    )
    sizes = nbytes(plain, documents)
    return judge_paths(
        tuple(scales),
        Losses(np.stack([found[0] for found in along]), sizes),
        Losses(np.stack([found[1] for found in along]), along[0][2]),
        Losses(alone[None], sizes),
    )


def _asked(ask: Callable[[TransformersBackend], T], target: str, vector: VectorSpec, chat_format: str) -> T:
    """The result of `ask` on target + s·τ, loaded by transformers. Model and directory are deleted afterwards."""
    # Where an open file cannot be deleted, it is left to the system's own cleaning of temporary files.
    with tempfile.TemporaryDirectory(prefix="chatvector-probe-", ignore_cleanup_errors=True) as scratch:
        output = Path(scratch) / "merged"
        apply(Recipe(target=target, vectors=(vector,), output=str(output), chat_format=chat_format, force_lineage=True))
        return ask(TransformersBackend.load(output))
