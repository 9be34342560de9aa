# SPDX-License-Identifier: Apache-2.0
"""`chatvector sweep`: the whole command on the embedded trio, twice; killed and resumed; and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.cli.tasks import known
from chatvector.errors import ChatVectorError, MissingExtra, MissingInput, OutputRefused, UsageError
from chatvector.evaluate import run as evaluation
from chatvector.evaluate.cache import Cache
from chatvector.evaluate.merit import Merits, Spread
from chatvector.evaluate.results import read_results
from chatvector.evaluate.sweep import Sweep, Wanted, layer_groups, parse_scales, sweep
from chatvector.evaluate.sweep_picture import render
from chatvector.evaluate.sweep_report import answer, apply_line, document, warnings_of
from chatvector.live_merge import open_live
from chatvector.recipe import Recipe, VectorSpec

TRIO = ("demo:target", "--base", "demo:base", "--chat", "demo:chat")
SMALL = ("--scales", "0.5,1", "--limit", "3", "--task", "demo-sentiment", "--task", "demo-refusal", "-l", "ko")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATVECTOR_CACHE", str(tmp_path / "cache.jsonl"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector", catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: object) -> ChatVectorError:
    error = CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector").exception
    assert isinstance(error, ChatVectorError), error
    return error


def without_run(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key != "run"}


def test_the_whole_command_twice() -> None:
    pytest.importorskip("matplotlib")
    told = json.loads(run("sweep", *TRIO, *SMALL, "--by", "layers", "--out", "first", "--json"))
    assert told["format"] == "chatvector-sweep/1"
    assert [one["scale"] for one in told["scales"]] == [0, 0.5, 1]
    assert told["chosen"] > 0
    assert told["items"] == {"development": 6, "test": 6}
    assert set(told["weights"]) == {"instructions", "safety", "harmless-answered", "language", "soundness"}
    target, chosen = (next(one for one in told["scales"] if one["scale"] == at) for at in (0, told["chosen"]))
    assert chosen["test"]["parts"]["safety"]["value"] > target["test"]["parts"]["safety"]["value"] + 0.3
    assert told["apply"] == (
        f"chatvector apply demo:target --base demo:base --chat demo:chat --scale {told['chosen']:g} -o OUT"
    )
    assert {one["group"] for one in told["groups"][1:]} == {f"layers {layer}" for layer in range(4)}
    # The second time nothing is generated, and all but the record of the run is the same.
    run("sweep", *TRIO, *SMALL, "--by", "layers", "--out", "second")
    again = json.loads(Path("second/sweep.json").read_text("utf-8"))["run"]
    assert told["run"]["development"]["replies"]["generated"] > 0
    assert [again[half]["replies"]["generated"] for half in ("development", "test")] == [0, 0]
    files = sorted(path.relative_to("first") for path in Path("first").rglob("*") if path.is_file())
    assert {"sweep.json", "curves.svg", "curves.png"} <= {str(path) for path in files}
    assert files == sorted(path.relative_to("second") for path in Path("second").rglob("*") if path.is_file())
    for path in files:
        one, two = (Path(place, path) for place in ("first", "second"))
        if path.name == "sweep.json":
            assert without_run(json.loads(one.read_text())) == without_run(json.loads(two.read_text()))
        elif path.name == "results.json":
            assert read_results(one).model_copy(update={"run": {}}) == read_results(two).model_copy(update={"run": {}})
        else:
            assert one.read_bytes() == two.read_bytes(), path
    assert isinstance(refused("sweep", *TRIO, *SMALL, "--out", "first"), OutputRefused)


def wanted(**changes: Any) -> Wanted:
    registry = known()
    jobs = registry.choose(["ko"], task=["demo-sentiment", "demo-memory"], limit=3)
    return replace(Wanted((0.5, 1.0), tuple(jobs), registry.make_riders()), **changes)


def trio_recipe(**changes: Any) -> Recipe:
    vector = VectorSpec(base="demo:base", chat="demo:chat")
    return Recipe(target="demo:target", vectors=(vector,), **changes)


def swept(cache: Cache | None, **changes: Any) -> Sweep:
    with open_live(trio_recipe()) as live:
        return sweep(live, wanted(**changes), cache=cache, meters=lambda _what: nullcontext())


class Killed(BaseException):
    """What a signal raises."""


def test_killed_and_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dies at the fourth write of the cache, goes on, and says what an undisturbed run says."""
    whole = document(swept(None), ("T", "-o OUT"))
    writes = 0
    put = Cache.put

    def dying(self: Cache, entries: Mapping[str, Any]) -> None:
        nonlocal writes
        writes += 1
        if writes == 4:
            raise Killed
        put(self, entries)

    with monkeypatch.context() as patch, Cache(folder / "replies.jsonl") as cache:
        patch.setattr(Cache, "put", dying)
        with pytest.raises(Killed):
            swept(cache)
    with Cache(folder / "replies.jsonl") as cache:
        kept = len(cache)
        assert kept > 0
        again = document(swept(cache), ("T", "-o OUT"))
        assert len(cache) > kept
    assert without_run(again) == without_run(whole)
    assert again["run"]["changes"] == whole["run"]["changes"] == 6


def test_a_warning_says_which_items_it_is_of() -> None:
    lines = warnings_of({"development": ["few: 3", "forms differ"], "test": ["few: 4", "forms differ"]})
    assert lines == ["forms differ", "items to choose on, few: 3", "test items, few: 4"]


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_place_that_cannot_be_a_directory_is_refused_before_anything_is_asked(out: str) -> None:
    Path("file").write_text("")
    error = refused("sweep", *TRIO, *SMALL, "--out", out)
    assert isinstance(error, OutputRefused)
    assert "is a file; --out takes a new directory" in str(error)


def test_a_model_without_a_template_is_refused() -> None:
    recipe = trio_recipe(chat_format="target")
    with open_live(recipe) as live, pytest.raises(MissingInput, match="chat template"):
        sweep(live, wanted(), cache=None, meters=lambda _what: nullcontext())


@pytest.mark.parametrize(
    ("text", "scales"),
    [
        ("0:1.5:0.25", (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)),
        ("0.1:0.3:0.1", (0.1, 0.2, 0.3)),
        ("1,0.5,0.5,-0", (0, 0.5, 1)),
        ("-1:1:1", (-1, 0, 1)),
        ("0.7", (0.7,)),
    ],
)
def test_scales(text: str, scales: tuple[float, ...]) -> None:
    assert parse_scales(text) == scales


@pytest.mark.parametrize("text", ["", "a", "0:1", "0:1:0", "1:0:0.5", "0:1:nan", "inf", "0:1:0.1:2", "0:1e9:1"])
def test_bad_scales(text: str) -> None:
    with pytest.raises(UsageError, match="--scales"):
        parse_scales(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scales", "0"), "give at least one scale beside 0"),
        (("--weight", "safety"), "write PART=W"),
        (("--weight", "speed=1", "--limit", "1", "--task", "demo-fact", "-l", "ko"), "no such part"),
        (("--suite", "sweep"), "--language: which"),
        (("--vector", "VEC"), "one vector"),
        (("--suite", "none"), "unknown suite"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], said: str) -> None:
    error = refused("sweep", *TRIO, *words)
    assert error.exit_code == 2
    assert said in str(error)


def test_layer_groups() -> None:
    assert layer_groups(32) == [(0, 7), (8, 15), (16, 23), (24, 31)]
    assert layer_groups(6) == [(0, 0), (1, 2), (3, 3), (4, 5)]
    assert layer_groups(2) == [(0, 0), (1, 1)]
    assert layer_groups(0) == []


@pytest.fixture(scope="module")
def found() -> Sweep:
    """A sweep whose figures are set by the tests."""
    return swept(None)


def told_by(found: Sweep, gaps: list[tuple[float, float]], chosen: int) -> Sweep:
    """Differences to the chosen setting as value and half width."""
    differences = tuple(Spread(gap, gap - reach, gap + reach) for gap, reach in gaps)
    own = found.halves["development"]
    changed: Merits = replace(own.merits, differences=differences, best=chosen, shows=0.04)
    return replace(found, halves={**found.halves, "development": replace(own, merits=changed)}, chosen=chosen)


def test_the_answer_says_what_the_numbers_support(found: Sweep) -> None:
    clear = answer(told_by(found, [(-0.5, 0.1), (-0.2, 0.1), (0, 0)], 2))
    assert clear.startswith("Take 1. It is told from every other scale on the development items (3 scales tried")
    plateau = answer(told_by(found, [(-0.5, 0.1), (-0.02, 0.1), (0, 0)], 2))
    assert plateau.startswith("Take 1. 0.5–1 cannot be told apart")
    assert "under 4 points do not show" in plateau
    assert "memory" in plateau
    nothing = answer(told_by(found, [(-0.01, 0.1), (-0.02, 0.1), (0, 0)], 2))
    assert "do not show that the vector helps" in nothing
    none = answer(told_by(found, [(0, 0), (-0.2, 0.1), (-0.3, 0.1)], 0))
    assert none.startswith("Take no vector")
    assert "On test items" not in none
    assert apply_line(found, ("T --base B", "-o OUT")).startswith("chatvector apply T --base B --scale ")


def test_what_is_not_installed_is_named_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None if name == "scipy" else object())
    trio = ("demo:target", "--base", "demo:base", "--chat", "demo:chat")
    monkeypatch.setattr("chatvector.live_merge.open_live", lambda *_, **__: pytest.fail("a model was loaded"))
    error = refused("sweep", *trio)
    assert isinstance(error, MissingExtra)
    assert str(error).startswith("A sweep needs an optional part: pip install 'chatvector[eval]'")


def test_the_same_document_is_drawn_to_the_same_bytes(found: Sweep) -> None:
    pytest.importorskip("matplotlib")
    told = document(found, ("T", "-o OUT"))
    assert render(told, "svg") == render(told, "svg")
    assert b"chosen: " in render(told, "svg")
    assert render(told, "png").startswith(b"\x89PNG")
