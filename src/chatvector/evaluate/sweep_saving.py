# SPDX-License-Identifier: Apache-2.0
"""Writes a sweep to disk, whole or not at all: `sweep.json`, `curves.svg` and `.png`, and the results of each half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatvector.checkpoint.staging import unwritable
from chatvector.errors import MissingExtra, OutputRefused
from chatvector.evaluate.results import RESULTS
from chatvector.evaluate.saving import refuse_no_directory
from chatvector.evaluate.sweep import Measured, Sweep
from chatvector.evaluate.sweep_picture import render
from chatvector.evaluate.sweep_report import text_of
from chatvector.messages import Say, silent

SWEEP = "sweep.json"


def refuse_unwritable_sweep(out: Path, *, overwrite: bool) -> None:
    """Raise OutputRefused if `out` is not empty; with `overwrite` it may hold a sweep. Called before anything is
    generated."""
    refuse_no_directory(out)
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / SWEEP).is_file():
        raise OutputRefused(f"{out}: holds other things than a sweep; --out takes a new directory")
    if not overwrite:
        raise OutputRefused(f"{out}: holds a sweep; take another directory, or --overwrite")


def save_sweep(found: Sweep, told: Mapping[str, Any], out: Path, *, overwrite: bool, say: Say = silent) -> None:
    """Write everything into a directory beside `out`, then rename it to `out`. Without matplotlib there are no curves,
    and `say` is told.

    Raises OutputRefused, NotEnoughSpace.
    """
    refuse_unwritable_sweep(out, overwrite=overwrite)
    files: dict[str, bytes] = {SWEEP: text_of(told).encode()}
    measured: dict[str, Measured] = {**found.halves} | ({} if found.groups is None else {"groups": found.groups})
    for part, one in measured.items():
        for name, content in {RESULTS: one.evaluation.results.text(), **one.evaluation.items}.items():
            files[f"{part}/{name}"] = content.encode()
    try:
        files |= {f"curves.{kind}": render(told, kind) for kind in ("svg", "png")}
    except MissingExtra as error:
        say(f"no curves: {error}")
    staging = out.with_name(f".{out.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        for name, data in files.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if out.exists():
            shutil.rmtree(out)
        os.rename(staging, out)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise unwritable(error, out.parent, f"{out}: the sweep cannot be written there") from error
