# SPDX-License-Identifier: Apache-2.0
"""Asks models, judges, guards and scorers through the cache. Verdicts and scores cost as much as replies and must not
be asked for again when a run was killed or its marks are computed anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from chatvector.evaluate.cache import Cache
from chatvector.runtime.backend import Backend, Prompt, Reply, Sampling, SeparateBackend

BATCH = 64
"""Requests between two writes of the cache: at most so many are lost when a run is killed. Ctrl-C loses no reply of a
server."""

Asked = TypeVar("Asked")
Got = TypeVar("Got")


def ask_missing(
    cache: Cache | None,
    keys: Sequence[str],
    requests: Sequence[Asked],
    get: Callable[[Sequence[Asked]], Iterable[tuple[int, Got]]],
    *,
    write: Callable[[Got], Any | None],
    read: Callable[[Any], Got],
    batch: int = BATCH,
) -> list[Got]:
    """One result per request, in order. Requests with the same key are asked once, and only if `cache` does not hold
    it.

    Args:
        get: asks, and yields (place, result) for every request. What it raises is passed on; results that it gave
            before are kept.
        write, read: turn a result into a JSON value and back; `write` gives None for a result that is not to be kept.
    """
    found: dict[str, Got] = {}
    missing: dict[str, Asked] = {}
    for key, request in zip(keys, requests, strict=True):
        if key not in found and key not in missing:
            stored = None if cache is None else cache.get(key)
            if stored is None:
                missing[key] = request
            else:
                found[key] = read(stored)
    asked = list(missing.items())
    for start in range(0, len(asked), batch):
        part = asked[start : start + batch]
        found |= get_and_keep(cache, dict(part), get, write)
    return [found[key] for key in keys]


def get_and_keep(
    cache: Cache | None,
    asked: Mapping[str, Asked],
    get: Callable[[Sequence[Asked]], Iterable[tuple[int, Got]]],
    write: Callable[[Got], Any | None],
) -> dict[str, Got]:
    """Ask for `asked` (requests by key), write the results into `cache`, and return them by key; see `ask_missing`.

    Raises what `get` raises, and ValueError if it gives fewer results than requests. Results that came before an error
    or an interruption are kept.
    """
    keys = list(asked)
    fresh: dict[str, Got] = {}
    try:
        for place, result in get(list(asked.values())):
            fresh[keys[place]] = result
    finally:
        written = {key: value for key, result in fresh.items() if (value := write(result)) is not None}
        if cache is not None and written:
            cache.put(written)
    if len(fresh) != len(keys):
        raise ValueError(f"{len(fresh)} results to {len(keys)} requests")
    return fresh


def as_they_come(backend: Backend, prompts: Sequence[Prompt], sampling: Sampling) -> Iterable[tuple[int, Reply]]:
    """(place, reply) of every prompt; each as soon as it has come if the backend gives replies one by one."""
    if isinstance(backend, SeparateBackend):
        return backend.replies(prompts, sampling)
    return enumerate(backend.generate(prompts, sampling))
