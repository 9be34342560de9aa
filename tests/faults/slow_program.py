# SPDX-License-Identifier: Apache-2.0
"""The program `chatvector`, slowed down: after some units it says so and then takes its time, so that a test can
interrupt it in the middle. Usage: slow_program.py READY_FILE UNITS ARGUMENTS…
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from chatvector.cli import console
from chatvector.cli.main import main


def slow_down(ready: Path, units: int) -> None:
    """After `units` units write `ready`; from then on every unit takes a tenth of a second."""
    plain = console.Meter.advance
    lock = threading.Lock()
    done = 0

    def advance(self: console.Meter, nbytes: int) -> None:
        nonlocal done
        plain(self, nbytes)
        with lock:
            done += 1
            if done == units:
                ready.write_text("ready")
        if done >= units:
            time.sleep(0.1)

    console.Meter.advance = advance


if __name__ == "__main__":
    slow_down(Path(sys.argv[1]), int(sys.argv[2]))
    sys.argv[1:] = sys.argv[3:]
    main()
