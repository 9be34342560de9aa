# SPDX-License-Identifier: Apache-2.0
"""Whole processes measured from outside: wall time, processor time, largest resident set."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parent.parent
THREADS = 2


@dataclass(frozen=True)
class Command:
    """A process to measure.

    Attributes:
        arguments: program and arguments.
        makes: removed before each run.
        enter: cgroup directories that the process joins before it starts; empty for none.
    """

    arguments: Sequence[str]
    makes: Path | None = None
    enter: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Measured:
    """One run: wall seconds, processor seconds (user and system), largest resident set in bytes, its output."""

    seconds: float
    processor: float
    peak: int
    output: str


class Failed(Exception):
    """A measured process ended with an error; its message is the end of what it printed."""


def run(command: Command) -> Measured:
    """Run one process to its end. Raises Failed."""
    if command.makes is not None:
        remove(command.makes)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    # An installed package has its modules compiled; without this, every process would compile ours anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(command.arguments),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            env=environment,
            preexec_fn=(lambda: [_join(group) for group in command.enter]) if command.enter else None,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # Ctrl-C: leave no process behind
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise Failed(f"exit code {process.returncode}: {text[-1500:]}")
    # Linux counts ru_maxrss in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measured(seconds, usage.ru_utime + usage.ru_stime, peak, text)


def interleave(commands: Mapping[str, Command], rounds: int, say: Callable[[str], None]) -> dict[str, list[Measured]]:
    """Run every command `rounds` times, one after the other in turn, so that a busy minute meets all of them."""
    found: dict[str, list[Measured]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            found[name].append(run(command))
            say(f"  round {number + 1} of {rounds}: {name} {found[name][-1].seconds:.2f} s")
    return found


def middle(runs: Sequence[Measured]) -> float:
    """The median wall time, seconds."""
    return median(one.seconds for one in runs)


def chatvector(*arguments: str, sync: bool = True) -> list[str]:
    """The command line of this project, as a process; without `sync` it does not wait for the disk."""
    if sync:
        return [sys.executable, "-m", "chatvector", *arguments]
    return [sys.executable, "-m", "benchmarks.nosync", *arguments]


def apply_arguments(trio: Mapping[str, Path], output: Path, *more: str) -> list[str]:
    """`apply TARGET --base BASE --chat CHAT -o OUTPUT` at scale 0.8 with the threads of the benchmarks."""
    parents = [str(trio["target"]), "--base", str(trio["base"]), "--chat", str(trio["chat"])]
    return ["apply", *parents, "-o", str(output), "--scale", "0.8", "--threads", str(THREADS), "--quiet", *more]


def remove(path: Path) -> None:
    """Remove a file or a directory, if it is there, and what an interrupted run left beside it."""
    for place in (path, *path.parent.glob(f".{path.name}.*.partial"), *path.parent.glob(f"{path.name}.partial")):
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def _join(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
