# SPDX-License-Identifier: Apache-2.0
"""Korean text and Korean replies of the micro-world, of seeds that no training used, for the go/no-go probe."""

from __future__ import annotations

from itertools import islice

from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.tuning import instructions
from chatvector.runtime.texts import ProbeTexts

SEED = 900_000
"""Trainings count from the recipe's seed up, by a thousand a stage."""
DOCUMENTS, CONVERSATIONS = 60, 60


def world_texts() -> ProbeTexts:
    """Documents as the target reads them, and what kind speakers reply in Korean."""
    plain = islice(documents(SEED, Mixture.only("ko")), DOCUMENTS)
    talk = (tuple(messages) for messages in islice(instructions(SEED, "ko", skills=0.0), CONVERSATIONS))
    return ProbeTexts(tuple(plain), tuple(talk), "Korean text of the family's own world")
