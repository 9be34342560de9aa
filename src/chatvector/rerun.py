# SPDX-License-Identifier: Apache-2.0
"""From a recipe file or the manifest of an earlier output to a recipe that can be run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector import __version__
from chatvector.arithmetic.sources import PairVector
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.fingerprint import THIN_MARK, fingerprint_like
from chatvector.checkpoint.hub import read_small_file
from chatvector.checkpoint.locate import open_storage
from chatvector.checkpoint.names import classify, is_store
from chatvector.checkpoint.remote import RemoteStorage
from chatvector.checkpoint.storage import Storage
from chatvector.errors import InputError, MissingInput, UsageError, brief, first_five
from chatvector.mergekit_recipes import read_mergekit_file
from chatvector.messages import Say, silent
from chatvector.origins import parents_of
from chatvector.preparation import Job
from chatvector.provenance.licences import judge
from chatvector.provenance.manifest import MANIFEST, parse_manifest, read_manifest
from chatvector.recipe import Recipe
from chatvector.record import names_a_file


@dataclass(frozen=True)
class Loaded:
    """A recipe, and a check of its job that has to pass before anything is written."""

    recipe: Recipe
    check: Callable[[Job], None]
    notes: tuple[str, ...] = ()
    """Notes for the user on a recipe that was written for another tool."""


def load_recipe(path: Path, settings: list[str], output: str | None) -> Loaded:
    """Read YAML (ours, or mergekit's where it means a chat vector), or a manifest, with overrides.

    Raises MissingInput, DamagedFile, RecipeError; UsageError for a manifest whose run section was stripped.
    """
    if not _is_manifest(path):
        recipe, notes = _recipe_in(path)
        return Loaded(_overridden(recipe, settings, output), _accept, notes)
    return _of_manifest(read_manifest(path), str(path), settings, output)


def model_of_manifest(name: str) -> str | None:
    """The model on the hub or in an object store that `name`, a manifest, belongs to; None for a local path."""
    model, _, file = name.rpartition("/")
    if file != MANIFEST or os.path.lexists(name):
        return None
    try:
        return model if is_store(name) or classify(model).kind == "hub" else None
    except (MissingInput, UsageError):
        return None


def load_from_afar(model: str, settings: list[str], output: str | None, say: Say) -> Loaded:
    """As `load_recipe`, from the manifest of a model on the hub or in an object store.

    Also raises what `open_storage` raises.
    """
    storage, revision = open_storage(model, say, stream=True)
    try:
        data = manifest_bytes(storage, storage.listing(), model, revision)
    finally:
        if isinstance(storage, RemoteStorage):
            storage.close()
    where = f"{model}/{MANIFEST}"
    return _of_manifest(parse_manifest(data, where), where, settings, output)


def manifest_bytes(storage: Storage, listing: Mapping[str, int], model: str, revision: str | None) -> bytes:
    """The manifest of a model whose storage is open. Raises MissingInput where it has none, HubError."""
    if MANIFEST in listing:
        return storage.read(MANIFEST)
    location = classify(model)
    found = None
    if location.repo_id is not None and revision is not None:
        # A download brings what a loader needs, which does not include the manifest.
        found = read_small_file(location.repo_id, revision, MANIFEST)
    if found is None:
        raise MissingInput(
            f"{model}: has no {MANIFEST}, so nothing says what it should be; `chatvector doctor` examines any model"
        )
    return found


def _of_manifest(manifest: Mapping[str, Any], path: str, settings: list[str], output: str | None) -> Loaded:
    recipe = recipe_of(manifest, path, format_is_given=any(one.startswith("chat_format=") for one in settings))
    recorded = _places(recipe)
    # The manifest's own output exists already, so the user has to name another.
    recipe = _overridden(recipe.model_copy(update={"output": None}), settings, output)
    if recipe.output is None:
        own = manifest.get("run", {}).get("output")
        raise UsageError(f"{path}: name the new output with -o" + (f" (the manifest's own is {own})" if own else ""))
    kept = dict(recorded.items() & _places(recipe).items())
    return Loaded(recipe, _same_parents(manifest, path, kept))


def read_recipe(path: Path, settings: list[str]) -> Recipe:
    """The recipe in a file or manifest, with overrides, for other purposes than running it."""
    recipe = recipe_of(read_manifest(path), str(path)) if _is_manifest(path) else _recipe_in(path)[0]
    return _overridden(recipe, settings, None)


def _is_manifest(path: Path) -> bool:
    """Whether a file is to be read as a manifest. JSON alone does not decide it: recipes may be JSON, which is YAML."""
    if path.suffix != ".json":
        return False
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True  # the reader of manifests says what is wrong
    return not (isinstance(document, dict) and "kind" not in document and "vectors" in document)


def _recipe_in(path: Path) -> tuple[Recipe, tuple[str, ...]]:
    imported = read_mergekit_file(path)
    return (Recipe.from_file(path), ()) if imported is None else (imported.recipe, imported.notes)


def recipe_of(manifest: Mapping[str, Any], path: str, *, format_is_given: bool = False) -> Recipe:
    """The recipe of a model's manifest, hub names pinned to the commits that were read.

    A published manifest has no paths; it has the hub names of those parents that have one. Raises UsageError for the
    manifest of a vector, and for a published manifest with a parent that has no public name, or with a chat format
    from a file, unless `format_is_given` by an override.
    """
    if manifest["kind"] != "model":
        folder = path.rpartition("/")[0] or "."
        raise UsageError(f"{path}: is the manifest of a vector; use `chatvector apply --vector {folder}`")
    run = manifest.get("run")
    if not run:
        recipe = _published_recipe(manifest, path)
        if names_a_file(recipe.chat_format) and not format_is_given:
            raise UsageError(
                f"{path}: its chat format came from the file {brief(recipe.chat_format)}, which is not part of the"
                " manifest; name the file by --set chat_format=FILE"
            )
        return recipe
    pinned = dict(run["recipe"])
    revisions: Mapping[str, str] = run["revisions"]
    pinned["target"] = _pin(pinned["target"], revisions)
    pinned["vectors"] = [
        {key: _pin(value, revisions) if key in ("base", "chat") else value for key, value in vector.items()}
        for vector in pinned["vectors"]
    ]
    return Recipe.from_mapping(pinned, str(path))


def _published_recipe(manifest: Mapping[str, Any], path: str) -> Recipe:
    origins: Mapping[str, Mapping[str, Any]] = manifest.get("origins", {})
    nameless = [role for role, origin in origins.items() if not origin["model"]]
    # A vector on disk counts as one parent; its key names no side (base or chat).
    nameless += [role for role in manifest["parents"] if role not in origins]
    if nameless:
        raise UsageError(
            f"{path}: was published without the places of {first_five(nameless)}, which have no public name;"
            " write a recipe that names them"
        )

    def place(role: str) -> str:
        origin = origins[role]
        return f"{origin['model']}@{origin['commit']}" if origin["commit"] else str(origin["model"])

    recipe = manifest["recipe"]
    vectors = [
        {
            "base": place(f"vectors.{number}.base"),
            "chat": place(f"vectors.{number}.chat"),
            "scale": vector["scale"],
            **{rules: dict(vector[rules]) for rules in ("scale_role", "scale_layers", "scale_tensors")},
        }
        for number, vector in enumerate(recipe["vectors"])
    ]
    settings = {key: recipe[key] for key in ("vocabulary", "chat_format", "system_prompt")}
    return Recipe.from_mapping({"target": place("target"), "vectors": vectors, **settings}, str(path))


def _pin(name: str, revisions: Mapping[str, str]) -> str:
    """A hub name pinned to the commit that was read, so that later commits on a branch do not change the result."""
    return f"{name.partition('@')[0]}@{revisions[name]}" if name in revisions else name


def _overridden(recipe: Recipe, settings: list[str], output: str | None) -> Recipe:
    recipe = recipe.with_settings(settings) if settings else recipe
    return recipe if output is None else recipe.model_copy(update={"output": output})


def _places(recipe: Recipe) -> dict[str, str]:
    """Role → name of the parent."""
    places = {"target": recipe.target}
    for number, vector in enumerate(recipe.vectors):
        named = {"": vector.vector, ".base": vector.base, ".chat": vector.chat}
        places |= {f"vectors.{number}{side}": name for side, name in named.items() if name is not None}
    return places


def _accept(_job: Job) -> None:
    return


def changed_parents(manifest: Mapping[str, Any], job: Job, roles: Collection[str] | None = None) -> list[str]:
    """The parents among `roles` (None: all) whose fingerprints differ from the manifest's, each with what changed."""
    models = _models(job)
    roles = set(manifest["parents"]) if roles is None else roles
    changed: list[str] = []
    for role, expected in manifest["parents"].items():
        if role not in roles:
            continue
        now = _on_the_same_grid(job.fingerprints.get(role, {}), expected, models.get(role), manifest)
        if now == expected:
            continue
        parts = [key for key in expected if key != "side_files" and now.get(key) != expected[key]]
        before, after = expected.get("side_files") or {}, now.get("side_files") or {}
        parts += sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        changed.append(f"{role} ({', '.join(parts[:5])})")
    return changed or _relicensed(manifest, job, roles)


def _relicensed(manifest: Mapping[str, Any], job: Job, roles: Collection[str]) -> list[str]:
    """The local parents among `roles` whose card or licence files name other licences than the manifest does.

    On the hub the commit fixes these files. [] when another version of chatvector wrote the manifest, as versions know
    different licences.
    """
    before = {one["role"]: one for one in manifest["licences"]["parents"]}
    local = {role for role, origin in manifest["origins"].items() if origin["model"] is None and role in roles}
    if not local or manifest["chatvector"] != __version__:
        return []
    now = judge(parents_of(job, silent)).as_dict()["parents"]
    return [
        f"{one['role']} (the licence that its files and card name)"
        for one in now
        if one["role"] in local and one != before.get(one["role"])
    ]


def _models(job: Job) -> dict[str, Checkpoint]:
    """Role → parent that is a model; vectors on disk are left out."""
    models = {"target": job.target}
    for number, vector in enumerate(job.vectors):
        if isinstance(vector, PairVector):
            models |= {f"vectors.{number}.base": vector.base, f"vectors.{number}.chat": vector.chat}
    return models


def _on_the_same_grid(
    now: Mapping[str, Any], expected: Mapping[str, Any], model: Checkpoint | None, manifest: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The fingerprint `now`, sampled as the manifest's was: fully (read from disk) or thinly (read over a network)."""
    thin = [str(one.get("samples", "")).startswith(THIN_MARK) for one in (now, expected)]
    if model is None or thin[0] == thin[1]:
        return now
    run = manifest.get("run") or {}
    commits = {*run.get("revisions", {}).values(), *(one["commit"] for one in manifest.get("origins", {}).values())}
    if model.revision is not None and model.revision in commits:
        return {**now, "samples": expected["samples"]}  # the same commit has the same bytes
    return fingerprint_like(model, expected).as_dict()


def _same_parents(manifest: Mapping[str, Any], path: str, roles: Collection[str]) -> Callable[[Job], None]:
    """A check that the parents of `roles` are those of the manifest; the user replaced the other parents."""

    def check(job: Job) -> None:
        changed = changed_parents(manifest, job, roles)
        if changed:
            raise InputError(
                f"{path}: {len(changed)} of {len(manifest['parents'])} parents are no longer what they were:"
                f" {first_five(changed)}; the same bytes need the same parents"
            )

    return check
