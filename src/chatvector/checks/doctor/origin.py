# SPDX-License-Identifier: Apache-2.0
"""Traces of a model's origin: mergekit's recipe, the card, entries that libraries leave in configurations.

mergekit's rules for tokenizer and template were found by observing it (version 0.1.5): without a tokenizer section
everything but weights comes from `base_model`, or from the first model where there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.patient import Patient
from chatvector.checks.rope import default_rope, rope_of
from chatvector.errors import DamagedFile, brief, first_five
from chatvector.provenance.manifest import MANIFEST, parse_manifest
from chatvector.vocabulary.side_files import text_config
from chatvector.vocabulary.tokens import TOKENIZER_CONFIG
from chatvector.yaml_text import NotYaml, parse_yaml

MERGEKIT_CONFIG = "mergekit_config.yml"
CARD = "README.md"
# Names of mergekit's recipe beside a model. The card has a copy in a code block, which remains without the file.
RECIPE_FILES = (MERGEKIT_CONFIG, "mergekit_config.yaml")
_YAML_BLOCK = re.compile(r"^```ya?ml[ \t]*\r?\n(.*?)^```", re.DOTALL | re.MULTILINE)
# The @ of a directory is part of its name; in hub names it starts a revision.
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
    """The parts of a mergekit recipe that matter for a chat vector.

    Attributes:
        file: file that it was read from.
        method: merge_method.
        weights: model → its weight, 1 where it has none.
        varied: models whose weight is not one number but varies by layer or name.
        root: base_model, or the first model.
        tokenizer: model that gave the tokenizer (and the template, unless `template` says otherwise).
        template: `chat_template` of the recipe, if any.
        dtype: dtype of the computation, if the recipe gives one.
        unknown: keys that have no meaning for mergekit.
    """

    file: str
    method: str
    weights: Mapping[str, float]
    varied: tuple[str, ...]
    root: str
    tokenizer: str
    template: str | None
    dtype: str | None
    unknown: tuple[str, ...]

    @property
    def parents(self) -> set[str]:
        """All models that the recipe names."""
        return {self.root, *self.weights} - {""}

    @property
    def coefficients(self) -> dict[str, float]:
        """Model → its coefficient in the sum root + Σ w·(model − root)."""
        others = {name: weight for name, weight in self.weights.items() if name != self.root}
        return {**others, self.root: 1 - sum(others.values())}


class NoRecipe(ValueError):
    """`file` holds a mergekit recipe that cannot be read. The message says why."""

    file = MERGEKIT_CONFIG


def check_origin(model: Patient) -> Iterator[Finding]:
    """Findings about the model's origin, from the files beside the weights."""
    yield from _manifest(model)
    card = _front_matter(model)
    try:
        recipe = read_mergekit(model)
    except NoRecipe as problem:
        yield Finding("mergekit", f"its recipe ({problem.file}) cannot be read: {problem}")
    else:
        if recipe is not None:
            yield from _mergekit(recipe)
            yield from _card_beside(recipe, card)
            yield from _positions(model, recipe)
        elif _is_tagged(card):
            yield Finding("mergekit", f"by the tags of {CARD}; its recipe ({MERGEKIT_CONFIG}) is not there")
    yield from _tokenizer_config(model)


def _manifest(model: Patient) -> Iterator[Finding]:
    text = model.text(MANIFEST)
    if text is None:
        return
    try:
        parse_manifest(text.encode(), MANIFEST)
    except DamagedFile as problem:  # a manifest of another version is not damaged: verify reports it
        yield Finding("manifest-damaged", str(problem))


def calls_itself_chat(model: Patient) -> str | None:
    """The sign that this should be a chat model: its name, a parent's name or its manifest; None without any."""
    own = _short(model.name)
    if _CHAT_NAME.search(own):
        return f"it is called {own}"
    try:
        recipe = read_mergekit(model)
    except NoRecipe:
        recipe = None
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
    """The recipe beside the model, or in its card; None without one. Raises NoRecipe for a file that is no recipe."""
    for file in RECIPE_FILES:
        if (text := model.text(file)) is not None:
            return _parsed(text, file)
    if not _is_tagged(_front_matter(model)):
        return None
    blocks = (match[1] for match in _YAML_BLOCK.finditer(model.text(CARD) or ""))
    text = next((text for text in blocks if re.search(r"^merge_method\s*:", text, re.MULTILINE)), None)
    return None if text is None else _parsed(text, CARD)


def _parsed(text: str, file: str) -> MergekitRecipe:
    try:
        return parse_mergekit(text, file)
    except NoRecipe as problem:
        problem.file = file
        raise


def parse_mergekit(text: str, file: str) -> MergekitRecipe:
    """Parse a recipe. Raises NoRecipe for text that is no YAML, and for parts that mergekit could not have read."""
    try:
        document = parse_yaml(text)
    except NotYaml as error:
        raise NoRecipe(f"no YAML ({brief(error)})") from None
    if not isinstance(document, Mapping) or not isinstance(document.get("merge_method"), str):
        raise NoRecipe("it is no mapping with a merge_method")
    slices = [part for part in _entries(document, "slices") if isinstance(part, Mapping)]
    listed = [
        (_name(entry.get("model")), entry)
        for source in (document, *slices)
        for entry in _entries(source, "models") or _entries(source, "sources")
        if isinstance(entry, Mapping)
    ]
    root = _name(document.get("base_model")) or next((name for name, _ in listed), "")
    settings = document.get("tokenizer")
    source = settings.get("source") if isinstance(settings, Mapping) else document.get("tokenizer_source")
    tokenizer = root if source in (None, "base") else _name(source)
    template = document.get("chat_template")
    given = {name: _weight(entry) for name, entry in listed if name}
    unknown = [str(key) for key in document if key not in RECIPE_KEYS]
    if document["merge_method"] == "task_arithmetic":
        unknown += _unknown_parameters(document)
    return MergekitRecipe(
        file,
        document["merge_method"],
        {name: weight if isinstance(weight, float) else 1.0 for name, weight in given.items()},
        tuple(name for name, weight in given.items() if not isinstance(weight, float | None)),
        root,
        tokenizer,
        template if isinstance(template, str) else None,
        dtype if isinstance(dtype := document.get("dtype"), str) else None,
        tuple(dict.fromkeys(unknown)),
    )


def _unknown_parameters(document: Mapping[str, Any]) -> list[str]:
    places = [document, *(entry for entry in _entries(document, "models") if isinstance(entry, Mapping))]
    given = (place.get("parameters") for place in places)
    return [str(key) for one in given if isinstance(one, Mapping) for key in one if key not in PARAMETERS]


def _mergekit(recipe: MergekitRecipe) -> Iterator[Finding]:
    template = f"chat_template {recipe.template!r}" if recipe.template else "no other template asked for"
    parents = [f"{recipe.root} as its base"] if recipe.root else []
    parents += [f"{name} ({_said(recipe, name)})" for name in recipe.weights if name != recipe.root]
    said = f"{recipe.method} of {first_five(parents)}" if parents else recipe.method
    yield Finding("mergekit", f"{said}; tokenizer and template from {recipe.tokenizer or '?'}, {template}")
    if recipe.unknown:
        yield Finding("recipe-keys", f"{recipe.file}: {first_five(recipe.unknown)}")
    if misread := sorted(name for name in recipe.parents if _LOCAL_NAME.match(name) and set(name) & {"@", "+"}):
        yield Finding("recipe-path", f"{recipe.file}: {first_five(misread)}")
    if recipe.method != "task_arithmetic":
        return
    if recipe.dtype in ("bfloat16", "float16"):
        yield Finding("half-arithmetic", f"{recipe.file}: dtype: {recipe.dtype}")
    if recipe.varied:
        return  # no single sum holds for all tensors
    coefficients = recipe.coefficients
    if all(value >= 0 for value in coefficients.values()):
        said = ", ".join(f"{value:g} · {name}" for name, value in coefficients.items())
        yield Finding("not-a-chat-vector", f"the sum is {said}: no model is subtracted")
    elif coefficients.get(recipe.tokenizer, 0) < 0:
        yield Finding("tokenizer-parent", f"{recipe.tokenizer} is subtracted, and gave the tokenizer")


def _said(recipe: MergekitRecipe, name: str) -> str:
    return "by layer or name" if name in recipe.varied else f"{recipe.weights[name]:g}"


def _card_beside(recipe: MergekitRecipe, card: Mapping[str, Any]) -> Iterator[Finding]:
    parents = {_short(name) for name in recipe.parents}
    strange = [name for name in _texts(card.get("base_model")) if _short(name) not in parents]
    if strange:
        yield Finding("readme-base", f"{CARD} names {first_five(strange)}, the recipe {first_five(sorted(parents))}")


def _positions(model: Patient, recipe: MergekitRecipe) -> Iterator[Finding]:
    """Compare rotary positions with those of the parent that gave the configuration, if it is on this machine."""
    try:
        file = Path(recipe.root).expanduser() / "config.json"
        parent = json.loads(file.read_bytes()) if file.is_absolute() and file.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long a name, no permission, unknown ~user, JSON nested too deeply
        return
    if not isinstance(parent, dict) or not model.config:
        return
    own, its = (rope_of(text) or default_rope(text) for text in map(text_config, (model.config, parent)))
    if differ := sorted(key for key in own.keys() | its.keys() if own.get(key) != its.get(key)):
        said = first_five(f"{key} {own.get(key, 'none')} instead of {its.get(key, 'none')}" for key in differ)
        yield Finding("positions-differ", f"config.json against {recipe.root}: {said}")


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


def _is_tagged(card: Mapping[str, Any]) -> bool:
    return "mergekit" in _texts(card.get("tags"))


def _texts(value: object) -> list[str]:
    """The texts in a value of a card, which may be one text or a list; [] for anything else."""
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]


def _entries(place: Mapping[str, Any], key: str) -> list[Any]:
    """A list inside a recipe; [] where the key is missing or empty. Raises NoRecipe for anything else."""
    value = place.get(key)
    if value is not None and not isinstance(value, list):
        raise NoRecipe(f"{key} is no list")
    return value or []


def _name(value: object) -> str:
    """A model's name in any of mergekit's forms: text, a mapping with `path`, or one with such a mapping as `model`."""
    for _ in range(2):
        if isinstance(value, Mapping):
            value = value.get("path") or value.get("model")
    return value if isinstance(value, str) else ""


def _weight(entry: Mapping[str, Any]) -> object:
    """The weight as a float; None where there is none; other values, such as lists by layer or name, unchanged."""
    parameters = entry.get("parameters")
    weight = parameters.get("weight") if isinstance(parameters, Mapping) else None
    try:
        return float(weight) if isinstance(weight, int | float) else weight
    except OverflowError:
        raise NoRecipe("a weight is an integer of hundreds of digits") from None


def _short(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].partition("@")[0]
