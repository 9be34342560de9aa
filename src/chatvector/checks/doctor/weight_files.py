# SPDX-License-Identifier: Apache-2.0
"""Check weight files: index, shards, leftovers of other tools and interrupted runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase

from chatvector.checkpoint.files import ADAPTER, INDEX, OTHER_WEIGHTS, SHARD, SINGLE
from chatvector.checks.doctor.catalogue import Finding
from chatvector.checks.doctor.patient import Patient
from chatvector.errors import first_five
from chatvector.sizes import disk_size

# Leftovers of runs: unfinished downloads and writes, optimizer state, caches.
LEFTOVERS = (
    "*.partial",
    "*.incomplete",
    "*.tmp",
    "*.lock",
    "*.aria2",
    ".journal",
    "tmp*.safetensors",
    "optimizer*.*",
    "scheduler*.*",
    "rng_state*",
    "training_args.bin",
    "trainer_state.json",
)


def check_files(model: Patient) -> Iterator[Finding]:
    """All findings from names and headers of weight files."""
    if model.pickles:
        yield Finding("weights-pickled", f"{len(model.pickles)} files: {first_five(model.pickles)}")
    if closed := model.unreadable_by_loaders:
        said = first_five(f"{name} ({why})" for name, why in closed.items())
        yield Finding("file-unreadable", f"{len(closed)} files: {said}")
    yield from _index(model)
    if INDEX not in model.unreadable:
        yield from _shards(model)
    for file, problem in model.damaged.items():
        if file in model.shards and file not in model.unreadable:
            yield Finding("weights-damaged", problem.removeprefix(f"{model.name}/"))
    yield from _twice(model)
    if ADAPTER in model.listing:
        yield Finding("adapter", ADAPTER)
    yield from _others(model)


def index_of(model: Patient) -> bytes:
    """An index made from the headers of the shards that a loader takes."""
    refs = model.weights.tensors
    total = sum(ref.nbytes for ref in refs.values())
    document = {
        "metadata": {"total_size": total},
        "weight_map": {name: refs[name].file for name in sorted(refs)},
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def is_whole(model: Patient) -> bool:
    """Whether no weight file of the model is missing or damaged, as far as names tell."""
    if not model.shards or any(name in model.damaged for name in model.shards):
        return False
    named = set() if model.weight_map is None else set(model.weight_map.values())
    if named & set(model.shards) and named <= model.listing.keys():
        return True
    if model.shards == (SINGLE,):
        return SINGLE not in named
    sets = _numbered(model)
    return len(sets) == 1 and all(SHARD.fullmatch(name) for name in model.shards) and not any(map(_gaps, sets.items()))


def _index(model: Patient) -> Iterator[Finding]:
    if model.index_problem is not None:
        yield Finding("index-damaged", model.index_problem)
    if model.weight_map is None:
        return
    named = sorted(set(model.weight_map.values()))
    if SINGLE in model.listing and SINGLE not in named:
        yield Finding("index-stale", f"{INDEX} names {len(named)} other files beside {SINGLE}: {first_five(named)}")
        return
    missing = [name for name in named if name not in model.listing]
    if missing:
        yield Finding("index-missing-files", f"{INDEX}: {len(missing)} of {len(named)} files: {first_five(missing)}")
        return
    held = {name: ref.file for name, ref in model.weights.tensors.items()}
    readable = {name: file for name, file in model.weight_map.items() if file in model.headers}
    absent = sorted(name for name in readable if name not in held)
    moved = sorted(name for name, file in readable.items() if name in held and held[name] != file)
    unlisted = sorted(held.keys() - model.weight_map.keys())
    strange = sorted(set(named) - model.headers.keys() - model.damaged.keys())
    if strange:
        count = sum(file in strange for file in model.weight_map.values())
        said = f"{count} tensors are said to be in files without weights: {first_five(strange)}"
        yield Finding("index-wrong", f"{INDEX}: {said}")
    for what, names in (
        ("are in no file", absent),
        ("lie in another file", moved),
        ("are in the files and not listed", unlisted),
    ):
        if names:
            yield Finding("index-wrong", f"{INDEX}: {len(names)} tensors {what}: {first_five(names)}")
    if not (absent or moved or unlisted or model.damaged):
        yield from _total(model)


def _total(model: Patient) -> Iterator[Finding]:
    document = json.loads(model.read_file(INDEX))
    metadata = document.get("metadata")
    said = metadata.get("total_size") if isinstance(metadata, dict) else None
    true = sum(ref.nbytes for ref in model.weights.tensors.values())
    if isinstance(said, int | float) and said != true:
        yield Finding("index-size", f"{INDEX}: total_size {said:,.0f}, the tensors have {true:,} bytes")


def _shards(model: Patient) -> Iterator[Finding]:
    if SINGLE in model.listing or model.pickles or (model.weight_map is not None and model.index_problem is None):
        return
    sets = _numbered(model)
    if len(sets) > 1:
        kinds = first_five(f"{len(numbers)} of {int(total)}" for total, numbers in sorted(sets.items()))
        yield Finding("shards-incomplete", f"{len(sets)} sets of shards and no index: {kinds}")
        return
    for total, numbers in sets.items():
        if gaps := _gaps((total, numbers)):
            names = [f"model-{number:0{len(total)}d}-of-{total}.safetensors" for number in gaps]
            yield Finding("shards-incomplete", f"{len(gaps)} of {int(total)} shards are not there: {first_five(names)}")
        elif INDEX not in model.listing:
            yield Finding("index-missing", f"{len(numbers)} shards and no {INDEX}")


def _numbered(model: Patient) -> dict[str, set[int]]:
    """Numbered shards that a loader reads: the total, as in the names → the numbers that are there."""
    sets: dict[str, set[int]] = {}
    for name in model.shards:
        if match := SHARD.fullmatch(name):
            sets.setdefault(match[2], set()).add(int(match[1]))
    return sets


def _gaps(numbered: tuple[str, set[int]]) -> list[int]:
    """The numbers that a set lacks; it counts from 1, or from 0."""
    total, numbers = numbered
    first = 0 if 0 in numbers else 1
    return sorted(set(range(first, first + int(total))) - numbers)


def _twice(model: Patient) -> Iterator[Finding]:
    owner: dict[str, str] = {}
    double: list[str] = []
    for file in model.shards:
        for entry in model.headers[file].entries if file in model.headers else ():
            if owner.setdefault(entry.name, file) != file:
                double.append(entry.name)
    if double:
        yield Finding("tensor-twice", f"{len(double)} tensors are in two shards: {first_five(double)}")


def _others(model: Patient) -> Iterator[Finding]:
    top = [name for name in model.listing if "/" not in name]
    leftovers = sorted(name for name in top if any(fnmatchcase(name, pattern) for pattern in LEFTOVERS))
    if leftovers:
        yield Finding("leftovers", f"{len(leftovers)} files: {first_five(leftovers)}")
    rest = [name for name in top if name not in leftovers and name not in model.shards]
    orphans = sorted(name for name in rest if name.endswith(".safetensors") and _is_shard_like(name))
    if orphans:
        nbytes = sum(model.listing[name] for name in orphans)
        yield Finding("shards-orphaned", f"{len(orphans)} files, {disk_size(nbytes)}: {first_five(orphans)}")
    others = sorted(
        name
        for name in rest
        if name not in orphans and (name.endswith(".safetensors") or any(name.endswith(end) for end in OTHER_WEIGHTS))
    )
    if others:
        yield Finding("other-weights", f"{len(others)} files: {first_five(others)}")


def _is_shard_like(name: str) -> bool:
    return name == SINGLE or SHARD.fullmatch(name) is not None
