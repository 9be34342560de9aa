# SPDX-License-Identifier: Apache-2.0
"""docs/manifest.md lists every key of every document that is written or printed, and no other."""

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

ROW = re.compile(r"^\| `(?P<path>[^`]+)` \| (?P<kind>[^|]+) \|(?P<meaning>[^|]*)\|$", re.MULTILINE)
# Mappings whose keys are names of tensors, files, roles …: written `*` in the page.
OPEN = re.compile(
    r"(^origins|^parents|side_files|special_tokens|rules|scales\[\]\.tensors|roles|layers|statistics\.tensors"
    r"|checks\.chat\.template_tokens|files|parent_dtypes|shards|models|tasks|forms)$"
)
# Lists that a row describes as a whole, as they may well be empty.
LISTS = re.compile(
    r"(scale_\w+|derived_buffers|left_behind|scale_zero|zero_vector|warnings|problems|plain_markers|reasons"
    r"|languages|licences|unknown|found_in|conflicts|undetermined|forbidden)$"
)
# Objects that a row describes as a whole.
WHOLE = ("run.recipe", "run.revisions", "statistics.roles.*", "statistics.layers.*", "statistics.tensors.*", "recipe")
KINDS: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "text": (str,),
    "true or false": (bool,),
    "list": (list,),
    "object": (dict,),
    "null": (type(None),),
}
MODEL = "`chat_vector.json` of a model, and `apply --json`, `run --json`"
VECTOR = "`chat_vector.json` of a vector, and `extract --json`"
PLAN = "`plan --json`, and `apply --dry-run --json`"
SHARED_BY_VECTOR = ("format", "chatvector", "plan", "files.*.bytes", "parents.", "statistics.", "run.")
SHARED_BY_PLAN = ("plan", "parents.", "chat_format.", "vocabulary.", "scales[]", "lineage[]", "licences.")


def section(title: str) -> dict[str, tuple[str, bool]]:
    """The rows under a heading: path to kind, and whether it is optional."""
    text = read("docs/manifest.md").partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert text, f"no section {title}"
    return {m["path"]: (m["kind"].strip(), "*(optional" in m["meaning"]) for m in ROW.finditer(text)}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every end of a document with its path, `*` and `[]` for what has no fixed name."""
    if path in WHOLE and not (path == "recipe" and isinstance(value, dict) and "vocabulary" in value):
        yield path, value
    elif isinstance(value, dict) and (value or not path):
        for key, item in value.items():
            name = "*" if OPEN.search(path) else key
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and not LISTS.search(path):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, value


def run(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, list(words), prog_name="chatvector")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def compare(document: dict[str, Any], documented: dict[str, tuple[str, bool]]) -> None:
    """Each end of the document is documented with its kind; each documented path that is not optional is there."""
    seen: set[str] = set()
    for path, value in leaves(document):
        inside = {row for row in documented if row.startswith((f"{path}.*", f"{path}[]"))}
        if value in ({}, []) and inside:
            seen |= inside  # nothing to describe, and described
            continue
        assert path in documented, f"docs/manifest.md lacks {path} = {value!r}"
        kind, _ = documented[path]
        words = [kind] if kind in KINDS else kind.split(" or ")
        allowed = tuple(each for word in words for each in KINDS[word])
        assert type(value) in allowed, f"{path} is {value!r}, the page says {kind}"
        seen.add(path)
    absent = {path for path, (_, optional) in documented.items() if not optional} - seen
    assert not absent, "docs/manifest.md names what is not there"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


TRIO = ("demo:target", "--base", "demo:base", "--chat", "demo:chat")


def test_manifest_of_a_model() -> None:
    printed = run("apply", *TRIO, "-o", "out", "--stats", "full", "--sha256", "--scale-role", "norm=0", "--json")
    compare(printed, section(MODEL))
    assert json.loads(Path("out/chat_vector.json").read_text("utf-8")) == printed
    seen = {path for path, _ in leaves(printed)}
    assert {path for path, (_, optional) in section(MODEL).items() if optional} - seen == {
        "chat_format.template",
        "licences.accepted",
    }
    run("run", "out/chat_vector.json", "-o", "again", "--json")


def test_manifest_of_a_model_whose_format_stays() -> None:
    compare(run("apply", *TRIO, "-o", "out", "--chat-format", "target", "--json"), section(MODEL))


def test_manifest_of_a_vector() -> None:
    shared = {path: row for path, row in section(MODEL).items() if path.startswith(SHARED_BY_VECTOR)}
    shared = {path: row for path, row in shared.items() if path != "run.recipe" and not row[1]}
    compare(run("extract", "demo:base", "demo:chat", "-o", "vector", "--json"), shared | section(VECTOR))


def test_manifest_of_a_merge_with_a_vector_on_disk() -> None:
    run("extract", "demo:base", "demo:chat", "-o", "vector", "--json")
    printed = run("apply", "demo:target", "--vector", "vector", "-o", "out", "--json")
    assert printed["lineage"] == [None]
    assert set(printed["parents"]) == {"target", "vectors.0"}


def test_plan() -> None:
    shared = {path: row for path, row in section(MODEL).items() if path.startswith(SHARED_BY_PLAN)}
    compare(run("plan", *TRIO, "--json"), shared | section(PLAN))
    compare(run("apply", *TRIO, "--dry-run", "--json"), shared | section(PLAN))


def test_demo() -> None:
    from chatvector.lab.comparison import Scored
    from chatvector.lab.demo import EVALUATION_SEED, Comparison
    from chatvector.lab.world.items import SKILL_TASKS, TASKS, held_out_items
    from chatvector.runtime.backend import Reply

    items = tuple(held_out_items(1, EVALUATION_SEED, "ko", (*TASKS, *SKILL_TASKS)))
    scored = Scored(items, tuple(Reply("좋은 거예요.", stopped=True, tokens=3) for _ in items))
    compare(Comparison("ko", 1.0, 1, {"target": scored}).as_json(), section("`demo --json`"))
