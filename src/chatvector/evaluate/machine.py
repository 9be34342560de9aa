# SPDX-License-Identifier: Apache-2.0
"""The part of the results that depends on the machine and the run: date, versions, hardware, time."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chatvector.runtime.backend import BackendInfo

PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "transformers",
    "tokenizers",
    "lingua-language-detector",
    "lm-eval",
)


def run_record(
    started: float, seconds: Mapping[str, float], infos: Mapping[str, BackendInfo], replies: Mapping[str, int]
) -> dict[str, Any]:
    """The record of a run.

    `started` is in seconds since the epoch; `seconds` has the wall time of each stage in seconds; `replies` says how
    many replies were generated and how many came from the cache. Models are described in full, including their paths on
    this machine.
    """
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        "seconds_by_stage": dict(seconds),
        "replies": dict(replies),
        "python": sys.version.split()[0],
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "machine": platform.machine(),
        "system": platform.system(),
        "processors": os.cpu_count(),
        "accelerators": _accelerators(),
        "models": {name: asdict(info) for name, info in infos.items()},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _accelerators() -> list[str]:
    """Names of the GPUs; empty if torch is not loaded, since it is not imported just to find out."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
