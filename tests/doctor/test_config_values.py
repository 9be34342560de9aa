# SPDX-License-Identifier: Apache-2.0
"""Values that the doctor lets pass are those that transformers and torch know."""

from __future__ import annotations

from typing import Any

import pytest

from chatvector.checks.doctor.config_values import DTYPES, ROPE_NEEDS, usable

FACTORS: dict[str, Any] = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FACTORS |= {"short_factor": [1.0, 1.0], "long_factor": [2.0, 2.0]}


def test_the_kinds_of_rotary_positions_are_those_of_transformers() -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    assert ROPE_NEEDS.keys() == {"default", *ROPE_INIT_FUNCTIONS}


@pytest.mark.parametrize("kind", ROPE_NEEDS)
def test_what_a_kind_needs_is_what_transformers_asks_for(kind: str) -> None:
    from transformers import LlamaConfig

    whole = {"rope_type": kind, "rope_theta": 10000.0} | {key: FACTORS[key] for key in ROPE_NEEDS[kind]}
    LlamaConfig(hidden_size=16, num_attention_heads=4, rope_parameters=dict(whole))
    assert usable({"model_type": "llama", "rope_parameters": whole})[1] == ()
    for key in ROPE_NEEDS[kind]:
        table = {name: value for name, value in whole.items() if name != key}
        with pytest.raises(KeyError, match=key):
            LlamaConfig(hidden_size=16, num_attention_heads=4, rope_parameters=dict(table))
        assert len(usable({"model_type": "llama", "rope_parameters": table})[1]) == 1


def test_the_types_are_those_of_torch() -> None:
    import torch

    assert [name for name in DTYPES if not isinstance(getattr(torch, name), torch.dtype)] == []


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "phi3", "rope_scaling": {"type": "su", "short_factor": [1.0], "long_factor": [1.0]}},
        {"model_type": "qwen2_vl", "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}},
        {"model_type": "llama", "rope_scaling": None, "torch_dtype": None},
        {"model_type": "llama", "rope_scaling": {"factor": 2.0}},
        {"model_type": "llama", "dtype": "bfloat16", "torch_dtype": "passed over"},
        {"model_type": "gemma3_text", "rope_parameters": {"sliding_attention": {"rope_type": "default"}}},
        {"model_type": "of_my_own", "rope_scaling": {"type": "my_way"}, "dtype": "int3"},
        {"model_type": "llama", "rms_norm_eps": 1e-12},
    ],
)
def test_no_false_alarm(config: dict[str, Any]) -> None:
    assert usable(config)[1] == ()
