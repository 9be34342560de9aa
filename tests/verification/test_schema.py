# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/verify.md and docs/doctor.md name every key that is printed, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chatvector.cli.main import app
from docs.pages import read
from doctor.patients import Body, merge

ROW = re.compile(r"^\| `(?P<path>[^`]+)` \| (?P<kind>[^|]+) \|", re.MULTILINE)
KINDS: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "text": (str,),
    "list": (list,),
    "object": (dict,),
    "true": (bool,),
    "false": (bool,),
    "null": (type(None),),
}
# Described as a whole.
WHOLE = {"checks[].figures", "verify", "fix", "restored"}


def documented(page: str, title: str) -> dict[str, set[type]]:
    text = read(page).partition(f"## `{title}`\n")[2]
    assert text, f"{page} has no section {title}"
    return {
        match["path"]: {kind for word in re.findall(r"\w+", match["kind"]) for kind in KINDS.get(word, ())}
        for match in ROW.finditer(text)
    }


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if path in WHOLE:
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            name = "*" if path == "checked.template_tokens" else key
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, value


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Body:
    """A merge with a fault, a warning, a note and something that cannot be looked at."""
    body = Body(merge(tmp_path_factory.mktemp("spoilt"), shards=2))
    with body.json("generation_config.json") as config:
        config["eos_token_id"] = 1
    body.write("picture.png")
    file = body.path / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    return body


@pytest.mark.parametrize(
    ("words", "page", "title"),
    [
        (("verify", "--no-generate"), "docs/verify.md", "verify --json"),
        (("doctor", "--fix", "mended"), "docs/doctor.md", "doctor --json"),
    ],
)
def test_every_key_is_in_the_page(
    spoilt: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], page: str, title: str
) -> None:
    monkeypatch.chdir(tmp_path)
    verb, *flags = words
    done = CliRunner().invoke(app, [verb, str(spoilt.path), *flags, "--json", "--quiet"], prog_name="chatvector")
    known = documented(page, title)
    found = list(leaves(json.loads(done.stdout)))
    assert {path for path, _ in found} == known.keys()
    assert not [(path, value) for path, value in found if type(value) not in known[path]]
