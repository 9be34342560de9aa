# SPDX-License-Identifier: Apache-2.0
"""What judges, guards and scorers say, through the cache: it costs as much as the replies, and must not be asked for
again when a run was killed or its marks are computed anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chatvector.evaluate.cache import Cache

BATCH = 64
"""Requests between two writes: what a killed run loses at most."""

Asked = TypeVar("Asked")
Got = TypeVar("Got")


def ask_missing(
    cache: Cache | None,
    keys: Sequence[str],
    requests: Sequence[Asked],
    get: Callable[[Sequence[Asked]], Sequence[Got]],
    *,
    write: Callable[[Got], Any | None],
    read: Callable[[Any], Got],
    batch: int = BATCH,
) -> list[Got]:
    """One result a request, in order; requests of one key are asked once, and only where `cache` does not hold it.

    Args:
        get: asks; one result a request. What it raises goes on, and what it gave before is kept.
        write, read: a result to a JSON value and back; `write` gives None for one that is not to be kept.
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
        fresh = dict(zip((key for key, _ in part), get([request for _, request in part]), strict=True))
        written = {key: value for key, result in fresh.items() if (value := write(result)) is not None}
        if cache is not None and written:
            cache.put(written)
        found |= fresh
    return [found[key] for key in keys]
