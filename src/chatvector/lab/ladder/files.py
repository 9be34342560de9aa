# SPDX-License-Identifier: Apache-2.0
"""The ladder's directory: the names of its files, and writing files so that they appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from chatvector.checkpoint.staging import FULL
from chatvector.errors import NotEnoughSpace, OutputRefused
from chatvector.evaluate.saving import refuse_no_directory

RECIPE, LADDER = "ladder.yaml", "ladder.json"
MODELS, RUNGS, DATA, REPLIES = "models", "rungs", "data", "replies.jsonl"


def refuse_foreign(out: Path) -> None:
    """Raises OutputRefused for a place that is not a directory or holds other things than a ladder."""
    refuse_no_directory(out, "a directory")
    if out.exists() and any(out.iterdir()) and not (out / RECIPE).is_file():
        raise OutputRefused(f"{out}: holds other things than a ladder; --out takes a new directory, or a ladder's")


def write_whole(path: Path, content: str) -> None:
    """Writes a temporary file beside `path`, then renames it. Raises NotEnoughSpace for a full disk, OutputRefused if
    the file cannot be written."""
    staging = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging.write_text(content, "utf-8")
        os.replace(staging, path)
    except OSError as error:
        if error.errno in FULL:
            raise NotEnoughSpace(
                f"{path.parent}: the disk is full; free space and run the same command again, it goes on"
            ) from error
        raise OutputRefused(f"{path}: cannot be written: {error.strerror or error}") from error
