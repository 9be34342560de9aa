# SPDX-License-Identifier: Apache-2.0
"""Conversion of recipes: mergekit's that mean a chat vector into ours, and ours into mergekit's.

Two shapes of `merge_method: task_arithmetic` mean one, `base_model + Σ weight · (model − base_model)`:

    base_model: TARGET   models: CHAT at +s, BASE at −s            (several chats: BASE at minus their sum)
    base_model: BASE     models: TARGET at 1, CHAT at s            (several chats: each at its own weight)

The second shape has no negative weight: beside a 1, that is nearly always a slip in the first shape. Everything else is
refused by its name. Facts about the format: mergekit 0.1.5, its documentation and black-box runs
(docs/coming-from.md); none of its code is used.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatvector.checkpoint.names import classify
from chatvector.errors import RecipeError, brief, first_five
from chatvector.recipe import Recipe, VectorSpec
from chatvector.yaml_text import NotYaml, parse_yaml

if TYPE_CHECKING:
    from chatvector.checkpoint.tensor_files import TensorFiles

METHOD = "task_arithmetic"
KEYS = ("merge_method", "base_model", "models", "parameters", "dtype", "out_dtype", "tokenizer_source", "tokenizer")
# Dtype code of safetensors → mergekit's word.
DTYPE_WORDS = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
DTYPES = tuple(DTYPE_WORDS.values())
USUAL_DTYPE = "bfloat16"
# Keys that make another kind of merge, with what to do instead.
OTHER_KINDS = {
    "slices": "layers are taken from different models; a chat vector keeps the target's",
    "modules": "parts of a model are merged apart; give the models themselves",
}
ADVICE = "say it with chatvector apply TARGET --base BASE --chat CHAT"


@dataclass(frozen=True)
class Imported:
    """A recipe in our form, and notes for a user of mergekit, one line each."""

    recipe: Recipe
    notes: tuple[str, ...]


def read_mergekit(document: object, where: str) -> Imported | None:
    """The recipe in a parsed YAML document; None when it is no mergekit recipe (it has no `merge_method`).

    Raises RecipeError naming the key, model or value that has no meaning in a chat vector.
    """
    if not isinstance(document, Mapping) or "merge_method" not in document:
        return None
    try:
        return _Reader(document).read()
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def read_mergekit_file(path: Path) -> Imported | None:
    """As `read_mergekit`, from a file. None also where the file cannot be read: our own reader then says why.

    A key that stands twice is therefore an error, where mergekit would take the last.
    """
    try:
        document = parse_yaml(path.read_text("utf-8"), unique_keys=True)
    except (OSError, UnicodeDecodeError, NotYaml):
        return None
    return read_mergekit(document, str(path))


def stored_dtypes(model: TensorFiles) -> list[str]:
    """mergekit's words for the float dtypes in which a model is stored, the one with the most bytes first."""
    sizes: dict[str, int] = {}
    for tensor in model.tensors.values():
        if tensor.dtype.kind == "float":
            word = DTYPE_WORDS[tensor.dtype.code]
            sizes[word] = sizes.get(word, 0) + tensor.nbytes
    return sorted(sizes, key=lambda word: -sizes[word])


def write_mergekit(recipe: Recipe, out_dtype: str = USUAL_DTYPE) -> str:
    """The recipe as YAML for mergekit: weights in float32 (float64 for an output in it), rounded once at the end.

    Args:
        recipe: ours.
        out_dtype: one of `DTYPES`. mergekit writes every tensor in it; chatvector keeps each target tensor's dtype.

    Raises RecipeError naming what mergekit cannot express, or a path that it would misread.
    """
    lacking = _lacking(recipe)
    if lacking:
        raise RecipeError(f"mergekit has nothing for {first_five(lacking)}; take it out of the recipe, or merge here")
    weights: dict[str, float] = {}
    for vector in recipe.vectors:
        assert vector.base is not None
        assert vector.chat is not None
        for name, weight in ((vector.chat, vector.scale), (vector.base, -vector.scale)):
            place = _place(name)
            weights[place] = weights.get(place, 0.0) + weight
    target = _place(recipe.target)
    weights.pop(target, None)  # against itself it has no difference
    dtype = "float64" if out_dtype == "float64" else "float32"
    document = {
        "merge_method": METHOD,
        "base_model": target,
        "models": [{"model": name, "parameters": {"weight": weight}} for name, weight in weights.items()],
        "parameters": {"normalize": False},
        "dtype": dtype,
        "out_dtype": out_dtype,
    }
    return _HEAD.format(dtype=dtype, out_dtype=out_dtype) + _yaml(document)


_HEAD = """\
# Written by chatvector for mergekit 0.1.5: target + scale · (chat − base), computed in {dtype}, written in {out_dtype}.
# Tokenizer, configuration and generation settings will be the target's: mergekit moves no chat template, no stop ids
# and no rows of template tokens. Where the tokenizers differ it asks for: tokenizer: {{source: base}}
"""


class _Reader:
    """Reader of one document. Its methods raise RecipeError; the message lacks the file's name."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.notes: list[str] = []

    def read(self) -> Imported:
        self._require_method()
        base_model = self._model_name(self.document.get("base_model"), "base_model")
        factor, default = self._global_parameters()
        weights = self._weights(default)
        weights.pop(base_model, None)  # against itself it has no difference
        target, base, chats = _roles(base_model, weights, factor)
        vectors = tuple(VectorSpec(base=base, chat=chat, scale=scale) for chat, scale in chats.items())
        self.notes.append(f"read as {_formula(target, base, chats)}")
        self._explain_tokenizer(base_model, target, list(chats))
        self._explain_dtypes()
        return Imported(Recipe(target=target, vectors=vectors), tuple(self.notes))

    def _require_method(self) -> None:
        for key, reason in OTHER_KINDS.items():
            if key in self.document:
                raise RecipeError(f"mergekit recipe with {key}: {reason}")
        method = self.document["merge_method"]
        if method != METHOD:
            called = brief(method) if isinstance(method, str) else _quoted(method)
            raise RecipeError(
                f"merge_method {called} is no chat vector; only {METHOD} adds chat − base to a target; {ADVICE}"
            )
        unknown = _unknown(self.document, {*KEYS, "chat_template"})
        if unknown:
            raise RecipeError(f"unknown keys {first_five(unknown)} (mergekit would ignore them); take them out")

    def _global_parameters(self) -> tuple[float, float | None]:
        """`lambda`, the factor on everything, and the weight of models that have none of their own."""
        parameters = self._section(self.document, "parameters", "parameters")
        unknown = _unknown(parameters, {"weight", "normalize", "lambda", "int8_mask"})
        if unknown:
            raise RecipeError(
                f"parameters {first_five(unknown)} change or mean nothing in a chat vector; take them out"
            )
        if self._number_or_flag(parameters.get("normalize", False), "parameters.normalize"):
            raise RecipeError(
                "parameters.normalize divides by the sum of the weights, which is no chat vector: set false"
            )
        weight = parameters.get("weight")
        factor = self._number(parameters.get("lambda", 1.0), "parameters.lambda")
        return factor, None if weight is None else self._number(weight, "parameters.weight")

    def _weights(self, default: float | None) -> dict[str, float]:
        models = self.document.get("models")
        if not isinstance(models, list) or not models:
            raise RecipeError("models must be a list of models")
        weights: dict[str, float] = {}
        for number, entry in enumerate(models):
            where = f"models[{number}]"
            entry = self._mapping(entry, where)
            name = self._model_name(entry.get("model"), f"{where}.model")
            parameters = self._section(entry, "parameters", f"{where}.parameters")
            unknown = _unknown(entry, {"model", "parameters"}) + _unknown(parameters, {"weight"})
            if unknown:
                raise RecipeError(
                    f"{name}: {first_five(unknown)} change or mean nothing in a chat vector; take them out"
                )
            if name in weights:
                raise RecipeError(f"{name}: is listed twice")
            if "weight" in parameters:
                weights[name] = self._number(parameters["weight"], f"weight of {name}")
            elif default is not None:
                weights[name] = default
            elif name == self.document.get("base_model"):
                weights[name] = 0.0
            else:
                raise RecipeError(f"{name}: has no weight")
        return weights

    def _explain_tokenizer(self, base_model: str, target: str, chats: list[str]) -> None:
        """Add notes on whose tokenizer and template mergekit would have taken, and what happens here."""
        ours = f"here they are {target}'s, with template, stop ids and token rows of {' or '.join(chats)}"
        tokenizer = self._section(self.document, "tokenizer", "tokenizer")
        unknown = _unknown(tokenizer, {"source"})
        if unknown:
            raise RecipeError(
                f"tokenizer: {first_five(unknown)} cannot be kept; rows meet by token here, take them out"
            )
        named = {"tokenizer.source": tokenizer.get("source"), "tokenizer_source": self.document.get("tokenizer_source")}
        sources = [self._model_name(source, key) for key, source in named.items() if source is not None]
        if not sources:
            lost = f", and lose every token that only {target} has" if base_model != target else ""
            self.notes.append(
                f"mergekit would take tokenizer, chat template and generation settings from its base_model"
                f" {base_model}{lost}; {ours}"
            )
        else:
            whose = {"base": f"its base_model {base_model}", "union": "all models together"}.get(sources[0], sources[0])
            self.notes.append(
                f"mergekit would take tokenizer and chat template from {whose}, and write no generation_config.json;"
                f" {ours}"
            )
        template = self.document.get("chat_template")
        if template is not None:
            if not isinstance(template, str):
                raise RecipeError(f"chat_template: {_quoted(template)} is neither a name nor a template; take it out")
            called = "a template of its own" if "{" in template else repr(template)
            self.notes.append(
                f"chat_template {called} is not followed: the chat model's own is taken; for another one --set"
                " chat_format=FILE.jinja"
            )

    def _explain_dtypes(self) -> None:
        dtype, out_dtype = (self._dtype(key) for key in ("dtype", "out_dtype"))
        if dtype not in ("float32", "float64"):
            how = f"in {dtype}" if dtype else "in the dtype of the files"
            self.notes.append(f"mergekit would compute {how}; here it is float32 or wider, rounded once")
        if (out_dtype or dtype) is not None:
            self.notes.append(
                f"the output keeps each dtype of the target, whatever {'out_' if out_dtype else ''}dtype says"
            )

    def _dtype(self, key: str) -> str | None:
        value = self.document.get(key)
        if value is not None and value not in DTYPES:
            raise RecipeError(f"{key}: {_quoted(value)} is none of {', '.join(DTYPES)}")
        return value

    def _model_name(self, value: object, where: str) -> str:
        if isinstance(value, Mapping):
            raise RecipeError(f"{where}: write the model's name as text, name@revision for a revision")
        if not isinstance(value, str) or not value.strip():
            raise RecipeError(f"{where} names no model")
        if "+" in value and not os.path.exists(os.path.expanduser(value)):
            raise RecipeError(f"{value}: is a model with a LoRA (after the +); merge the LoRA into its model first")
        return value

    def _mapping(self, value: object, where: str) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        raise RecipeError(f"{where}: must be a mapping of names to values")

    def _section(self, place: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
        """A mapping inside another; {} where the key is missing or has no value."""
        value = place.get(key)
        return {} if value is None else self._mapping(value, where)

    def _number_or_flag(self, value: object, where: str) -> float:
        return float(value) if isinstance(value, bool) else self._number(value, where)

    def _number(self, value: object, where: str) -> float:
        if isinstance(value, list):
            kind = "a list of filters" if value and isinstance(value[0], Mapping) else "a gradient over layers"
            raise RecipeError(
                f"{where}: is {kind}; only one number a model is read. Here that is scale_tensors, scale_role or"
                " scale_layers (docs/recipe.md)"
            )
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else _as_float(value)
        if not math.isfinite(number):
            raise RecipeError(f"{where}: {_quoted(value)} is no finite number")
        return number


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def _unknown(place: Mapping[str, Any], known: set[str]) -> list[str]:
    """Keys of `place` that are not in `known`, as text: keys in YAML may be numbers, dates or null."""
    return sorted(str(key) for key in place if key not in known)


def _quoted(value: object) -> str:
    """A value for a message. Only the kind of a list or mapping: aliases turn a few lines of YAML into endless text."""
    if isinstance(value, str | int | float | None):
        return brief(repr(value))
    return f"a {'mapping' if isinstance(value, Mapping) else type(value).__name__}"


def _roles(base_model: str, weights: Mapping[str, float], factor: float) -> tuple[str, str, dict[str, float]]:
    """Target, base, and chat → scale: the two shapes of this module, told apart by the sum of the weights."""
    listed = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    negative = [name for name, weight in weights.items() if weight < 0]
    total = sum(weights.values())
    if len(negative) == 1 and math.isclose(total, 0.0, abs_tol=1e-9 * max(abs(w) for w in weights.values())):
        chats = {name: weight * factor for name, weight in weights.items() if weight > 0}
        if not all(map(math.isfinite, chats.values())):
            raise RecipeError(f"parameters.lambda {factor:g} times the weights {listed} is no finite number")
        return base_model, negative[0], chats
    if negative and math.isfinite(total):
        raise RecipeError(_uncancelled(base_model, weights, factor, listed))
    if factor != 1:
        raise RecipeError(f"parameters.lambda {factor:g} would scale the target as well; set 1")
    whole = [name for name, weight in weights.items() if weight == 1]
    others = {name: weight for name, weight in weights.items() if weight != 1 and weight != 0}
    if len(whole) == 1 and others:
        return whole[0], base_model, others
    if len(whole) == 2 and not others:
        one, two = whole
        raise RecipeError(
            f"{one} and {two} both have weight 1: only you know which is the target. chatvector apply {one} --base"
            f" {base_model} --chat {two}, or the other way round"
        )
    raise RecipeError(
        f"no chat vector: with base_model {base_model} and the weights {listed}, neither do +s and −s cancel"
        f" (base_model the target), nor is one model at 1 and another at s (base_model the base); {ADVICE}"
    )


def _formula(target: str, base: str, chats: Mapping[str, float]) -> str:
    terms = " ".join(f"{'−' if scale < 0 else '+'} {abs(scale):g} · ({chat} − {base})" for chat, scale in chats.items())
    return f"{target} {terms}"


def _uncancelled(base_model: str, weights: Mapping[str, float], factor: float, listed: str) -> str:
    """The message for weights that are partly negative: what is wrong, and the line or command probably meant."""
    negative = [name for name, weight in weights.items() if weight < 0]
    positive = {name: weight for name, weight in weights.items() if weight > 0}
    found = f"no chat vector: with base_model {base_model} and the weights {listed}"
    if len(negative) != 1:
        return f"{found}, {len(negative)} are negative, where a chat vector has one base; {ADVICE}"
    base = negative[0]
    meant: list[str] = []
    if positive:
        scaled = {name: weight * factor for name, weight in positive.items()}
        meant.append(
            f"for {_formula(base_model, base, scaled)} write {{model: {base}, parameters: {{weight:"
            f" {-sum(positive.values()):g}}}}}"
        )
    if list(positive.values()) == [1] and factor == 1:
        target, scale = next(iter(positive)), weights[base]
        meant.append(
            f"for {_formula(target, base_model, {base: scale})} say chatvector apply {target} --base {base_model}"
            f" --chat {base} --scale {scale:g}"
        )
    return f"{found}, +s and −s do not cancel; {'; '.join(meant) or ADVICE}"


def _lacking(recipe: Recipe) -> list[str]:
    found: list[str] = []
    for number, vector in enumerate(recipe.vectors):
        found += [f"vectors.{number}.vector (a vector on disk)"] if vector.vector is not None else []
        rules = ("scale_role", "scale_layers", "scale_tensors")
        found += [f"vectors.{number}.{name}" for name in rules if getattr(vector, name)]
    if recipe.vocabulary != "shared":
        found.append(f"vocabulary: {recipe.vocabulary}")
    if recipe.chat_format not in ("auto", "target"):
        found.append(f"chat_format: {recipe.chat_format}")
    if recipe.system_prompt != "keep":
        found.append("system_prompt")
    return found


def _place(name: str) -> str:
    """A model's name as mergekit takes it: absolute paths, in which neither @ nor + may have a special meaning."""
    location = classify(name)
    if location.path is None:
        return name
    path = str(location.path.absolute())
    if re.search(r"[@+]", path):
        raise RecipeError(f"{path}: mergekit reads @ as a revision and + as a LoRA; rename the directory")
    return path


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
