# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks [NAME …]`: run them, print ratios and medians, write all figures as JSON on request."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import apply, kernel, large, live, memory, start, stream, talk, verify_full
from benchmarks.measure import PROJECT

BENCHMARKS = {
    "start": start,
    "kernel": kernel,
    "apply": apply,
    "large": large,
    "verify": verify_full,
    "stream": stream,
    "memory": memory,
    "live": live,
    "talk": talk,
}


def main() -> None:
    """Read the flags, run, clean up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--dir", type=Path, default=PROJECT / ".bench", help="where models are written (up to 24 GB)")
    parser.add_argument("--keep", action="store_true", help="leave the models for the next run")
    parser.add_argument("--rounds", type=int, default=5, help="how often each process is run")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    folder: Path = options.dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"machine": machine()}
    _say("; ".join(f"{key} {value}" for key, value in figures["machine"].items()))
    try:
        for name in options.names or BENCHMARKS:
            before = os.getloadavg()[0]
            figures[name] = BENCHMARKS[name].bench(folder, options.rounds, _say)
            figures[name]["load_before_and_after"] = [round(before, 1), round(os.getloadavg()[0], 1)]
            _say(f"  load before {before:.1f}, after {os.getloadavg()[0]:.1f}")
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        if options.json is not None:
            options.json.write_text(json.dumps(figures, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """The class of machine, without its name."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _say(line: str) -> None:
    print(line, file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
