# SPDX-License-Identifier: Apache-2.0
"""Find values of a configuration that no loader accepts, and remove them.

All other checks read the rest, so that none of them has to check whether a size is a number. Values are judged for
the architectures of `layer_parts` only, where their kinds are certain; elsewhere (lists of sizes, a size for each
layer) they are ignored. transformers 5 refuses the same values when it loads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from chatvector.checks.doctor.expectations import LAYER_KEYS
from chatvector.checks.doctor.layer_parts import LAYER_PARTS
from chatvector.checks.rope import LAYER_KINDS
from chatvector.errors import brief
from chatvector.vocabulary.files import ONE_STOP_ID
from chatvector.vocabulary.side_files import TEXT_SECTIONS

# Keys whose values are whole numbers from 1.
SIZES = (
    *LAYER_KEYS,
    *("hidden_size", "n_embd", "intermediate_size", "vocab_size", "word_embed_proj_dim"),
    *("num_attention_heads", "n_head", "num_key_value_heads", "head_dim"),
)
# Epsilons added to a mean square or a variance; those in use are between 1e-12 and 1e-3.
EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
# Kinds of rotary positions → keys that a table of this kind must have.
ROPE_NEEDS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "proportional": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor"),
}
# Names that some architectures use for one of them.
ROPE_NAMES: Mapping[str, Mapping[str, str]] = {
    "phi3": {"su": "longrope", "yarn": "longrope"},
    **{name: {"mrope": "default"} for name in ("qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text")},
}
# Names of torch's dtypes for weights.
DTYPES = frozenset(
    {
        *("float16", "half", "bfloat16", "float32", "float", "float64", "double"),
        *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
        *("int8", "uint8", "int16", "short", "int32", "int", "int64", "long"),
    }
)


def usable(config: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The configuration without unusable values, and one line for each of these that is a fault."""
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
    stops = section.get("eos_token_id")
    if kind in ONE_STOP_ID and isinstance(stops, list):
        problems.append(f"{place}eos_token_id is {_said(stops)} instead of a number: {kind} takes one")
    judged = isinstance(kind, str) and kind in LAYER_PARTS
    for key, wanted in _wrong(section):
        del kept[key]
        # Several writers use null for a key with its default value.
        if judged and section[key] is not None:
            problems.append(f"{place}{key} is {_said(section[key])} instead of {wanted}")
    return kept, problems


def _wrong(section: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and expected value, for every key with an unusable value."""
    for key in SIZES:
        if key in section and not (type(section[key]) is int and section[key] > 0):
            yield key, "a whole number above 0"
    for key in EPSILONS:
        value = section.get(key, 0)
        if type(value) not in (int, float) or not math.isfinite(value):
            yield key, "a finite number"
        elif not 0 <= value < 1:
            yield key, "a small number from 0 up"
    for key in ("pad_token_id", "bos_token_id"):
        if key in section and type(section[key]) is not int:
            yield key, "a whole number"
    stops = section.get("eos_token_id", 0)
    if not all(type(row) is int for row in (stops if isinstance(stops, list) else [stops])):
        yield "eos_token_id", "a whole number or a list of them"
    # Of each pair transformers uses the first that is there.
    rope = next((key for key in ("rope_scaling", "rope_parameters") if section.get(key)), None)
    if rope is not None and (wanted := _rope_wanted(section[rope], str(section.get("model_type")))) is not None:
        yield rope, wanted
    dtype = next((key for key in ("dtype", "torch_dtype") if section.get(key) is not None), None)
    if dtype is not None and isinstance(section[dtype], str) and section[dtype] not in DTYPES:
        yield dtype, "a type of torch such as bfloat16"


def _rope_wanted(rope: object, kind: str) -> str | None:
    """What `rope`, a table of rotary positions or one for each kind of layer, should be; None where it is right."""
    if not isinstance(rope, Mapping):
        return "a table"
    each = [rope[layers] for layers in LAYER_KINDS if isinstance(rope.get(layers), Mapping)] or [rope]
    for table in each:
        name = table.get("rope_type", table.get("type", "default"))
        known = ROPE_NAMES.get(kind, {}).get(str(name), str(name))
        if known not in ROPE_NEEDS:
            return f"a table whose rope_type is one of {', '.join(ROPE_NEEDS)}"
        if missing := [key for key in ROPE_NEEDS[known] if key not in table]:
            return f"a table with {' and '.join(missing)}, as rope_type {name} needs"
    return None


def _said(value: object) -> str:
    """A value as JSON text, cut to fit into a line."""
    return "null" if value is None else brief(repr(value))
