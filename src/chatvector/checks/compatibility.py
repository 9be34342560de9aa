# SPDX-License-Identifier: Apache-2.0
"""Check that the parents fit together: configurations by a table of keys, tensors by name and shape.

Only headers and configurations are read, no weights. The parents' descent, which the weights show, is another
check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chatvector.arithmetic.roles import find_vocabulary, is_derived
from chatvector.checkpoint.tensor_info import TensorInfo, is_floating
from chatvector.checks.config_differences import Config, agree, difference, shown, silent, spelt, without_rule
from chatvector.checks.config_rules import TEXT_RULES, TOP_RULES, VISION_RULES
from chatvector.checks.layouts import layout_hint
from chatvector.checks.rope import ROPE_KEYS, default_rope, rope_of, two_thetas
from chatvector.errors import IncompatibleParents, first_five
from chatvector.vocabulary.side_files import TEXT_SECTIONS, text_config

Tensors = Mapping[str, TensorInfo]

# "LlamaForCausalLM" -> "Llama" and "ForCausalLM".
_ARCHITECTURE = re.compile(r"(.+?)(For[A-Z]\w*|LMHeadModel|DoubleHeadsModel|Model)?", re.DOTALL)
_VISION_SECTIONS = ("vision_config", "visual", "vision_tower_config")
# Keys that are compared elsewhere: by a rule, by `rope_of` or, for sections, key by key.
_RULED = frozenset({key for rule in (*TOP_RULES, *TEXT_RULES, *VISION_RULES) for key in rule.keys}).union(
    ROPE_KEYS, TEXT_SECTIONS, _VISION_SECTIONS
)


@dataclass(frozen=True)
class Compatibility:
    """The differences of the configurations, one line each."""

    refusals: tuple[str, ...]
    """Differences for which the parents do not fit."""
    warnings: tuple[str, ...]
    """Differences with which the parents may fit, but which the user should know."""

    def raise_if_refused(self) -> None:
        """Raise IncompatibleParents with all refusals in one line, if there are any."""
        if self.refusals:
            raise IncompatibleParents(f"the parents do not fit together: {'; '.join(self.refusals)}")


@dataclass(frozen=True)
class TensorComparison:
    """How the tensors of the three models correspond. Names are sorted."""

    shared: tuple[str, ...]
    """Tensors that all three models have with the same shape."""
    vocabulary: Mapping[str, Mapping[str, int | None]]
    """Tensors with the vocabulary axis -> role -> rows; None where the role's file lacks it (a tied head)."""
    derived: Mapping[str, tuple[str, ...]]
    """Derived buffers that not all of the three have -> the roles that have them."""


def compare_configs(target: Config, parents: Mapping[str, Config]) -> Compatibility:
    """Compare the parsed config.json of the target with those of its parents, given by role ("base", "chat", …).

    Nested configurations of language and image model are each compared by a table of their own; rotary positions may be
    spelt as in transformers 4 or 5.
    """
    models = {"target": target, **parents}
    refusals: list[str] = []
    warnings: list[str] = []
    _compare_architectures(models, refusals, warnings)
    texts = {role: _text(config) for role, config in models.items()}
    visions = {role: vision for role, config in models.items() if (vision := _vision_config(config)) is not None}
    if visions and len(visions) < len(models):
        without = [role for role in models if role not in visions]
        refusals.append(f"vision_config: in {_and(visions)}, not in {_and(without)} (only some have an image encoder)")
    unheard: list[str] = []
    for section, rules, configs in (
        ("", TOP_RULES, models),
        ("", TEXT_RULES, texts),
        ("vision_config.", VISION_RULES, visions),
    ):
        for rule in rules:
            key = f"{section}{spelt(rule, configs)}"
            if found := difference(rule, configs):
                (refusals if rule.verdict == "refuse" else warnings).append(f"{key}: {found} ({rule.reason})")
            if without := silent(rule, configs):
                unheard.append(f"{key} (not in {_and(without)})")
    warnings.extend(_compare_rope(texts, unheard))
    for section, configs in (("", texts), ("vision_config.", visions)):
        for line in without_rule(configs, _RULED):
            warnings.append(f"{section}{line} (no rule knows this key; look up whether the weights depend on it)")
    if unheard:
        warnings.append(
            f"{len(unheard)} keys cannot be compared, some files lack them and what that means is not known:"
            f" {', '.join(unheard)}"
        )
    return Compatibility(tuple(refusals), tuple(warnings))


def compare_tensors(
    target: Tensors, base: Tensors, chat: Tensors, configs: Mapping[str, Config] | None = None
) -> TensorComparison:
    """Compare names and shapes of the three models.

    `configs`: role -> parsed config.json, to find the vocabulary axis where names do not tell. Raises
    IncompatibleParents, which says in one line: which tensors one model has and another lacks, which differ in shape,
    how many, the first five, and whether a difference of layout explains it.
    """
    models = {"target": target, "base": base, "chat": chat}
    with_rows = _vocabulary_names(models, configs or {})
    derived: dict[str, tuple[str, ...]] = {}
    vocabulary: dict[str, dict[str, int | None]] = {}
    shared: list[str] = []
    lacking: dict[tuple[str, str], list[str]] = {}
    reshaped: list[str] = []
    mixed: list[str] = []
    for name in sorted(target.keys() | base.keys() | chat.keys()):
        having = {role: tensors[name] for role, tensors in models.items() if name in tensors}
        if name in with_rows:
            vocabulary[name] = {role: having[role].shape[0] if role in having else None for role in models}
            if len({tensor.shape[1:] for tensor in having.values()}) > 1:
                reshaped.append(_shapes(name, having))
        elif len(having) < len(models):
            if all(is_derived(name, tensor) for tensor in having.values()):
                derived[name] = tuple(having)
            else:
                without = [role for role in models if role not in having]
                lacking.setdefault((_and(having), _and(without)), []).append(name)
        elif len({tensor.shape for tensor in having.values()}) > 1:
            if all(is_derived(name, tensor) for tensor in having.values()):
                derived[name] = tuple(having)
            else:
                reshaped.append(_shapes(name, having))
        elif len({is_floating(tensor) for tensor in having.values()}) > 1 and not is_derived(name, having["target"]):
            mixed.append(f"{name} ({shown({role: tensor.dtype.code for role, tensor in having.items()})})")
        else:
            shared.append(name)
    if lacking or reshaped or mixed:
        raise IncompatibleParents("; ".join(_problems(models, lacking, reshaped, mixed)))
    return TensorComparison(tuple(shared), vocabulary, derived)


def _compare_architectures(models: Mapping[str, Config], refusals: list[str], warnings: list[str]) -> None:
    """Compare the class in `architectures`: another family is refused, another head on the same family is a warning."""
    families: dict[str, str] = {}
    heads: dict[str, str] = {}
    for role, config in models.items():
        names = config.get("architectures")
        if isinstance(names, list) and names and isinstance(names[0], str) and names[0]:
            match = _ARCHITECTURE.fullmatch(names[0])
            assert match is not None  # the pattern matches any text
            families[role], heads[role] = match[1], names[0]
    if len(set(families.values())) > 1:
        refusals.append(f"architectures: {shown(heads)} (the parents are different architectures)")
    elif len(set(heads.values())) > 1:
        warnings.append(f"architectures: {shown(heads)} (the heads differ; the target's is kept)")


def _compare_rope(texts: Mapping[str, Config], silent: list[str]) -> Iterator[str]:
    """One line for each difference; roles whose rotation is not known are added to `silent`."""
    written = {role: rope_of(config) for role, config in texts.items()}
    if not any(written.values()):
        return
    tables = {role: table for role, config in texts.items() if (table := written[role] or default_rope(config))}
    if unknown := [role for role in texts if role not in tables]:
        silent.append(f"rope_theta (not in {_and(unknown)})")
    for key in sorted({key for table in tables.values() for key in table}):
        values = {role: table.get(key) for role, table in tables.items()}
        if not agree(values):
            yield f"rope {key}: {shown(values)} (positions are turned otherwise; the target's is kept)"
    for role, config in texts.items():
        if said := two_thetas(config):
            yield f"rope_theta: {role} {said} (the file contradicts itself; loaders take either)"


def _text(config: Config) -> Config:
    """The language model's keys, and `partial_rotary_factor` from transformers 5's rope parameters if it is there."""
    text = text_config(config)
    rope = text.get("rope_parameters")
    if isinstance(rope, Mapping) and rope.get("partial_rotary_factor") is not None:
        return {**text, "partial_rotary_factor": rope["partial_rotary_factor"]}
    return text


def _vision_config(config: Config) -> Config | None:
    return next((config[key] for key in _VISION_SECTIONS if isinstance(config.get(key), Mapping)), None)


def _vocabulary_names(models: Mapping[str, Tensors], configs: Mapping[str, Config]) -> set[str]:
    """Names with the vocabulary axis in any of the models.

    The embedding must be in all; a head may be absent where it is tied, so only heads, their biases and tensors
    present in all three count.
    """
    names: set[str] = set()
    for role, tensors in models.items():
        found = find_vocabulary(tensors, configs.get(role, {}))
        tied_elsewhere = {found.head} - {None}
        everywhere = {name for name in found.names if all(name in other for other in models.values())}
        names |= everywhere | {name for name in tied_elsewhere if name is not None}
    return names


def _problems(
    models: Mapping[str, Tensors],
    lacking: Mapping[tuple[str, str], list[str]],
    reshaped: list[str],
    mixed: list[str],
) -> Iterator[str]:
    for (having, without), names in lacking.items():
        yield f"{len(names)} tensors are in {having} but not in {without}: {first_five(names)}"
    if reshaped:
        yield f"{len(reshaped)} tensors differ in shape: {first_five(reshaped)}"
    if mixed:
        yield f"{len(mixed)} tensors are numbers in one model and integers in another: {first_five(mixed)}"
    hint = None
    for one, other in (("target", "base"), ("base", "chat"), ("target", "chat")):
        hint = hint or layout_hint(models[one].keys(), one, models[other].keys(), other)
    yield hint or "the three must be one architecture in one layout"


def _shapes(name: str, having: Mapping[str, TensorInfo]) -> str:
    return f"{name} ({shown({role: list(tensor.shape) for role, tensor in having.items()})})"


def _and(roles: Mapping[str, Any] | list[str]) -> str:
    return " and ".join(roles)
