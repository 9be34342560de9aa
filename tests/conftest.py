# SPDX-License-Identifier: Apache-2.0
"""What all tests share: one hypothesis profile, a small file system to fill, and a hub on the loopback."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hub_server import HubServer, posing_as_the_hub

# Nothing here may depend on the speed of the machine. A run in CI (or anywhere with CI set) draws the same examples
# every time; a run by hand draws new ones.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ci", derandomize=True, max_examples=60, print_blob=True, **_COMMON)
settings.register_profile("local", max_examples=60, **_COMMON)
settings.register_profile("thorough", max_examples=1000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "local"))

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every program that the tests start. A
# signal that is handled is not handed down.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread: on models this small more of them only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


Mount = Callable[..., Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Mount]:
    """`small_disk(mib)` mounts an empty file system of so many MiB; skips where mounting is not permitted."""
    mounted: list[Path] = []

    def mount(mib: int, *, read_only: bool = False) -> Path:
        place = tmp_path / f"disk-{len(mounted)}"
        place.mkdir()
        options = f"size={mib}m" + (",ro" if read_only else "")
        try:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True
            )
        except FileNotFoundError:
            pytest.skip("this machine has no `mount`")
        if done.returncode:
            pytest.skip(f"a small file system may not be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True, capture_output=True)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited between attempts; nobody really waits."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[HubServer]:
    """A hub that huggingface_hub takes for the real one; its cache is in `tmp_path`."""
    del waits
    with HubServer() as server, posing_as_the_hub(server, monkeypatch, tmp_path / "cache"):
        yield server
