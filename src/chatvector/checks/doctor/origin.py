# SPDX-License-Identifier: Apache-2.0
"""Traces of where a model comes from: mergekit's recipe, its card, what libraries leave in configurations.

mergekit's rules for tokenizer and template were read from its behaviour (version 0.1.5): without a tokenizer section
everything but weights comes from `base_model`, or from the first model where there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.patient import Patient
from chatvector.errors import first_five
from chatvector.provenance.manifest import MANIFEST
from chatvector.vocabulary.tokens import TOKENIZER_CONFIG
from chatvector.yaml_text import NotYaml, parse_yaml

MERGEKIT_CONFIG = "mergekit_config.yml"
CARD = "README.md"
# Of a directory; in hub names @ is a revision.
_LOCAL_NAME = re.compile(r"[/.~]|[A-Za-z]:")
LEAKED_KEYS = ("is_local", "local_files_only")

# What mergekit 0.1.5 takes at the top of a recipe, and as parameters of task_arithmetic; it passes over anything else.
RECIPE_KEYS = (
    *("merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype"),
    *("tokenizer", "tokenizer_source", "chat_template"),
)
PARAMETERS = ("weight", "normalize", "lambda", "int8_mask", "density", "rescale")

_CHAT_NAME = re.compile(r"(?:^|[^A-Za-z])(?:chat|instruct|it|sft|dpo|assistant)(?:$|[^A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True)
class MergekitRecipe:
    """What of mergekit's recipe bears on a chat vector.

    Attributes:
        method: merge_method.
        weights: model → its weight, of those that have one number.
        root: base_model, or the first model.
        tokenizer: which model gave the tokenizer (and the template, unless `template` says otherwise).
        template: `chat_template` of the recipe, if any.
        dtype: in which numbers are computed, if it says so.
        unknown: keys that mergekit has no meaning for.
    """

    method: str
    weights: Mapping[str, float]
    root: str
    tokenizer: str
    template: str | None
    dtype: str | None
    unknown: tuple[str, ...]

    @property
    def parents(self) -> set[str]:
        """All models that it names."""
        return {self.root, *self.weights} - {""}

    @property
    def coefficients(self) -> dict[str, float]:
        """What each model is multiplied with in the sum root + Σ w·(model − root)."""
        others = {name: weight for name, weight in self.weights.items() if name != self.root}
        return {**others, self.root: 1 - sum(others.values())}


def check_origin(model: Patient) -> Iterator[Finding]:
    """What files beside the weights tell."""
    recipe = read_mergekit(model)
    card = _front_matter(model)
    if recipe is not None:
        yield from _mergekit(recipe)
        named = card.get("base_model")
        bases = [named] if isinstance(named, str) else named if isinstance(named, list) else []
        parents = {_short(name) for name in recipe.parents}
        strange = [name for name in bases if isinstance(name, str) and _short(name) not in parents]
        if strange:
            yield Finding(
                "readme-base", f"{CARD} names {first_five(strange)}, the recipe {first_five(sorted(parents))}"
            )
    elif "mergekit" in (card.get("tags") or ()):
        yield Finding("mergekit", f"by the tags of {CARD}; its recipe ({MERGEKIT_CONFIG}) is not there")
    yield from _tokenizer_config(model)


def calls_itself_chat(model: Patient) -> str | None:
    """Why this should be a chat model: its own name, a parent's or its manifest; None when nothing says so."""
    own = _short(model.name)
    if _CHAT_NAME.search(own):
        return f"it is called {own}"
    recipe = read_mergekit(model)
    parents = sorted(name for name in recipe.parents if _CHAT_NAME.search(_short(name))) if recipe else []
    if parents:
        return f"{parents[0]} is among its parents"
    return f"{MANIFEST} says that it was written with one" if _written_with_template(model) else None


def _written_with_template(model: Patient) -> bool:
    try:
        document = json.loads(model.text(MANIFEST) or "{}")
        return bool(document["chat_format"]["templates"])
    except (ValueError, RecursionError, LookupError, TypeError):
        return False


def read_mergekit(model: Patient) -> MergekitRecipe | None:
    """The recipe beside the model; None without one, or when it cannot be read."""
    try:
        document = parse_yaml(model.text(MERGEKIT_CONFIG) or "")
    except NotYaml:
        return None
    if not isinstance(document, Mapping) or "merge_method" not in document:
        return None
    listed: list[tuple[str, float | None]] = [
        (_name(entry.get("model")), _weight(entry))
        for source in (document, *(part for part in document.get("slices") or () if isinstance(part, Mapping)))
        for entry in source.get("models") or source.get("sources") or ()
        if isinstance(entry, Mapping)
    ]
    root = _name(document.get("base_model")) or next((name for name, _ in listed), "")
    settings = document.get("tokenizer")
    source = settings.get("source") if isinstance(settings, Mapping) else document.get("tokenizer_source")
    tokenizer = root if source in (None, "base") else _name(source)
    template = document.get("chat_template")
    weights = {name: 1.0 if weight is None else weight for name, weight in listed if name}
    unknown = [str(key) for key in document if key not in RECIPE_KEYS]
    if document["merge_method"] == "task_arithmetic":
        unknown += _unknown_parameters(document)
    return MergekitRecipe(
        str(document["merge_method"]),
        weights,
        root,
        tokenizer,
        template if isinstance(template, str) else None,
        dtype if isinstance(dtype := document.get("dtype"), str) else None,
        tuple(dict.fromkeys(unknown)),
    )


def _unknown_parameters(document: Mapping[str, Any]) -> list[str]:
    places = [document, *(entry for entry in document.get("models") or () if isinstance(entry, Mapping))]
    given = (place.get("parameters") for place in places)
    return [str(key) for one in given if isinstance(one, Mapping) for key in one if key not in PARAMETERS]


def _mergekit(recipe: MergekitRecipe) -> Iterator[Finding]:
    template = f"chat_template {recipe.template!r}" if recipe.template else "no other template asked for"
    yield Finding("mergekit", f"{recipe.method}; tokenizer and template from {recipe.tokenizer or '?'}, {template}")
    if recipe.unknown:
        yield Finding("recipe-keys", f"{MERGEKIT_CONFIG}: {first_five(recipe.unknown)}")
    if misread := sorted(name for name in recipe.parents if _LOCAL_NAME.match(name) and set(name) & {"@", "+"}):
        yield Finding("recipe-path", f"{MERGEKIT_CONFIG}: {first_five(misread)}")
    if recipe.method != "task_arithmetic":
        return
    if recipe.dtype in ("bfloat16", "float16"):
        yield Finding("half-arithmetic", f"{MERGEKIT_CONFIG}: dtype: {recipe.dtype}")
    coefficients = recipe.coefficients
    if all(value >= 0 for value in coefficients.values()):
        said = ", ".join(f"{value:g} · {name}" for name, value in coefficients.items())
        yield Finding("not-a-chat-vector", f"the sum is {said}: no model is subtracted")
    elif coefficients.get(recipe.tokenizer, 0) < 0:
        yield Finding("tokenizer-parent", f"{recipe.tokenizer} is subtracted, and gave the tokenizer")


def _tokenizer_config(model: Patient) -> Iterator[Finding]:
    try:
        config = json.loads(model.text(TOKENIZER_CONFIG) or "{}")
    except (ValueError, RecursionError):
        return
    if not isinstance(config, dict):
        return
    if config.get("tokenizer_class") == "TokenizersBackend":
        yield Finding("tokenizer-class", f"in {TOKENIZER_CONFIG}")
    leaked = [key for key in LEAKED_KEYS if key in config]
    if leaked:
        yield Finding("config-leak", f"{TOKENIZER_CONFIG}: {first_five(leaked)}")


def _front_matter(model: Patient) -> Mapping[str, Any]:
    """The YAML head of the card; {} without one."""
    match = re.match(r"---\r?\n(.*?)\r?\n---", model.text(CARD) or "", re.DOTALL)
    try:
        head = parse_yaml(match[1]) if match else {}
    except NotYaml:
        return {}
    return head if isinstance(head, Mapping) else {}


def _name(value: object) -> str:
    """A model as mergekit spells it: text, or a mapping with `path` inside."""
    while isinstance(value, Mapping):
        value = value.get("path") or value.get("model")
    return value if isinstance(value, str) else ""


def _weight(entry: Mapping[str, Any]) -> float | None:
    parameters = entry.get("parameters")
    weight = parameters.get("weight") if isinstance(parameters, Mapping) else None
    return float(weight) if isinstance(weight, int | float) else None


def _short(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].partition("@")[0]
