# SPDX-License-Identifier: Apache-2.0
"""What the tables say that an absent key means is what the installed transformers makes of it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from every_causal_model import small
from family_models import BASE_ROWS
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from chatvector.arithmetic.declared import UNTIED_BY_DEFAULT
from chatvector.checks.class_defaults import CLASS_DEFAULTS
from chatvector.checks.doctor.config_values import usable
from chatvector.vocabulary.files import ONE_STOP_ID
from chatvector.vocabulary.side_files import WITHOUT_PADDING_ROW, padding_beyond


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


def test_what_takes_one_stop_id_only() -> None:
    two: dict[str, Any] = {"eos_token_id": [1, 2]}

    def refuses_a_list(model_type: str) -> bool:
        try:
            CONFIG_MAPPING[model_type](**two)
        except Exception as problem:  # whatever a class says; some do not go without other arguments
            return "eos_token_id" in str(problem)
        return False

    found = {name for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if refuses_a_list(name)}
    assert found == {name for name in ONE_STOP_ID if name in CONFIG_MAPPING}


@pytest.mark.parametrize(
    "model_type", [*sorted(WITHOUT_PADDING_ROW), "llama", "qwen2", "qwen3", "gemma2", "mistral", "opt", "phi", "olmo2"]
)
def test_whose_embedding_has_a_padding_row(model_type: str) -> None:
    """The other types that `every_causal_model.py` can make small refuse such a pad, all of them."""
    options: dict[str, Any] = small(model_type) | {"pad_token_id": BASE_ROWS}
    refused = padding_beyond({"model_type": model_type, "pad_token_id": BASE_ROWS}, BASE_ROWS) is not None
    words = "Padding_idx must be within num_embeddings"
    with torch.device("meta"), pytest.raises(AssertionError, match=words) if refused else nullcontext():
        AutoModelForCausalLM.from_config(CONFIG_MAPPING[model_type](**options))


def test_a_list_where_the_class_takes_one_stop_id() -> None:
    section = {"model_type": ONE_STOP_ID[0], "eos_token_id": [1, 2]}
    assert usable({"text_config": section})[1] == (
        f"text_config.eos_token_id is [1, 2] instead of a number: {ONE_STOP_ID[0]} takes one",
    )
    assert usable(section | {"eos_token_id": 1})[1] == ()
    assert usable({"model_type": "llama", "eos_token_id": [1, 2]})[1] == ()
