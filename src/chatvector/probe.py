# SPDX-License-Identifier: Apache-2.0
"""The go/no-go probe: losses of target + s·τ on the target's text and on chat replies. Needs `chatvector[local]`.

At every scale the ordinary `apply` writes the model that a user would get into a temporary directory, and transformers
loads that; one of them is on disk at a time. Nothing is measured on a shortcut.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chatvector.checks.connectivity import Connectivity, Losses, judge_paths
from chatvector.pipeline import apply
from chatvector.recipe import Recipe, VectorSpec
from chatvector.runtime.loading import require_extra
from chatvector.runtime.loss import Passage, bits, document_passages, nbytes, reply_passages
from chatvector.runtime.texts import ProbeTexts
from chatvector.runtime.transformers_backend import TransformersBackend

Say = Callable[[str], None]

# The paper's 0.5 and 1, what lies between, and beyond (reference: ExPO goes above 1).
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def probe(
    base: str,
    chat: str,
    target: str,
    texts: ProbeTexts,
    *,
    chat_format: str = "auto",
    scales: Sequence[float] = SCALES,
    say: Say = lambda _line: None,
) -> Connectivity:
    """Measure the merge along `scales`, which are sorted and hold 0 and 1, and judge.

    `chat_format` as `apply` takes it. Needs disk for one output under the system's temporary directory (TMPDIR), and
    memory for its weights in float32. Lineage is not asked: whoever probes wants to see.

    Raises MissingExtra without torch and transformers, UsageError where only the user can choose a chat format, and
    what `apply` raises.
    """
    require_extra("The probe")
    documents, conversations = len(texts.documents), len(texts.conversations)
    plain, replies = document_passages(texts.documents), list[Passage]()
    plain_bits: list[NDArray[np.float64]] = []
    reply_bits: list[NDArray[np.float64]] = []
    for scale in scales:
        say(f"probing scale {scale:g}")
        with _merged(target, VectorSpec(base=base, chat=chat, scale=scale), chat_format) as model:
            plain_bits.append(bits(model, plain, documents))
            replies = reply_passages(model, texts.conversations)
            reply_bits.append(bits(model, replies, conversations))
    say(f"probing {chat}")
    with _merged(chat, VectorSpec(base=base, chat=chat, scale=0.0), "target") as model:
        without = bits(model, plain, documents)
    sizes = nbytes(plain, documents)
    return judge_paths(
        tuple(scales),
        Losses(np.stack(plain_bits), sizes),
        Losses(np.stack(reply_bits), nbytes(replies, conversations)),
        Losses(without[None], sizes),
    )


@contextmanager
def _merged(target: str, vector: VectorSpec, chat_format: str) -> Iterator[TransformersBackend]:
    """target + s·τ as transformers loads it; its directory is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="chatvector-probe-") as scratch:
        output = Path(scratch) / "merged"
        apply(Recipe(target=target, vectors=(vector,), output=str(output), chat_format=chat_format, force_lineage=True))
        yield TransformersBackend.load(output)
