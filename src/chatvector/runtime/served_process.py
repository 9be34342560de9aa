# SPDX-License-Identifier: Apache-2.0
"""`transformers serve` as a process that ends with the one that started it, however that one ended.

    python -P served_process.py MODEL --host 127.0.0.1 --port 8000

The arguments are those of `transformers serve`. It is run as a file, and imports nothing else of this package: where it
runs, an installed one may not be found. The other process holds this one's standard input: when it is closed,
by its owner or by the end of its owner (SIGKILL leaves no time for more), this process ends too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

SECONDS_TO_END = 5.0
"""For replies that are being written."""


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(SECONDS_TO_END)
    os._exit(128 + signal.SIGTERM)


def main() -> None:
    """Serve until somebody ends it."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    from transformers.cli.transformers import main as transformers

    sys.argv[:] = ["transformers", "serve", *sys.argv[1:]]
    transformers()


if __name__ == "__main__":
    main()
