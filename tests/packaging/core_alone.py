# SPDX-License-Identifier: Apache-2.0
"""Run by `make test-core` with the interpreter of an environment that holds the core and nothing else.

Starts the command line, merges the embedded trio, merges a vector from disk, and checks the arithmetic with numpy.
Needs nothing but the installed package. Ends with a message and exit code 1 where something is wrong.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ABSENT = ("torch", "transformers", "safetensors", "accelerate", "pytest")
# Nothing may reach the hub, and nothing may be taken from a source tree.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}


def main() -> None:
    installed = [name for name in ABSENT if importlib.util.find_spec(name) is not None]
    require(not installed, f"this environment is not the core alone: {', '.join(installed)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        require("apply" in run("--help", folder=folder), "--help does not name apply")
        run("apply demo:target --base demo:base --chat demo:chat --scale 0.5 -o pair", folder=folder)
        run("extract demo:base demo:chat --dtype fp32 -o vector", folder=folder)
        run("apply demo:target --vector vector=0.5 -o stored", folder=folder)
        manifest = json.loads((folder / "pair" / "chat_vector.json").read_text("utf-8"))
        require(manifest["kind"] == "model", "the output has no manifest of a model")
        weights = (folder / "pair" / "model.safetensors").read_bytes()
        require(weights == (folder / "stored" / "model.safetensors").read_bytes(), "pair and stored vector differ")
        check_arithmetic(folder / "pair")
        code, text = outcome("demo", folder=folder)
        require(code == 7 and "pip install 'chatvector[local]'" in text, f"demo without torch: exit {code}, {text}")
    print("the core works alone: --help, extract, apply by pair and by vector, and a clear word where torch is needed")


def check_arithmetic(output: Path) -> None:
    """One matrix of the merged trio, computed again by the formula (arXiv 2310.04799, equation 2, scale 0.5)."""
    import numpy as np

    from chatvector.checkpoint.checkpoint import Checkpoint

    def read(name: str) -> np.ndarray:
        with Checkpoint.open(name) as model:
            tensor = next(each for each in sorted(model.tensors) if each.endswith("mlp.up_proj.weight"))
            return model.read_array(tensor, 0, model.tensors[tensor].elements)

    target, base, chat = (read(f"demo:{role}") for role in ("target", "base", "chat"))
    single = np.float32
    expected = target.astype(single) + single(0.5) * (chat.astype(single) - base.astype(single))
    require(expected.astype(target.dtype).tobytes() == read(str(output)).tobytes(), "the weights are not the formula's")
    require((target != chat).any(), "the trio's models are one and the same")


def outcome(arguments: str, *, folder: Path) -> tuple[int, str]:
    """Exit code and all text of `chatvector ARGUMENTS`, run in `folder`."""
    command = [str(Path(sys.executable).with_name("chatvector")), *arguments.split()]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def run(arguments: str, *, folder: Path) -> str:
    code, text = outcome(arguments, folder=folder)
    require(code == 0, f"chatvector {arguments}: exit {code}\n{text}")
    return text


def require(holds: bool, message: str) -> None:
    if not holds:
        sys.exit(f"core alone: {message}")


if __name__ == "__main__":
    main()
