# SPDX-License-Identifier: Apache-2.0
"""Folders that may not be entered or written: one line that names the folder and what to do, whatever option it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builders import write_trio
from chatvector.checkpoint.names import classify
from chatvector.checkpoint.staging import temporary_folder
from chatvector.errors import MissingInput, OutputRefused
from chatvector.runtime.loading import require_extra

# root may read everything, by a capability; without any, modes hold for it too.
PLAIN = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
STORE = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

Program = Callable[..., tuple[int, str]]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """A trio in `m`, its target and a template also in `secret`, which may not be entered; `ro` cannot be written."""
    write_trio(tmp_path / "m")
    shutil.copytree(tmp_path / "m" / "target", tmp_path / "secret" / "target")
    (tmp_path / "secret" / "x.jinja").write_text("{{ messages }}")
    (tmp_path / "ro").mkdir()
    (tmp_path / "secret").chmod(0)
    (tmp_path / "ro").chmod(0o555)
    yield tmp_path
    (tmp_path / "secret").chmod(0o755)
    (tmp_path / "ro").chmod(0o755)


@pytest.fixture
def program(places: Path) -> Program:
    """Runs the command line in `places` as somebody without rights to `secret`: exit code and stderr."""
    if PLAIN and shutil.which(PLAIN[0]) is None:
        pytest.skip("root without setpriv: nothing here is closed to it")
    if subprocess.run([*PLAIN, "ls", places / "secret"], capture_output=True).returncode == 0:
        pytest.skip("the modes of folders do not hold on this machine")

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [*PLAIN, sys.executable, "-m", "chatvector", *arguments],
            cwd=places,
            env={**os.environ, "NO_PROXY": "127.0.0.1", **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stderr

    return run


MERGE = ("apply", "m/target", "--base", "m/base", "--chat", "m/chat", "--quiet")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("doctor", "secret/target"), "secret/target"),
        (("doctor", "./secret/a/target"), "./secret/a/target"),
        (("check", "m/base", "m/chat", "link"), "link"),
        (("apply", "m/target", "--vector", "secret/v", "-o", "out", "--quiet"), "secret/v"),
        ((*MERGE, "-o", "out", "--chat-format", "secret/x.jinja"), "--chat-format secret/x.jinja"),
        # Found by the net below all verbs.
        (("push", "secret/out", "org/x", "--dry-run"), "secret/out"),
        (("compare", "secret/a", "secret/b"), "secret/a"),
    ],
)
def test_what_lies_below_a_closed_folder(places: Path, program: Program, arguments: tuple[str, ...], name: str) -> None:
    (places / "link").symlink_to("secret/target")
    code, err = program(*arguments)
    folder = places.resolve() / "secret"
    assert err == (
        f"chatvector: {name}: the folder {folder} may not be entered (Permission denied); chmod +x it, or ask its"
        " owner to\n"
    )
    assert code == 3
    assert not (places / "out").exists()


def test_mended_files_below_a_closed_folder(program: Program) -> None:
    code, err = program("doctor", "m/target", "--fix", "secret/fix")
    assert (code, err) == (2, "chatvector: secret/fix: Permission denied; choose another output\n")


@pytest.mark.parametrize("verb", ["apply", "plan"])
@pytest.mark.parametrize(
    ("setting", "folder", "reason"),
    [
        ("secret/staging", "secret", "may not be written"),
        ("ro", "ro", "may not be written"),
        ("ro/deep/er", "ro", "may not be written"),
        ("m/target/config.json", "m/target/config.json", "is a file"),
    ],
)
def test_a_staging_folder_that_takes_nothing(
    places: Path, program: Program, verb: str, setting: str, folder: str, reason: str
) -> None:
    pytest.importorskip("obstore")
    arguments = (verb, *MERGE[1:-1], "-o", "s3://b/m")
    code, err = program(*arguments, CHATVECTOR_STAGING=str(places / setting), **STORE)
    assert err.splitlines()[-1] == (
        f"chatvector: s3://b/m: is made in {places / setting} before it is sent, and {places / folder} {reason}; set"
        " CHATVECTOR_STAGING to a directory of yours"
    )
    assert code == 2


def test_a_hub_name_in_a_working_directory_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path.resolve()
    monkeypatch.chdir(here)

    def closed(path: object, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    real = os.path.exists
    monkeypatch.setattr("chatvector.checkpoint.names.os.stat", closed)
    monkeypatch.setattr("chatvector.checkpoint.names.os.path.exists", lambda path: path == here or real(path))
    assert classify("org/name").kind == "hub"
    with pytest.raises(MissingInput, match=f"^./org/name: the folder {here} may not be entered"):
        classify("./org/name")


def test_no_place_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /tmp, /var/tmp and the working directory are read-only: demo, probe and servers say so before torch."""

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    for ask in (temporary_folder, lambda: require_extra("The demo")):
        with pytest.raises(OutputRefused, match=r"^no place for temporary files can be written .*; set TMPDIR"):
            ask()
