# SPDX-License-Identifier: Apache-2.0
"""The part of a record that is this machine's and this run's: date, versions, hardware, time."""

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
    """`started` is in seconds since the epoch, `seconds` the wall time of each stage.

    `replies` says how many were generated and how many came from the cache. Models are described in full here, with
    their places on this machine.
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
    """Names of GPUs, if torch is loaded anyway: it is not imported to find out."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
