# SPDX-License-Identifier: Apache-2.0
"""What the tables say that an absent key means is what the installed transformers makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from chatvector.arithmetic.declared import UNTIED_BY_DEFAULT
from chatvector.checks.class_defaults import CLASS_DEFAULTS


@pytest.mark.parametrize("model_type", [name for name in sorted(UNTIED_BY_DEFAULT) if name in CONFIG_MAPPING])
def test_heads_that_are_not_tied_by_default(model_type: str) -> None:
    assert CONFIG_MAPPING[model_type]().tie_word_embeddings is False


@pytest.mark.parametrize(
    ("key", "value", "model_type"),
    [(key, value, each) for key, value, types in CLASS_DEFAULTS for each in types if each in CONFIG_MAPPING],
)
def test_what_an_absent_key_means(key: str, value: Any, model_type: str) -> None:
    config = CONFIG_MAPPING[model_type]()
    if key in ("rope_theta", "partial_rotary_factor"):
        assert config.rope_parameters[key] == value
    else:
        assert getattr(config, key) == value
