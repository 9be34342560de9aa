# SPDX-License-Identifier: Apache-2.0
"""How much memory `apply` takes: by vocabulary, by model size, under a limit, and with one huge tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.limits import memory_group
from benchmarks.measure import Command, Failed, apply_arguments, chatvector, remove, run
from benchmarks.models import BF16, LLAMA_1B, LLAMA_8B, ROLES, WIDE, Shape, write_trio
from chatvector.checkpoint.header import read_header
from chatvector.checkpoint.storage import LocalFile

LIMIT = 512 << 20
MIB = 1 << 20
# Around the places where a 32-bit offset, signed or not, would go wrong, and at the ends.
PLACES = (0, (1 << 31) - 64, 1 << 31)
PATCH = 128


def bench(folder: Path, _rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Peak resident set (`ru_maxrss` of the whole process) for each size, free and under the kernel's limit."""
    found: dict[str, Any] = {}
    say("memory: peak resident set of apply")
    for shape, goal in ((LLAMA_1B, 300), (WIDE, 300), (LLAMA_8B, 300)):
        place = folder / ("1b" if shape is LLAMA_1B else shape.name.split()[0])
        trio = write_trio(place, shape, sparse=shape is not LLAMA_1B)
        if shape is WIDE:
            _plant(trio)
        out = folder / "out"
        found[shape.name] = {"peak_bytes": run(Command(chatvector(*apply_arguments(trio, out)), out)).peak}
        say(f"  {shape.name}: {found[shape.name]['peak_bytes'] / MIB:.0f} MiB (goal {goal})")
        if shape is WIDE:
            found["tensor_bytes"] = shape.vocabulary * shape.hidden * 2
            seen = found["elements_compared"] = check_planted(trio, out)
            say(f"  one tensor of {found['tensor_bytes'] / 2**30:.4f} GiB: right at {seen} elements")
        remove(out)
        found[shape.name] |= _limited(shape, trio, out, say)
        remove(out)
        if shape is not LLAMA_1B:
            remove(place)
    return found


def _limited(shape: Shape, trio: dict[str, Path], out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    with memory_group(LIMIT) as group:
        if group is None:
            say("  no memory control group may be made here: the run under a limit is left out")
            return {}
        try:
            peak = run(Command(chatvector(*apply_arguments(trio, out)), out, (group.place,))).peak
        except Failed as error:
            say(f"  {shape.name} within {LIMIT / MIB:.0f} MiB: FAILED ({error})")
            return {"limited": "failed"}
        say(f"  {shape.name} within {LIMIT / MIB:.0f} MiB set by the kernel: done, peak {peak / MIB:.0f} MiB resident")
        return {"limited": {"limit_bytes": LIMIT, "peak_bytes": peak, "group_peak_bytes": group.peak()}}


def _plant(trio: dict[str, Path]) -> None:
    """Write random weights into the sparse embedding at its ends and around byte 2³¹."""
    for number, role in enumerate(ROLES):
        path = trio[role] / "model.safetensors"
        with LocalFile(path, path.name) as file:
            entry = next(one for one in read_header(file).entries if "embed" in one.name)
        with open(path, "r+b") as file:
            for place in (*PLACES, entry.nbytes - PATCH * 2):
                draw = np.random.default_rng([number, place % 1000])
                file.seek(entry.offset + place)
                file.write(draw.standard_normal(PATCH).astype(BF16).tobytes())


def check_planted(trio: dict[str, Path], out: Path) -> int:
    """Compare the merged embedding with the formula where weights were planted, and with zero beside; elements seen."""
    seen = 0
    with LocalFile(out / "model.safetensors", "output") as written:
        entry = next(one for one in read_header(written).entries if "embed" in one.name)
        parents = {role: LocalFile(trio[role] / "model.safetensors", role) for role in ROLES}
        offsets = {
            role: next(one for one in read_header(file).entries if "embed" in one.name).offset
            for role, file in parents.items()
        }
        for place in (*PLACES, entry.nbytes - PATCH * 2):
            start, stop = max(0, place - 4096), min(entry.nbytes, place + PATCH * 2 + 4096)
            base, chat, target = (_read(parents[role], offsets[role], start, stop) for role in ROLES)
            rows = np.arange(start // 2, stop // 2) // WIDE.hidden
            moved = target + np.float32(0.8) * (chat - base)
            # The last 256 rows belong to no token: they are the target's.
            expected = np.where(rows < WIDE.vocabulary - 256, moved, target).astype(BF16)
            actual = _read(written, entry.offset, start, stop).astype(BF16)
            if expected.tobytes() != actual.tobytes():
                raise Failed(f"bytes {start} to {stop} of {entry.name} differ from the formula")
            seen += len(expected)
        for file in parents.values():
            file.close()
    return seen


def _read(file: LocalFile, offset: int, start: int, stop: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    raw = bytearray(stop - start)
    file.read_into(offset + start, memoryview(raw))
    return np.frombuffer(raw, BF16).astype(np.float32)
