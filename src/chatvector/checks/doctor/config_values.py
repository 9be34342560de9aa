# SPDX-License-Identifier: Apache-2.0
"""Values of a configuration that no loader accepts, and the configuration without them.

All other checks read what is left, so that none of them has to ask whether a size is a number. Values are judged for
the architectures of `layer_parts` only, where their kinds are certain; elsewhere (lists of sizes, a size for each
layer) they are passed over. transformers 5 refuses the same ones when it loads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from chatvector.checks.doctor.expectations import LAYER_KEYS
from chatvector.checks.doctor.layer_parts import LAYER_PARTS
from chatvector.errors import brief
from chatvector.vocabulary.side_files import TEXT_SECTIONS

# Whole numbers from one up.
SIZES = (
    *LAYER_KEYS,
    *("hidden_size", "n_embd", "intermediate_size", "vocab_size", "word_embed_proj_dim"),
    *("num_attention_heads", "n_head", "num_key_value_heads", "head_dim"),
)
# Finite numbers.
NUMBERS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")


def usable(config: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The configuration without the values that mean nothing, and a line on each that is a fault."""
    kept, problems = _usable(config, "")
    for section in TEXT_SECTIONS:
        if isinstance(config.get(section), Mapping):
            kept[section], more = _usable(config[section], f"{section}.")
            problems += more
    return kept, tuple(problems)


def _usable(section: Mapping[str, Any], place: str) -> tuple[dict[str, Any], list[str]]:
    kept, problems = dict(section), []
    kind = section.get("model_type")
    if "model_type" in section and not (isinstance(kind, str) and kind):
        del kept["model_type"]
        if not section.get("auto_map"):
            problems.append(f"{place}model_type is {_said(kind)} instead of a name")
    judged = isinstance(kind, str) and kind in LAYER_PARTS
    for key, wanted in _wrong(section):
        del kept[key]
        # null is how several writers say that a key has its default.
        if judged and section[key] is not None:
            problems.append(f"{place}{key} is {_said(section[key])} instead of {wanted}")
    return kept, problems


def _wrong(section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key, and what its value should be, of all that are otherwise."""
    for key in SIZES:
        if key in section and not (type(section[key]) is int and section[key] > 0):
            yield key, "a whole number above 0"
    for key in NUMBERS:
        value = section.get(key, 0)
        if type(value) not in (int, float) or not math.isfinite(value):
            yield key, "a finite number"


def _said(value: object) -> str:
    """A value as JSON's readers know it, cut to a length that a line holds."""
    return "null" if value is None else brief(repr(value))
