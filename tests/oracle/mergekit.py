# SPDX-License-Identifier: Apache-2.0
"""mergekit as a black box: found on the machine, run as a program, never imported.

mergekit is LGPL-3.0. It lives in an environment of its own, and `CHATVECTOR_MERGEKIT` names its program:

    python -m venv mergekit-env
    mergekit-env/bin/pip install torch==2.13.0
    mergekit-env/bin/pip install mergekit==0.1.5
    CHATVECTOR_MERGEKIT=mergekit-env/bin/mergekit-yaml pytest -m oracle
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from builders import Trio

PROGRAM = "CHATVECTOR_MERGEKIT"


def find_mergekit() -> str | None:
    """The `mergekit-yaml` to run: what the variable names, else what lies on the path; None when there is none."""
    return os.environ.get(PROGRAM) or shutil.which("mergekit-yaml")


def chat_vector_recipe(trio: Trio, scale: float, *, dtype: str = "float32") -> str:
    """Its recipe for `target + scale · (chat − base)`: task vectors against the target, chat +s and base −s.

    The target is its "base model", so configuration and tokenizer are the target's. YAML, as JSON is.
    """
    models = [
        {"model": str(trio.chat), "parameters": {"weight": scale}},
        {"model": str(trio.base), "parameters": {"weight": -scale}},
    ]
    document = {
        "merge_method": "task_arithmetic",
        "base_model": str(trio.target),
        "models": models,
        "dtype": dtype,
        "out_dtype": "bfloat16",
    }
    return json.dumps(document)


def run_mergekit(program: str, trio: Trio, scale: float, output: Path, *options: str) -> None:
    """Merge with mergekit into `output`; a failure shows what it printed."""
    run_recipe(program, chat_vector_recipe(trio, scale), output, *options)


def run_recipe(program: str, text: str, output: Path, *options: str) -> None:
    """Have mergekit make the model of a recipe; a failure shows what it printed."""
    recipe = output.with_suffix(".yaml")
    recipe.write_text(text, "utf-8")
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | offline
    command = [program, str(recipe), str(output), "--no-write-model-card", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
