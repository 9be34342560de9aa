# SPDX-License-Identifier: Apache-2.0
"""Where an output comes from: public names of the parents, their cards, their licence files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from chatvector.arithmetic.sources import PairVector
from chatvector.arithmetic.stored import StoredParent, StoredVector
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.files import is_licence_file
from chatvector.checkpoint.names import classify
from chatvector.errors import HubError
from chatvector.messages import Say
from chatvector.preparation import Job
from chatvector.provenance.licences import Parent
from chatvector.provenance.parent_cards import CARD, CardFacts, read_card

Side = Literal["base", "chat"]


def parents_of(job: Job, say: Say) -> tuple[Parent, ...]:
    """Target, then base and chat of every vector. `say` is told of cards that could not be read."""
    found = [_model("target", "target", job.target, say)]
    several = len(job.vectors) > 1
    for number, vector in enumerate(job.vectors):
        sides: tuple[Side, Side] = ("base", "chat")
        for side in sides:
            role = f"vectors.{number}.{side}"
            called = f"{side} of vector {number + 1}" if several else side
            if isinstance(vector, PairVector):
                found.append(_model(role, called, vector.base if side == "base" else vector.chat, say))
            else:
                found.append(_kept(role, called, vector, side))
    return tuple(found)


def pair_origins(base: Checkpoint, chat: Checkpoint, say: Say) -> dict[str, Any]:
    """Names and cards of the parents that a vector on disk stores, for the outputs made from it."""
    parents = [_model(side, side, model, say) for side, model in (("base", base), ("chat", chat))]
    return {
        parent.role: {
            **origin(parent),
            "licences": list(parent.facts.licences),
            "languages": list(parent.facts.languages),
        }
        for parent in parents
    }


def origin(parent: Parent) -> dict[str, Any]:
    """Public name and commit of a parent, for the manifest."""
    return {"model": parent.name, "commit": parent.commit}


def without_paths(lines: Iterable[str], job: Job, parents: Sequence[Parent]) -> list[str]:
    """Lines for people in which the names of local parents are replaced by their roles in this recipe.

    Hub names stay, but without a pinned commit, so that the same parents give the same lines.
    """
    names: dict[str, str] = {}
    for model, parent in zip(_models(job), parents, strict=True):
        names.setdefault(model.name, parent.name or parent.called)
    for number, spec in enumerate(job.recipe.vectors, 1):
        if spec.vector is not None:
            names.setdefault(spec.vector, f"vector {number}")
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        return list(lines)
    pattern = re.compile("|".join(rf"(?<![\w./-]){re.escape(name)}(?![\w-])" for name in longest_first))
    return [pattern.sub(lambda match: names[match.group()], line) for line in lines]


def _models(job: Job) -> list[Checkpoint | StoredParent]:
    return [job.target, *(side for vector in job.vectors for side in (vector.base, vector.chat))]


def _model(role: str, called: str, model: Checkpoint, say: Say) -> Parent:
    location = classify(model.name)
    name = {"hub": location.repo_id, "demo": location.name}.get(location.kind)
    files = {file: model.read_file(file) for file in model.files if is_licence_file(file)}
    return Parent(role, called, name, model.revision, files, read_card(_card(model, name, say)), model.config)


def _kept(role: str, called: str, vector: StoredVector, side: Side) -> Parent:
    kept = vector.base if side == "base" else vector.chat
    files = {file: kept.read_file(file) for file in kept.files if is_licence_file(file)}
    known = vector.origin(side)
    facts = CardFacts(known.licences, known.languages)
    return Parent(role, called, known.model, known.commit, files, facts, kept.config)


def _card(model: Checkpoint, name: str | None, say: Say) -> bytes | None:
    """The parent's README: beside its weights, else from the hub, because downloads leave it out."""
    if CARD in model.listing:
        return model.read_file(CARD)
    if name is None or model.revision is None or model.is_remote:  # the listing of a remote model is complete
        return None
    from chatvector.checkpoint.hub import read_small_file

    try:
        return read_small_file(name, model.revision, CARD)
    except HubError as error:
        say(f"warning: {name}: its card could not be read, so its licence may stay undetermined ({error})")
        return None
