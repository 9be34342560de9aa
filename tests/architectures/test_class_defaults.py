# SPDX-License-Identifier: Apache-2.0
"""What the tables say that an absent key means is what the installed transformers makes of it."""

from __future__ import annotations

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from chatvector.arithmetic.declared import UNTIED_BY_DEFAULT


@pytest.mark.parametrize("model_type", [name for name in sorted(UNTIED_BY_DEFAULT) if name in CONFIG_MAPPING])
def test_heads_that_are_not_tied_by_default(model_type: str) -> None:
    assert CONFIG_MAPPING[model_type]().tie_word_embeddings is False
