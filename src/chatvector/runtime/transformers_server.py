# SPDX-License-Identifier: Apache-2.0
"""`transformers serve` for one model: started, watched, ended.

That server lists the models of the hub's cache, not the one that it was started with, and wants requests to name the
path that it was given. So it gets a cache of its own, which holds one model under a plain name: links to the
directory's files, laid out as the hub lays them out. Nothing is copied; clients find exactly one model; and as nothing
is left to be looked up, the server is kept from the network.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from chatvector.checkpoint.staging import temporary_folder
from chatvector.errors import HubError, MissingExtra, UsageError
from chatvector.messages import Say, silent
from chatvector.runtime import served_process
from chatvector.runtime.http_json import JsonClient
from chatvector.runtime.loading import DTYPES
from chatvector.runtime.server_command import QUIET, SECONDS_BETWEEN_LOOKS, end_session, is_ready

NEEDED = ("torch", "transformers", "fastapi", "uvicorn", "openai", "accelerate")
SECONDS_TO_STOP = 10.0
"""Then it is killed: whoever pressed Ctrl-C does not wait for the end of long replies."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As OpenAI's clients take it; of a server that listens everywhere, the address on this machine."""
        host = _EVERYWHERE.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"


def require_serving() -> None:
    """Raise MissingExtra where a part of what `transformers serve` needs is not installed."""
    if any(find_spec(name) is None for name in NEEDED):
        raise MissingExtra("serve", "Serving a model")


def free_address(host: str, port: int) -> Address:
    """The address if it can be listened on; port 0 takes one that is free.

    Raises UsageError for a port in use or one that only the system may use, and for a host that is not this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"--host {host}: no such address ({error.strerror or error})") from error
    with socket.socket(family, kind) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(1)
        except PermissionError as error:
            raise UsageError(f"--port {port}: ports below 1024 are the system's; take --port 8000 or so") from error
        except OSError as error:
            if port:
                other = free_address(host, 0).port
                raise UsageError(
                    f"port {port} of {host} is in use ({error.strerror}): end what listens there, or --port {other}"
                ) from error
            raise UsageError(f"--host {host}: not an address of this machine ({error.strerror})") from error
        return Address(host, listener.getsockname()[1])


def plain_name(text: str) -> str:
    """What clients call a model: a hub name as it is, of a path its last part, with the signs that hub names allow."""
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", text, re.ASCII) and not Path(text).exists():
        return text.partition("@")[0]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(text).resolve().name)
    name = re.sub(r"-{2,}", "-", re.sub(r"\.{2,}", ".", name))[:80].strip("-.").removesuffix(".git")
    return name or "model"


class TransformersServer:
    """One model and how it is served."""

    def __init__(
        self,
        directory: Path,
        name: str,
        address: Address,
        *,
        dtype: str,
        device: str = "auto",
        remote_code: bool = False,
        note: Say = silent,
    ) -> None:
        """Nothing is started yet.

        Args:
            directory: the model's files.
            name: what clients call it; what `plain_name` gives.
            dtype: `fp32`, `bf16`, `fp16`, or `auto` for the file's.
            device: `cpu`, `cuda:0` …; `auto` takes all GPUs, else the CPU.
            note: takes the lines that the server writes.
        """
        self.directory, self.name, self.address = directory, name, address
        self._options = ["--dtype", DTYPES.get(dtype, dtype), "--device", device]
        self._options += ["--trust-remote-code"] if remote_code else []
        self._note = note
        self._last: deque[str] = deque(maxlen=1)
        self._reader: threading.Thread | None = None

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The process, from when it answers until the end of the block.

        Raises HubError if it ends before it answers, with its last line. It has no time limit: large models load long.
        """
        with tempfile.TemporaryDirectory(prefix="chatvector-serve-", dir=temporary_folder()) as scratch:
            _link(self.directory, self.name, Path(scratch))
            with self._start(Path(scratch)) as process:
                reader = self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
                reader.start()
                try:
                    self._wait(process)
                    yield process
                finally:
                    end_session(process, SECONDS_TO_STOP)
                    reader.join(SECONDS_TO_STOP)

    @property
    def last_line(self) -> str:
        """What the server wrote last."""
        return self._last[0] if self._last else "it wrote nothing"

    def _start(self, scratch: Path) -> subprocess.Popen[bytes]:
        """In an empty directory, where no folder can be taken for the model; in a session of its own, so that Ctrl-C
        reaches us first."""
        where = ["--host", self.address.host, "--port", str(self.address.port)]
        empty = scratch / "empty"
        empty.mkdir()
        private = {
            "HF_HUB_CACHE": str(scratch / "hub"),
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-P", served_process.__file__, self.name, *where, *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=empty,
            env={**os.environ, **QUIET, **private},
        )

    def _read(self, written: Iterable[bytes]) -> None:
        for line in written:
            text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
            if text and '"GET /health ' not in text:
                self._last.append(text)
                self._note(text)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        client = JsonClient(self.address.url.removesuffix("/v1"))
        while process.poll() is None:
            if is_ready(client):
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
        raise HubError(self.ended(process))

    def ended(self, process: subprocess.Popen[bytes]) -> str:
        """A sentence on a server that ended by itself."""
        code = process.wait()
        if self._reader is not None:
            self._reader.join(SECONDS_TO_STOP)  # its last line may still be on the way
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return f"the server of {self.name} ended {how}; its last line: {self.last_line[:300]}"


def _link(directory: Path, name: str, scratch: Path) -> None:
    """A hub cache in `scratch` that holds the directory's files under `name`, as links."""
    folder = scratch / "hub" / f"models--{name.replace('/', '--')}"
    revision = "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision, "ascii")
    snapshot = folder / "snapshots" / revision
    for file in sorted(directory.rglob("*")):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(directory).parts):
            place = snapshot / file.relative_to(directory)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.resolve())
