# SPDX-License-Identifier: Apache-2.0
"""What goes where: the result to stdout, messages and progress to stderr, as text or JSON lines, or not at all."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chatvector.cli.options import LogFormat
from chatvector.errors import InputError
from chatvector.sizes import disk_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

# How `main` writes the error that ends this process; set from the command line, as stderr is one for the process.
errors_as_json = False

CONTINUES = "the same command continues"
# What `main` says of a run that is ended by a signal; a verb that keeps less for the next run says so here.
after_interrupt = CONTINUES

# Without a terminal a line now and then says that the run is alive.
PLAIN_SECONDS = 5.0


def write_error(line: str, code: int) -> None:
    """The one line that an error gets on stderr, also under --quiet: text, or an event with its exit code."""
    line = " ".join(line.split())
    if errors_as_json:
        sys.stderr.write(_json_event("error", {"text": line, "exit_code": code}))
    else:
        sys.stderr.write(f"chatvector: {line}\n")
    sys.stderr.flush()


def _json_event(kind: str, data: Mapping[str, Any]) -> str:
    return json.dumps({"event": kind, "time": round(time.time(), 3), **data}, ensure_ascii=False) + "\n"


class Console:
    """One verb's output channels."""

    def __init__(self, *, quiet: bool, log_format: LogFormat, as_json: bool) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self._json_log = log_format is LogFormat.json

    def keeps_less(self, line: str) -> None:
        """From now on a run that is interrupted cannot be continued whole; `line` is what then happens."""
        global after_interrupt
        after_interrupt = line

    def say(self, line: str) -> None:
        """A message for people."""
        self.event("message", line, {"text": line})

    def warn(self, line: str) -> None:
        """Something that the user should know and that does not stop the run."""
        self.event("warning", f"warning: {line}", {"text": line})

    def result(self, document: Mapping[str, Any], text: str) -> None:
        """The result: `document` under --json, else `text`; the only thing that goes to stdout."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        else:
            sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()

    @contextmanager
    def no_verdict(self, document: Mapping[str, Any]) -> Iterator[None]:
        """That a model cannot be judged is a result about it: under --json `document` and the error go to stdout."""
        try:
            yield
        except InputError as problem:
            if self.as_json:
                self.result({**document, "error": str(problem), "exit_code": problem.exit_code}, "")
            raise

    @contextmanager
    def progress(self, what: str, unit: str | None = None) -> Iterator[Meter]:
        """A meter of bytes, or of `unit` (replies …), with rate and time left: a bar on a terminal, else a line every
        few seconds."""
        meter = Meter(self, what, unit)
        try:
            yield meter
        finally:
            meter.close()

    def event(self, kind: str, line: str, data: Mapping[str, Any]) -> None:
        """A line on stderr, or with --log-format json an event of that kind; nothing under --quiet."""
        if self.quiet:
            return
        sys.stderr.write(_json_event(kind, data) if self._json_log else f"{line}\n")
        sys.stderr.flush()

    @property
    def draws_bars(self) -> bool:
        """Whether stderr is a terminal that people look at."""
        return sys.stderr.isatty() and not self.quiet and not self._json_log


class Meter:
    """Counts bytes, or things of a unit, from several threads. `start` names the total; before it nothing is shown."""

    def __init__(self, console: Console, what: str, unit: str | None = None) -> None:
        self._console = console
        self._what = what
        self._unit = unit
        self._total = 0
        self._done = 0
        self._lock = threading.Lock()
        self._started = self._spoken = time.monotonic()
        self._bar: Bar | None = None

    def start(self, total: int) -> Meter:
        """Begin to show a total of so many."""
        self._total = total
        self._started = self._spoken = time.monotonic()
        if self._console.draws_bars:
            from rich.console import Console as RichConsole
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            amounts = (MofNCompleteColumn(),) if self._unit else (DownloadColumn(), TransferSpeedColumn())
            columns = (TextColumn("{task.description}"), BarColumn(), *amounts, TimeRemainingColumn())
            self._bar = Progress(*columns, console=RichConsole(stderr=True), transient=True)
            self._bar.add_task(self._what, total=total)
            self._bar.start()
        return self

    def advance(self, nbytes: int) -> None:
        """So many more are done."""
        with self._lock:
            self._done += nbytes
            if self._bar is not None:
                self._bar.advance(self._bar.task_ids[0], nbytes)
            elif time.monotonic() - self._spoken >= PLAIN_SECONDS:
                self._spoken = time.monotonic()
                self._speak()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _speak(self) -> None:
        seconds = time.monotonic() - self._started
        rate = self._done / seconds
        left = (self._total - self._done) / rate if rate else float("inf")
        if self._unit is not None:
            unit = self._unit
            data = {f"done_{unit}": self._done, f"total_{unit}": self._total, f"{unit}_per_second": round(rate, 3)}
            line = f"{self._what}: {self._done} of {self._total} {unit}, {rate:.1f}/s, {left:.0f} s left"
            self._console.event("progress", line, data)
            return
        data = {"done_bytes": self._done, "total_bytes": self._total, "bytes_per_second": round(rate)}
        line = (
            f"{self._what}: {disk_size(self._done)} of {disk_size(self._total)}, {disk_size(rate)}/s, {left:.0f} s left"
        )
        self._console.event("progress", line, data)
