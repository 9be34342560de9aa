# SPDX-License-Identifier: Apache-2.0
"""Korean text and Korean replies of the micro-world, of seeds that no training used, for the go/no-go probe."""

from __future__ import annotations

from itertools import islice

from chatvector.lab.recipe import TrioRecipe
from chatvector.lab.world1.documents import documents, instructions
from chatvector.runtime.texts import ProbeTexts

SEED = 900_000
"""Trainings count from the recipe's seed up, by a thousand a stage."""
DOCUMENTS, CONVERSATIONS = 60, 60


def world_texts() -> ProbeTexts:
    """Documents as the target reads them, and what kind speakers reply in Korean."""
    plain = islice(documents(SEED, TrioRecipe().target_text), DOCUMENTS)
    talk = (tuple(messages) for messages in islice(instructions(SEED, "ko"), CONVERSATIONS))
    return ProbeTexts(tuple(plain), tuple(talk), "Korean text of the trio's own world")
