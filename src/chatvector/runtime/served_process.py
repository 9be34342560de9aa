# SPDX-License-Identifier: Apache-2.0
"""`transformers serve` as a process that ends when the process that started it ends, for whatever reason.

    python -P served_process.py MODEL --host 127.0.0.1 --port 8000

The arguments are those of `transformers serve`. This file is run as a script and imports nothing of this
package, which may not be importable where it runs. The starting process holds this one's standard input: when it is
closed, on purpose or because its owner ended (even by SIGKILL), this process ends too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

SECONDS_TO_END = 5.0
"""Seconds that replies in progress get before the process ends."""


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(SECONDS_TO_END)
    os._exit(128 + signal.SIGTERM)


def main() -> None:
    """Serve until the process is told to end."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    from transformers.cli.transformers import main as transformers

    sys.argv[:] = ["transformers", "serve", *sys.argv[1:]]
    transformers()


if __name__ == "__main__":
    main()
