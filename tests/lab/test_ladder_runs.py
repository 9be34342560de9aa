# SPDX-License-Identifier: Apache-2.0
"""Whole ladders of the embedded models, two items a task: trained, asked, reported, interrupted, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.cli.tasks import known
from chatvector.errors import InputError, MissingExtra, OutputRefused, UsageError
from chatvector.evaluate import run as evaluation
from chatvector.evaluate.halves import HALVES, half_of
from chatvector.evaluate.report.writing import read_items
from chatvector.evaluate.results import read_results
from chatvector.lab.ladder import climb as climbing
from chatvector.lab.ladder import report
from chatvector.lab.ladder.climb import climb
from chatvector.lab.ladder.late import LateModel
from chatvector.lab.ladder.making import make
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.rungs import RUNGS
from chatvector.runtime.backend import Backend
from pages_of_reports import read_page
from training.training_data import CHATML, CONVERSATIONS, TEXTS, turns, write_jsonl

ASK: dict[str, Any] = {"task": ["demo-sentiment", "demo-memory"], "language": ["ko"]}
SHORT = {"max_length": 32, "batch_size": 2, "steps": 2, "learning_rate": 1e-4, "device": "cpu", "save_every": 1}


class Killed(BaseException):
    """As a signal arrives."""


class Meter:
    """Hears nothing, or ends the run after so many steps or replies."""

    def __init__(self, most: int | None = None) -> None:
        self._left = most

    def __call__(self, _what: str, _unit: str) -> Meter:
        return self

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, _total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        if self._left is not None:
            self._left -= count
            if self._left < 0:
                raise Killed


def recipe_of(folder: Path, **changes: Any) -> LadderRecipe:
    folder.mkdir(exist_ok=True)
    texts, talk = write_jsonl(folder / "a.jsonl", TEXTS), write_jsonl(folder / "b.jsonl", CONVERSATIONS)
    document = {
        "base": "demo:base",
        "chat": "demo:chat",
        "target": {"train": [SHORT | {"stage": "cp", "data": [texts]}]},
        "ft": {"train": [SHORT | {"stage": "sft", "data": [talk], "chat_template": "chat"}]},
        "chat_cp_ft": {"same": True},
        "scales": [0.5, 1.0],
        "ask": ASK | {"limit": 2, "max_new_tokens": 8},
        "device": "cpu",
        "output": str(folder / "ladder"),
    }
    return LadderRecipe.from_mapping(document | changes)


def without_run(told: Any) -> Any:
    """A document without what is this run's."""
    if isinstance(told, dict):
        return {key: without_run(value) for key, value in told.items() if key != "run"}
    return [without_run(one) for one in told] if isinstance(told, list) else told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ladder with all rungs that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    climb(recipe_of(folder), known(), meters=Meter())
    return folder / "ladder"


def test_every_rung_is_there(whole: Path) -> None:
    told = json.loads((whole / "ladder.json").read_text("utf-8"))
    titles = [rung.title for rung in RUNGS]
    assert [rung["title"] for rung in told["rungs"]] == [*titles, "target, persona", "target, no template"]
    assert told["left_out"] == {}
    scales = {rung["key"]: (rung["scale"], rung["how"]) for rung in told["rungs"] if rung["scale"] is not None}
    assert scales.keys() == {"target+tau", "ft+tau", "base+tau"}
    assert scales["ft+tau"][1] == "chosen on 4 development items"
    assert scales["base+tau"] == (scales["target+tau"][0], "that of target + τ")
    made = {rung["title"]: rung["made"] for rung in told["rungs"]}
    assert made["chat → CP → FT"] == "chat → cp → sft, trained here"
    assert made["FT + τ"] == "target → sft, trained here + scale · (chat − base)"
    assert {stage.name for stage in (whole / "models").iterdir()} == {
        "target.1-cp",
        "ft.1-sft",
        "chat-cp-ft.1-cp",
        "chat-cp-ft.2-sft",
    }


def test_the_scale_is_the_best_of_those_asked_for_on_development_items(whole: Path) -> None:
    told = json.loads((whole / "ladder.json").read_text("utf-8"))
    for rung in told["rungs"]:
        points = told["curves"].get(rung["title"])
        if points:
            merits = {point["scale"]: point["development"]["merit"]["value"] for point in points if point["scale"] > 0}
            assert merits[rung["scale"]] == max(merits.values())
            # The rung's own figure is that of the curve on the test items.
            (at,) = [point for point in points if point["scale"] == rung["scale"]]
            assert at["test"]["merit"]["value"] == pytest.approx(rung["merit"]["merit"]["value"], abs=1e-6)


def test_development_and_test_items_are_apart(whole: Path) -> None:
    results = read_results(whole)
    assert sum(row.items for row in results.tasks if not row.rider) == 4
    for job in known().choose(["ko"], task=ASK["task"], limit=2):
        halves = [half_of(job.task, half).items("ko", limit=2, seed=0) for half in HALVES]
        development, test = ({item.id for item in items} for items in halves)
        lines = (whole / "items" / f"{job.task.name}.ko.jsonl").read_text("utf-8").splitlines()
        there = {json.loads(line)["item"]["id"] for line in lines}
        assert there == test
        assert not development & test


def test_pairs_and_sentences_say_what_the_rows_say(whole: Path) -> None:
    told = json.loads((whole / "ladder.json").read_text("utf-8"))
    pairs = {(pair["first"], pair["second"]): pair for pair in told["pairs"]}
    assert ("target + τ", "FT") in pairs
    assert ("FT + τ", "FT") in pairs
    for (first, second), pair in pairs.items():
        assert {(row["model"], row["reference"]) for row in pair["differences"]} == {(first, second)}
        primary = [row for row in pair["differences"] if row["p_holm"] is not None]
        assert sum(pair["findings"].values()) == len(primary)
        assert all(row["p_holm"] >= row["p"] for row in primary)
        figures = {rung["title"]: rung["merit"]["merit"]["value"] for rung in told["rungs"]}
        assert pair["merit"]["value"] == pytest.approx(figures[first] - figures[second], abs=2e-6)
        assert f"{first} against {second}" in pair["sentences"][0]
        assert pair["sentences"][0] in told["sentences"]


def test_two_items_a_task_support_no_claim(whole: Path) -> None:
    """Sentences are no stronger than numbers: so few items tell no figure apart."""
    told = json.loads((whole / "ladder.json").read_text("utf-8"))
    assert all(pair["findings"]["better"] == pair["findings"]["worse"] == 0 for pair in told["pairs"])
    assert not [line for line in told["sentences"] if line.startswith(("Better:", "Worse:"))]


def test_the_report_has_the_papers_figures_beside_and_says_whose_they_are(whole: Path) -> None:
    for name in ("report.html", "report.md"):
        text = (whole / name).read_text("utf-8")
        assert "As quoted by reviews of the first version" in text
        assert "unverified" in text
        assert "7.90" in text
        assert all(rung.title in text for rung in RUNGS)
        assert "Controls, without chat format" in text
        assert "Merit by scale, test items" in text
        assert str(whole.parent) not in text
    told = json.loads((whole / "ladder.json").read_text("utf-8"))
    results = read_results(whole)
    again = report.files(told, results, read_items(results, whole))
    assert again == {name: (whole / name).read_text("utf-8") for name in again}


def test_figures_come_with_what_they_count_and_warnings_with_them(whole: Path) -> None:
    told = json.loads((whole / "ladder.json").read_text("utf-8"))
    results = read_results(whole)
    counted = {
        (rung["title"], part): one["n"] for rung in told["rungs"] for part, one in rung["merit"]["parts"].items()
    }
    for rung in told["rungs"]:
        rows = [row for row in results.figures if row.model == rung["title"] and row.facet is None]
        (recalled,) = (row.n for row in rows if (row.task, row.metric) == ("demo-memory", "correct"))
        assert counted[rung["title"], "memory"] == recalled
    page = read_page((whole / "report.html").read_text("utf-8"))
    for part, shown in zip(told["weights"], report.counts(told), strict=True):
        ends = {str(count) for (_, name), count in counted.items() if name == part}
        assert set(shown.split("–")) <= ends
    assert f"n {' '.join(report.counts(told))} Merit:" in page.text
    # Both halves' items are few: of the ones to choose on only the sweeps know.
    assert set(results.warnings) < set(told["warnings"])
    assert any(
        line.startswith("scale of FT + τ: items to choose on, demo-sentiment (ko): ") for line in told["warnings"]
    )
    for line in told["warnings"]:
        assert line in page.text


def test_the_same_command_again_opens_no_model(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, tmp_path / "ladder")

    def never(_model: LateModel) -> Backend:
        raise AssertionError("a rung was opened that had been asked before")

    monkeypatch.setattr(LateModel, "_opened", never)
    lines: list[str] = []
    told = climb(recipe_of(whole.parent, output=str(tmp_path / "ladder")), known(), meters=Meter(), say=lines.append)
    assert without_run(told) == without_run(json.loads((whole / "ladder.json").read_text("utf-8")))
    assert len([line for line in lines if "found in" in line]) == 4 + 2  # trainings and sweeps


def test_a_killed_ladder_goes_on_to_the_same_report(whole: Path, tmp_path: Path) -> None:
    recipe = recipe_of(whole.parent, output=str(tmp_path / "ladder"), chat_cp_ft=None)
    for most in (1, 14):  # in the first training, and in the middle of the first sweep
        with pytest.raises(Killed):
            climb(recipe, known(), meters=Meter(most))
        assert not (tmp_path / "ladder" / "results.json").exists()
    lines: list[str] = []
    told = climb(recipe, known(), meters=Meter(), say=lines.append)
    assert "target.1-cp: found in" in "\n".join(lines)
    expected = json.loads((whole / "ladder.json").read_text("utf-8"))
    assert without_run(told["curves"]) == without_run(expected["curves"])
    found = {rung["title"]: rung["merit"] for rung in expected["rungs"]}
    assert {rung["title"] for rung in told["rungs"]} == found.keys() - {"chat → CP → FT"}


def test_a_checkpoint_of_another_recipe_is_in_the_way(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "models", tmp_path / "models")
    other = recipe_of(whole.parent, ask=ASK, chat_cp_ft=None)
    stage = other.target.train[0].model_copy(update={"seed": 5})
    other = other.model_copy(update={"target": other.target.model_copy(update={"train": (stage,)})})
    with pytest.raises(OutputRefused, match=r"target\.1-cp: a checkpoint of another recipe is in the way"):
        make(other, tmp_path, restart=False, meters=Meter(), say=print)
    lines: list[str] = []
    made = make(other, tmp_path, restart=True, meters=Meter(), say=lines.append)
    assert made["target"] == str(tmp_path / "models" / "target.1-cp")
    assert lines[0] == "target.1-cp: training from demo:base"
    foreign = tmp_path / "models" / "ft.1-sft" / "training_recipe.json"
    foreign.unlink()
    with pytest.raises(OutputRefused, match="is in the way"):  # nothing that is not ours is removed
        make(other, tmp_path, restart=True, meters=Meter(), say=print)


@pytest.mark.parametrize(
    ("stage", "rows", "complaint"),
    [
        ("cp", [{"body": "x"}], r"a\.jsonl: line 1: column 'text' is missing or empty; the columns are body"),
        ("cp", [], r"no rows, so there is nothing to train on"),
        ("sft", [{"messages": []}], r"column 'messages' is missing or empty"),
        ("sft", [{"messages": turns("a", "b", "c", "d")}], r"mark them in the template with \{% generation %\}"),
    ],
)
def test_bad_data_is_one_line(stage: str, rows: list[Any], complaint: str, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "a.jsonl", rows)
    template = tmp_path / "t.jinja"
    # Earlier answers are cut short once the conversation goes on.
    template.write_text(CHATML.replace("message['content']", "(message['content'] if loop.last else 'x')"), "utf-8")
    told = SHORT | {"stage": stage, "data": [data]} | ({"chat_template": str(template)} if stage == "sft" else {})
    recipe = recipe_of(tmp_path / "r", target={"train": [told]}, rungs=["target"], ft=None, chat_cp_ft=None)
    with pytest.raises(InputError, match=complaint) as caught:
        climb(recipe, known(), meters=Meter())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["ask", "train"])
def test_a_gpu_that_is_not_there(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    stage = SHORT | {"stage": "cp", "data": ["a.jsonl"], "device": "cuda"}
    changes = {"device": "cuda:0"} if where == "ask" else {"target": {"train": [stage]}}
    with pytest.raises(UsageError, match="device cuda: torch sees no CUDA GPU here"):
        climb(recipe_of(tmp_path, **({"chat_cp_ft": None} | changes)), known(), meters=Meter())
    assert not (tmp_path / "ladder").exists()


def test_training_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(climbing, "can_train", lambda: False)
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[train\]'"):
        climb(recipe_of(tmp_path), known(), meters=Meter())


def test_evaluation_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None if name == "scipy" else object())
    with pytest.raises(MissingExtra, match=r"A ladder needs an optional part: pip install 'chatvector\[eval\]'"):
        climb(recipe_of(tmp_path), known(), meters=Meter())
    assert not (tmp_path / "ladder").exists()


def test_another_directory_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputRefused, match="holds other things than a ladder"):
        climb(recipe_of(tmp_path / "r", output=str(tmp_path)), known(), meters=Meter())


def invoke(*words: str) -> Any:
    result = CliRunner().invoke(app, ["ladder", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(
        yaml.safe_dump({"base": "demo:base", "chat": "demo:chat", "target": "demo:target", "scales": [1.0]})
    )
    settings = [
        "--set",
        "ask={task: [demo-sentiment], language: [ko], limit: 1, max_new_tokens: 4}",
        "--set",
        "device=cpu",
    ]
    result = invoke("r.yaml", *settings, "--out", "out")
    assert "not built: FT: no ft: in the recipe" in result.stderr
    assert "out: report.html, report.md, ladder.json, results.json" in result.stdout
    told = json.loads(invoke("r.yaml", *settings, "--out", "out", "--json", "-q").stdout)
    assert told["format"] == "chatvector-ladder/1"
    assert [rung["how"] for rung in told["rungs"] if rung["key"] == "target+tau"] == ["the only one asked for"]
    assert told["curves"] == {"target + τ": [], "base + τ": []}


def test_the_plan_of_the_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = json.loads(invoke("--plan", "--json").stdout)
    assert told["format"] == "chatvector-ladder-plan/1"
    assert "train chat-cp-ft.1-cp" in [step["what"] for step in told["steps"]]
    assert told["unknown"] == []
    shown = invoke("--plan").stdout
    assert "calls: none of judge, guard or scorer" in shown
    assert list(tmp_path.iterdir()) == []
