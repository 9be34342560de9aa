# SPDX-License-Identifier: Apache-2.0
"""Files that are there and may not be read are findings: neither the end of the examination, nor taken for damage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatvector.checks.doctor.examine import examine
from doctor.patients import Body, merge


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Body:
    return Body(merge(tmp_path_factory.mktemp("healthy")))


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files that may not be opened; whoever runs the tests may be allowed everything."""
    closed: set[str] = set()
    really_open = os.open

    def guarded(path: str | Path, *flags: int) -> int:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(path, *flags)

    monkeypatch.setattr("chatvector.checkpoint.storage.os.open", guarded)
    return closed


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_what_a_loader_needs_is_a_fault_by_its_own_name(healthy: Body, close: set[str], name: str) -> None:
    close.add(name)
    (found,) = examine(str(healthy.path)).findings
    assert (found.code, found.level) == ("file-unreadable", "fault")
    assert found.detail == f"1 files: {name} (cannot be read (Permission denied))"
    assert "chmod" in found.fault.cure


@pytest.mark.parametrize("name", ["README.md", "NOTICE", "chat_vector.json"])
def test_what_no_loader_needs_is_said_and_no_fault(healthy: Body, close: set[str], name: str) -> None:
    if not (healthy.path / name).exists():
        healthy.write(name, "words")
    close.add(name)
    diagnosis = examine(str(healthy.path))
    assert diagnosis.findings == ()
    assert diagnosis.unchecked == (f"{name}: cannot be read (Permission denied)",)
