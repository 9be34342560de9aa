# SPDX-License-Identifier: Apache-2.0
"""Saves results, whole or not at all, and locates the cache that keeps replies from run to run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from chatvector.checkpoint.staging import unwritable
from chatvector.errors import OutputRefused
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.results import RESULTS
from chatvector.evaluate.run import Evaluation
from chatvector.messages import Say


def refuse_no_directory(out: Path, takes: str = "a new directory") -> None:
    """Raise OutputRefused if `out` cannot be a directory to write into: it is a file, lies below a file, or lies where
    nothing may be written. `takes` says in the message what --out takes."""
    place = next(one for one in (out.absolute(), *out.absolute().parents) if one.exists())
    named = f"{out}:" if place == out.absolute() else f"{out}: {place}"
    if not place.is_dir():
        raise OutputRefused(f"{named} is a file; --out takes {takes}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputRefused(f"{named} cannot be written into; --out takes {takes}")


def refuse_unwritable(out: Path, *, overwrite: bool) -> None:
    """Raise OutputRefused if `out` holds results and `overwrite` is False, holds anything else, or cannot be written.
    Called before anything is generated."""
    refuse_no_directory(out)
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / RESULTS).is_file():
        raise OutputRefused(f"{out}: holds other things than results; --out takes a new directory")
    if not overwrite:
        raise OutputRefused(f"{out}: holds results; take another directory, or --overwrite")


def save(evaluation: Evaluation, out: Path, *, overwrite: bool = False) -> None:
    """Write `results.json` and the items files into a directory beside `out`, then rename it to `out`.

    An earlier `out` is removed only when the new directory is complete. Raises OutputRefused, NotEnoughSpace.
    """
    refuse_unwritable(out, overwrite=overwrite)
    staging = out.with_name(f".{out.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        for name, content in {RESULTS: evaluation.results.text(), **evaluation.items}.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise unwritable(error, out.parent, f"{out}: results cannot be written there") from error
    if out.exists():
        shutil.rmtree(out)
    os.rename(staging, out)


def cache_path() -> Path:
    """Path of the cache: `$CHATVECTOR_CACHE`, else `chatvector/replies.jsonl` in `$XDG_CACHE_HOME` (default
    `~/.cache`)."""
    own = os.environ.get("CHATVECTOR_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "chatvector" / "replies.jsonl"


def open_cache(path: Path | None, note: Say) -> Cache:
    """The cache at `path`, or at `cache_path()`. `note` is called with messages for the user."""
    return Cache(path or cache_path(), note)
