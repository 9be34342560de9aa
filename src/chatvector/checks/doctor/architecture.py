# SPDX-License-Identifier: Apache-2.0
"""Check tensors against the configuration: missing, superfluous, irregular, or of another shape."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from chatvector.arithmetic.roles import find_vocabulary, layer_of
from chatvector.checkpoint.tensor_files import TensorRef
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.expectations import (
    EXPERT_COUNTS,
    HEADS_GIVE_SHAPES,
    HEADS_SHARE_WIDTH,
    LAST_NORM,
    LAYER_KEYS,
    PER_EXPERT,
    PROMISES,
    SHAPES,
    SWITCHES,
)
from chatvector.checks.doctor.layer_parts import lacking
from chatvector.checks.doctor.patient import Patient
from chatvector.errors import first_five
from chatvector.vocabulary.side_files import text_config

# A layer has lost tensors if it lacks at most this share of those of another layer. One that lacks more is of another
# kind (hybrids of attention and state space, dense layers among mixtures).
LOST_SHARE = 0.25

Layers = Mapping[int, frozenset[str]]


def check_architecture(model: Patient, *, complete: bool = True) -> Iterator[Finding]:
    """Compare headers and configuration. Unless `complete`, missing tensors are not reported."""
    if "config.json" in model.unreadable:
        pass  # reported once, for all such files
    elif model.config_problem is not None:
        yield Finding("config-damaged" if "config.json" in model.listing else "config-missing", model.config_problem)
    elif not model.config_values and not model.config.get("model_type") and not model.config.get("architectures"):
        yield Finding("config-missing", "config.json names neither model_type nor architectures")
    if model.config_values:
        yield Finding("config-values", f"config.json: {first_five(model.config_values)}")
    yield from _code(model)
    if not complete:
        return
    if find_vocabulary(model.weights.tensors, model.config).embedding is None:
        yield Finding("embedding-missing", "no matrix with one row per token was found")
    text = text_config(model.config)
    layers = _layers(model)
    yield from _layer_count(text, layers)
    lost = _irregular(text, layers)
    if lost:
        said = [f"{ending} in layers {first_five(where)}" for ending, where in sorted(lost.items())]
        yield Finding("tensors-irregular", f"{sum(map(len, lost.values()))} tensors: {first_five(said)}")
    yield from _missing(text, layers, lost)
    if text:
        yield from _promises(text, layers)
        yield from _last_norm(model, text)
        yield from _experts(text, layers)
        yield from _shapes(model, text)


def _layers(model: Patient) -> dict[int, frozenset[str]]:
    """Layer → endings of its tensors' names, after the layer's number."""
    found: dict[int, set[str]] = {}
    for name in model.weights.tensors:
        layer = layer_of(name)
        if layer is not None:
            ending = re.split(rf"\.{layer}\.", name, maxsplit=1)[-1]
            if not ending.endswith("inv_freq"):
                found.setdefault(layer, set()).add(ending)
    return {layer: frozenset(endings) for layer, endings in sorted(found.items())}


def _layer_count(text: Mapping[str, Any], layers: Layers) -> Iterator[Finding]:
    count = next((text[key] for key in LAYER_KEYS if isinstance(text.get(key), int)), None)
    if count is None or not layers:
        return
    lacking = count - sum(layer < count for layer in layers)
    missing = itertools.islice((layer for layer in range(count) if layer not in layers), 5)
    # Layers that predict further tokens are stored after the others and not counted.
    further = text.get("num_nextn_predict_layers")
    extra = sorted(layer for layer in layers if layer >= count + (further if isinstance(further, int) else 0))
    if lacking:
        more = f", … ({lacking - 5} more)" if lacking > 5 else ""
        yield Finding("layers-missing", f"{lacking} of {count} layers: {first_five(missing)}{more}")
    if extra:
        yield Finding("layers-extra", f"the configuration says {count} layers, the files hold {max(layers) + 1}")


def _irregular(text: Mapping[str, Any], layers: Layers) -> dict[str, list[int]]:
    """Ending of a tensor's name → layers that lack it although similar layers have it."""
    lost: dict[str, list[int]] = {}
    if text.get("num_kv_shared_layers"):
        return lost  # some layers use the keys and values of others
    kinds = Counter(layers.values())
    for layer, endings in layers.items():
        for fuller in sorted(kinds, key=len, reverse=True):
            # A single layer with more tensors than all others is of another kind, as those that predict further tokens.
            if kinds[fuller] < kinds[endings]:
                continue
            if endings < fuller and len(fuller) - len(endings) <= LOST_SHARE * len(fuller):
                for ending in fuller - endings:
                    lost.setdefault(ending, []).append(layer)
                break
    return lost


def _missing(text: Mapping[str, Any], layers: Layers, told: Mapping[str, list[int]]) -> Iterator[Finding]:
    """Findings on tensors that the architecture demands of every layer, without those already reported in `told`."""
    known = {(ending.rpartition(".")[0], layer) for ending, where in told.items() for layer in where}
    lost = {
        module: where
        for module, found in lacking(text, layers).items()
        if (where := [layer for layer in found if (module, layer) not in known])
    }
    if lost:
        said = [f"{module} in {len(where)} of {len(layers)} layers" for module, where in sorted(lost.items())]
        yield Finding("tensors-missing", f"model_type {text['model_type']}: {first_five(said)}")


def _promises(text: Mapping[str, Any], layers: Layers) -> Iterator[Finding]:
    missing: dict[str, list[str]] = {}
    flags: dict[str, set[str]] = {}
    for promise in PROMISES:
        if not promise.holds(text):
            continue
        for layer, endings in layers.items():
            if promise.beside in endings and endings.isdisjoint(promise.tensors):
                missing.setdefault(promise.code, []).append(f"layers.{layer}.{promise.tensors[0]}")
                reason = f"{promise.flag} is {promise.value}" if promise.flag else f"model_type {text['model_type']}"
                flags.setdefault(promise.code, set()).add(reason.lower())
    for code, names in missing.items():
        yield Finding(code, f"{len(names)} tensors ({', '.join(sorted(flags[code]))}): {first_five(names)}")
    kept = {f".{ending}" for endings in layers.values() for ending in endings}
    for flag, model_types, ending in SWITCHES:
        if text.get("model_type") in model_types and text.get(flag) is False and ending in kept:
            count = sum(ending[1:] in endings for endings in layers.values())
            yield Finding("biases-ignored", f"{flag} is false, {count} layers hold {ending[1:]}")


def _last_norm(model: Patient, text: Mapping[str, Any]) -> Iterator[Finding]:
    if text.get("model_type") not in LAST_NORM or model.config.get("vision_config"):
        return
    if not any(name.endswith("norm.weight") and layer_of(name) is None for name in model.weights.tensors):
        yield Finding("norm-missing", "there is no norm behind the last layer (model.norm.weight)")


def _experts(text: Mapping[str, Any], layers: Layers) -> Iterator[Finding]:
    count = next((text[key] for key in EXPERT_COUNTS if isinstance(text.get(key), int)), None)
    lacking: list[str] = []
    fused = 0
    for layer, endings in layers.items():
        numbers = {int(match[1]) for ending in endings if (match := re.search(r"\.experts\.(\d+)\.", f".{ending}"))}
        if count and numbers and len(numbers) < count:
            lacking.append(f"layer {layer} has {len(numbers)} of {count}")
        fused += any(ending.endswith("mlp.experts.gate_up_proj") for ending in endings)
    if lacking:
        yield Finding("experts-missing", f"{len(lacking)} layers: {first_five(lacking)}")
    if fused and text.get("model_type") in PER_EXPERT:
        yield Finding("experts-fused", f"{fused} layers hold mlp.experts.gate_up_proj instead of a tensor an expert")


def _shapes(model: Patient, text: Mapping[str, Any]) -> Iterator[Finding]:
    wrong: list[str] = []
    for name, ref in model.weights.tensors.items():
        if layer_of(name) is None or ref.dtype.kind != "float":
            continue
        for ending, keys in SHAPES:
            wanted = tuple(None if key is None else text.get(key) for key in keys)
            if not name.endswith(ending) or not all(isinstance(extent, int) for extent in wanted):
                continue
            if ref.shape != wanted:
                wrong.append(f"{name} {list(ref.shape)} instead of {list(wanted)}")
    wrong += _attention_shapes(model, text)
    wrong += [f"{name} holds no number" for name, ref in model.weights.tensors.items() if _is_empty(name, ref)]
    embedding = find_vocabulary(model.weights.tensors, model.config).embedding
    width = text.get("word_embed_proj_dim", text.get("hidden_size"))
    if embedding is not None and isinstance(width, int) and model.weights.tensors[embedding].shape[1] != width:
        wrong.append(f"{embedding} has {model.weights.tensors[embedding].shape[1]} columns instead of {width}")
    if wrong:
        yield Finding("shapes-differ", f"{len(wrong)} tensors differ from the configuration: {first_five(wrong)}")


def _attention_shapes(model: Patient, text: Mapping[str, Any]) -> Iterator[str]:
    """Check the shapes of query, key, value and output projections by the numbers of heads: one line per difference."""
    if text.get("model_type") not in HEADS_GIVE_SHAPES or text.get("auto_map"):
        return
    hidden, heads, groups = (text.get(key) for key in ("hidden_size", "num_attention_heads", "num_key_value_heads"))
    width = text.get("head_dim")
    if width is None and hidden and heads and text["model_type"] in HEADS_SHARE_WIDTH:
        width = hidden // heads
    if not (hidden and heads and width):
        return
    rows = {"q": heads, "k": groups, "v": groups}
    wanted = {f".self_attn.{part}_proj.weight": (n * width, hidden) for part, n in rows.items() if n}
    wanted[".self_attn.o_proj.weight"] = (hidden, heads * width)
    for name, ref in model.weights.tensors.items():
        shape = wanted.get(f".self_attn.{name.rpartition('.self_attn.')[2]}")
        if shape and layer_of(name) is not None and ref.dtype.kind == "float" and ref.shape != shape:
            yield f"{name} {list(ref.shape)} instead of {list(shape)} by the heads"


def _is_empty(name: str, ref: TensorRef) -> bool:
    """Whether a weight has no elements, as when distributed training saves only its own part."""
    return name.endswith(".weight") and ref.dtype.kind == "float" and ref.elements == 0


def _code(model: Patient) -> Iterator[Finding]:
    classes = model.config.get("auto_map")
    if not isinstance(classes, Mapping):
        return
    # "repository--module.Class" is fetched from that repository.
    needed = {
        f"{value.partition('.')[0]}.py" for value in classes.values() if isinstance(value, str) and "--" not in value
    }
    missing = sorted(needed - model.listing.keys() - model.unreadable.keys())
    if missing:
        yield Finding("code-missing", f"auto_map of config.json needs {first_five(missing)}")
