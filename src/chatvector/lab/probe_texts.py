# SPDX-License-Identifier: Apache-2.0
"""Korean text and Korean replies of the micro-world for the go/no-go probe, from a seed that no training used."""

from __future__ import annotations

from itertools import islice

from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.tuning import instructions
from chatvector.runtime.texts import ProbeTexts

SEED = 900_000
"""Seed of the texts. It is far above the seeds of trainings, which start at the recipe's and grow by 1,000 per
stage."""
DOCUMENTS, CONVERSATIONS = 60, 60


def world_texts() -> ProbeTexts:
    """Documents like those that the target was trained on, and Korean dialogues with replies of kind speakers."""
    plain = islice(documents(SEED, Mixture.only("ko")), DOCUMENTS)
    talk = (tuple(messages) for messages in islice(instructions(SEED, "ko", skills=0.0), CONVERSATIONS))
    return ProbeTexts(tuple(plain), tuple(talk), "Korean text of the family's own world")
