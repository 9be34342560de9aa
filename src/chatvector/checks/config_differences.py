# SPDX-License-Identifier: Apache-2.0
"""What configurations say under a rule, and where they differ: values, defaults of classes, keys without a rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chatvector.checks.class_defaults import MISSING, class_default
from chatvector.checks.config_rules import ACTIVATIONS, HARMLESS, HARMLESS_PARTS, LEGACY_GELU, Rule
from chatvector.errors import brief

Config = Mapping[str, Any]

# Keys that say nothing where a flag switches windows off.
_WINDOWS = frozenset({"sliding_window", "max_window_layers"})


@dataclass(frozen=True)
class Said:
    """What one configuration says under a rule."""

    value: Any
    """MISSING where neither the file nor a default says anything."""
    written: bool
    """Whether the file says it."""


def difference(rule: Rule, configs: Mapping[str, Config]) -> str | None:
    """The values by role where they differ; None where they agree or too few are known."""
    found = {role: _said(rule, config) for role, config in configs.items()}
    known = {role: said for role, said in found.items() if said.value is not MISSING}
    values = {role: said.value for role, said in known.items()}
    if not any(said.written for said in known.values()) or agree(values):
        return None
    return shown(values, by_default=[role for role, said in known.items() if not said.written])


def silent(rule: Rule, configs: Mapping[str, Config]) -> list[str]:
    """The roles that say nothing under a rule that others do say something about, where nothing else decides."""
    if rule.decided:
        return []
    found = {role: _said(rule, config) for role, config in configs.items()}
    if not any(said.written for said in found.values()):
        return []
    return [role for role, said in found.items() if said.value is MISSING]


def spelt(rule: Rule, configs: Mapping[str, Config]) -> str:
    """The key as these models spell it."""
    there = (key for key in rule.keys if any(config.get(key) is not None for config in configs.values()))
    return next(there, rule.keys[0])


def without_rule(configs: Mapping[str, Config], known: Iterable[str]) -> Iterator[str]:
    """Keys that differ, are none of `known` and may matter: `key: target 1, base 2`."""
    skipped = HARMLESS | set(known)
    for key in sorted({key for config in configs.values() for key in config} - skipped):
        values = {role: config[key] for role, config in configs.items() if key in config}
        if not key.startswith("_") and not key.endswith(HARMLESS_PARTS) and not agree(values):
            yield f"{brief(key)}: {shown(values)}"


def agree(values: Mapping[str, Any]) -> bool:
    """Whether all are one value."""
    return all(value == next(iter(values.values())) for value in values.values())


def shown(values: Mapping[str, Any], *, by_default: Iterable[str] = ()) -> str:
    """Values by role for a message. A text among other kinds of value is quoted: "128" is not 128."""
    mixed = len({isinstance(value, str) for value in values.values()}) > 1
    texts = {role: brief(repr(value) if mixed and isinstance(value, str) else value) for role, value in values.items()}
    for role in by_default:
        texts[role] += " by default"
    return ", ".join(f"{role} {text}" for role, text in texts.items())


def _said(rule: Rule, config: Config) -> Said:
    if not _WINDOWS.isdisjoint(rule.keys) and _windows_off(config):
        return Said(None, written=not _WINDOWS.isdisjoint(config))
    for key in rule.keys:
        value = config.get(key)
        if value is not None:
            return Said(_activation(key, value, config) if "hidden_act" in rule.keys else value, written=True)
    if rule.default is not MISSING:
        return Said(rule.default, written=False)
    if not rule.decided and any(key in config for key in rule.keys):
        return Said(None, written=True)
    return Said(class_default(config, *rule.keys), written=False)


def _windows_off(config: Config) -> bool:
    """Whether a flag switches windows off, whatever their size: Qwen's files give one all the same."""
    flag = config.get("use_sliding_window")
    return (class_default(config, "use_sliding_window") if flag is None else flag) is False


def _activation(key: str, value: Any, config: Config) -> Any:
    if key == "hidden_act" and value == "gelu" and config.get("model_type") in LEGACY_GELU:
        return "gelu_pytorch_tanh"
    return ACTIVATIONS.get(value, value) if isinstance(value, str) else value
