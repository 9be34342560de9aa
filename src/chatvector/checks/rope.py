# SPDX-License-Identifier: Apache-2.0
"""Rotary positions in one form, whichever transformers wrote the configuration.

transformers 4: `rope_theta`, `rope_scaling` (with `type` or `rope_type`), and `rope_local_base_freq` beside them
in Gemma 3. transformers 5: `rope_parameters`, either one table or one for each kind of layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatvector.checks.class_defaults import MISSING, class_default
from chatvector.checks.config_rules import ROPE_DEFAULT_THETA
from chatvector.errors import brief

ROPE_KEYS = ("rope_theta", "rope_scaling", "rope_parameters", "rope_local_base_freq")
"""The keys that `rope_of` reads."""
LAYER_KINDS = ("full_attention", "sliding_attention", "chunked_attention")


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flat table of the parameters of the rotation: `theta`, `type`, `factor` …, prefixed by the kind of layer if kinds
    differ (`sliding_attention.theta`). Empty where the configuration has no keys of rotary positions.
    """
    parameters = config.get("rope_parameters")
    if isinstance(parameters, Mapping):
        kinds = {kind: parameters[kind] for kind in LAYER_KINDS if isinstance(parameters.get(kind), Mapping)}
        if kinds:
            return _merge({kind: _table(table, config) for kind, table in kinds.items()})
        return _table(parameters, config)
    if "rope_theta" not in config and "rope_scaling" not in config:
        return {}
    scaling = config.get("rope_scaling")
    full = _table(scaling if isinstance(scaling, Mapping) else {}, config)
    if local := config.get("rope_local_base_freq"):
        return _merge({"full_attention": full, "sliding_attention": {"theta": _number(local), "type": "default"}})
    return full


def default_rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Default rotation of the configuration's class, for configurations without keys; {} where it is not known."""
    theta = class_default(config, "rope_theta")
    return {} if theta is MISSING else {"theta": theta, "type": "default"}


def two_thetas(config: Mapping[str, Any]) -> str | None:
    """Text for a message about contradicting values of theta in a configuration; None where there are none."""
    beside, parameters = config.get("rope_theta"), config.get("rope_parameters")
    if beside is None or not isinstance(parameters, Mapping):
        return None
    tables = [parameters, *(parameters[kind] for kind in LAYER_KINDS if isinstance(parameters.get(kind), Mapping))]
    inside = [table["rope_theta"] for table in tables if table.get("rope_theta") is not None]
    if not inside or any(_number(theta) == _number(beside) for theta in inside):
        return None
    return f"{brief(beside)} beside rope_parameters, {brief(inside[0])} in them"


def _table(table: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    usual = class_default(config, "rope_theta")
    theta = table.get("rope_theta") or config.get("rope_theta") or (ROPE_DEFAULT_THETA if usual is MISSING else usual)
    kind = table.get("rope_type") or table.get("type") or "default"
    # "mrope" names the sections of Qwen2-VL, not another way to scale; transformers 5 writes "default" for it.
    result: dict[str, Any] = {"theta": _number(theta), "type": "default" if kind == "mrope" else kind}
    skipped = ("rope_theta", "rope_type", "type", "partial_rotary_factor")
    for key in sorted(table.keys() - set(skipped)):
        value = table[key]
        if value is not None:
            result[key] = _number(value)
    return result


def _number(value: Any) -> Any:
    """Numbers as floats, so that 10000 equals 10000.0; other values unchanged."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _merge(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One table where all kinds of layers agree, else prefixed ones."""
    tables = list(kinds.values())
    if all(table == tables[0] for table in tables):
        return dict(tables[0])
    return {f"{kind}.{key}": value for kind, table in sorted(kinds.items()) for key, value in table.items()}
