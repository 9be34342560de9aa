# SPDX-License-Identifier: Apache-2.0
"""Promise 5: kill −9, SIGTERM and Ctrl-C half-way, then the same command again; another one is never mixed in."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_models import command_line, tree

from builders import Trio, nudged, trio_specs, write_model, write_trio
from chatvector.errors import OutputRefused
from chatvector.pipeline import Result, apply
from chatvector.recipe import Recipe

PROGRAM = Path(__file__).with_name("slow_program.py")
UNITS = 8
"""Finished before the interruption; a tiny Llama of two layers has 21, one for each tensor."""


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The slowed program, after its first units; killed at the end if it still runs."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    command = [sys.executable, str(PROGRAM), str(ready), str(UNITS), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            deadline = time.monotonic() + 60
            while not ready.exists():
                assert program.poll() is None, program.stderr.read() if program.stderr else ""
                assert time.monotonic() < deadline
                time.sleep(0.005)
            yield program
        finally:
            if program.poll() is None:
                program.kill()


def interrupt(folder: Path, number: int, *arguments: str) -> tuple[int, str]:
    """Send a signal in the middle; exit code and stderr."""
    with started(folder, *arguments) as program:
        program.send_signal(number)
        _, err = program.communicate(timeout=60)
        return program.returncode, err


def flags(trio: Trio, output: Path, scale: float = 0.8) -> list[str]:
    return ["apply", *trio.arguments(), "--scale", str(scale), "--threads", "1", "-o", str(output)]


def merge(trio: Trio, output: Path, scale: float = 0.8, *, restart: bool = False) -> Result:
    vector = {"base": str(trio.base), "chat": str(trio.chat), "scale": scale}
    recipe = Recipe.from_mapping({"target": str(trio.target), "vectors": [vector], "output": str(output)})
    return apply(recipe, restart=restart)


def files(path: Path) -> dict[str, bytes]:
    """All files but the manifest, whose `run` section differs; of it the rest."""
    found = tree(path)
    manifest = json.loads(found.pop("chat_vector.json"))
    manifest.pop("run")
    return found | {"manifest": json.dumps(manifest).encode()}


def staging(folder: Path) -> list[Path]:
    return sorted(folder.glob(".out.*.partial"))


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    return write_trio(tmp_path / "in")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["KILL", "TERM", "INT"]
)
def test_the_same_command_continues_to_the_same_bytes(tmp_path: Path, trio: Trio, number: int, code: int) -> None:
    before = tree(tmp_path / "in")
    output = tmp_path / "out"
    returned, err = interrupt(tmp_path, number, *flags(trio, output), "--quiet")
    assert returned == code
    assert err == ("" if code == -9 else "chatvector: interrupted; the same command continues\n")
    assert not output.exists()
    assert len(staging(tmp_path)) == 1
    result = merge(trio, output)
    assert 0 < result.manifest["run"]["bytes_kept_from_earlier_run"] < result.manifest["run"]["bytes_written"]
    merge(trio, tmp_path / "undisturbed")
    assert files(output) == files(tmp_path / "undisturbed")
    assert staging(tmp_path) == []
    assert tree(tmp_path / "in") == before


def test_killed_again_and_again(tmp_path: Path, trio: Trio) -> None:
    """Every start gets further: finished units count from the start, and none is made twice."""
    kept: list[int] = []
    for _ in range(3):
        interrupt(tmp_path, signal.SIGKILL, *flags(trio, tmp_path / "out"))
        journal = (staging(tmp_path)[0] / ".journal").read_bytes()
        kept.append(len({json.loads(line)[0] for line in journal.split(b"\n") if line.endswith(b"]")}))
    assert kept == sorted(kept)
    result = merge(trio, tmp_path / "out")
    assert result.manifest["run"]["bytes_kept_from_earlier_run"] > 0
    merge(trio, tmp_path / "undisturbed")
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")


def test_another_scale_is_never_mixed_in(tmp_path: Path, trio: Trio, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    interrupt(tmp_path, signal.SIGKILL, *flags(trio, output))
    (left,) = staging(tmp_path)
    with pytest.raises(
        OutputRefused, match=rf"unfinished run of another plan is in the way \({left.name}\).*--restart"
    ):
        merge(trio, output, 0.5)
    code, _, err = command_line(capsys, *flags(trio, output, 0.5), "--quiet")
    assert code == 2
    assert err.count("\n") == 1
    assert left.name in err
    assert staging(tmp_path) == [left]
    result = merge(trio, output, 0.5, restart=True)
    assert result.manifest["run"]["bytes_kept_from_earlier_run"] == 0
    assert staging(tmp_path) == []
    merge(trio, tmp_path / "undisturbed", 0.5)
    assert files(output) == files(tmp_path / "undisturbed")


def test_restart_begins_anew_also_with_the_same_recipe(tmp_path: Path, trio: Trio) -> None:
    interrupt(tmp_path, signal.SIGKILL, *flags(trio, tmp_path / "out"))
    assert merge(trio, tmp_path / "out", restart=True).manifest["run"]["bytes_kept_from_earlier_run"] == 0


def test_a_parent_that_changed_meanwhile_is_another_plan(tmp_path: Path, trio: Trio) -> None:
    interrupt(tmp_path, signal.SIGKILL, *flags(trio, tmp_path / "out"))
    specs = trio_specs()
    specs["chat"].weights = nudged(specs["chat"].weights, 99, 0.01)
    trio.chat.rename(tmp_path / "old chat")
    write_model(trio.chat, specs["chat"])
    with pytest.raises(OutputRefused, match="another plan"):
        merge(trio, tmp_path / "out")


def test_two_runs_on_one_output(tmp_path: Path, trio: Trio, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    with started(tmp_path, *flags(trio, output)) as program:
        for arguments in (flags(trio, output), flags(trio, output, 0.5), [*flags(trio, output, 0.5), "--restart"]):
            code, _, err = command_line(capsys, *arguments, "--quiet")
            assert code == 2
            assert f"{output}: another run is writing it" in err
        _, err = program.communicate(timeout=60)
        assert program.returncode == 0, err
    merge(trio, tmp_path / "undisturbed")
    assert files(output) == files(tmp_path / "undisturbed")


def test_a_torn_journal_and_damaged_pages(tmp_path: Path, trio: Trio) -> None:
    """What a lost power supply leaves: the last line half written, pages of zeros under lines that are whole."""
    interrupt(tmp_path, signal.SIGKILL, *flags(trio, tmp_path / "out"))
    (left,) = staging(tmp_path)
    journal = left / ".journal"
    journal.write_bytes(journal.read_bytes()[:-3])
    weights = left / "model.safetensors"
    data = bytearray(weights.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    data[header + 100 : header + 1000] = bytes(900)
    data[:header] = bytes(header)
    weights.write_bytes(data)
    merge(trio, tmp_path / "out")
    merge(trio, tmp_path / "undisturbed")
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")


def test_an_extraction_continues_too(tmp_path: Path, trio: Trio, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["extract", str(trio.base), str(trio.chat), "-o", str(tmp_path / "out")]
    code, err = interrupt(tmp_path, signal.SIGTERM, *arguments, "--threads", "1", "--quiet")
    assert (code, err) == (143, "chatvector: interrupted; the same command continues\n")
    code, out, _ = command_line(capsys, *arguments, "--json")
    assert code == 0
    assert json.loads(out)["run"]["bytes_kept_from_earlier_run"] > 0
    command_line(capsys, "extract", str(trio.base), str(trio.chat), "-o", str(tmp_path / "undisturbed"))
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
