# SPDX-License-Identifier: Apache-2.0
"""`chatvector demo`, whole: one real run, shown in both forms."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from chatvector.cli.main import app
from chatvector.errors import MissingExtra, UsageError
from chatvector.lab import demo
from chatvector.lab.comparison import TARGETS, ask
from chatvector.lab.world.items import SKILL_TASKS, TASKS, held_out_items
from chatvector.lab.world.text import Language
from chatvector.runtime.transformers_backend import TransformersBackend

RUNNER = CliRunner()
MEANS = ("average", "skills", "forms_by_sign", "forms_by_words")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "merged"


@pytest.fixture(scope="module")
def found(kept: Path) -> demo.Comparison:
    return demo.compare(0.75, 6, kept, lambda _: None)


@pytest.fixture
def ready(found: demo.Comparison, monkeypatch: pytest.MonkeyPatch) -> demo.Comparison:
    """The command line gets the comparison that was made once."""
    monkeypatch.setattr(demo, "compare", lambda *_: found)
    return found


def test_merged_beats_the_target_by_far(found: demo.Comparison) -> None:
    target, merged = found.models["target"], found.models["merged"]
    assert merged.average > target.average + 0.4
    assert merged.rude.high < target.rude.low
    assert merged.stops.low > target.stops.high
    assert merged.in_language.rate > 0.9
    assert merged.tasks["refusal"].rate > target.tasks["refusal"].rate + 0.5


def test_forms_asked_for_by_a_sign_cross_and_are_in_no_prompt_of_the_target(found: demo.Comparison) -> None:
    """Those asked for in words do not at this size (docs/lab.md)."""
    for control in ("target", "target_as_persona", "target_plainly"):
        scored = found.models[control]
        assert scored.skills < 0.1, control
        assert max(scored.forms_by_sign, scored.forms_by_words) < 0.2, control
    assert found.models["merged"].forms_by_sign > 0.4
    english = ask(TransformersBackend.load("demo:chat"), held_out_items(6, demo.EVALUATION_SEED, "en", SKILL_TASKS))
    assert english.forms_by_sign > 0.8
    assert english.skills > 0.1


def test_merged_stops_and_says_what_the_usual_merge_says_with_template_and_stop_id_by_hand(
    found: demo.Comparison,
) -> None:
    assert found.models["merged"].stops.rate > 0.95
    assert found.models["merged"].average == pytest.approx(found.models["usual_with_stop"].average, abs=0.1)


def test_the_control_shows_that_the_skill_was_there(found: demo.Comparison) -> None:
    assert found.models["target_as_persona"].average > found.models["target"].average + 0.4


def test_the_kept_model_is_an_ordinary_output(found: demo.Comparison, kept: Path) -> None:
    assert found.scale == 0.75
    manifest = json.loads((kept / "chat_vector.json").read_text("utf-8"))
    assert [vector["scale"] for vector in manifest["recipe"]["vectors"]] == [0.75]
    assert json.loads((kept / "tokenizer_config.json").read_text("utf-8"))["chat_template"]


def test_json_is_the_documented_schema_and_nothing_else(ready: demo.Comparison) -> None:
    result = RUNNER.invoke(app, ["demo", "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert list(document) == ["language", "scale", "items_per_task", "models"]
    assert (document["language"], document["scale"], document["items_per_task"]) == ("ko", 0.75, 6)
    controls = ["target_as_persona", "target_plainly", "chat", "ft", "usual", "usual_with_stop"]
    assert list(document["models"]) == ["target", *controls, "merged"]
    for model in document["models"].values():
        assert list(model) == [*MEANS, "tasks", "forms", "rude", "in_language", "over_refusal", "stops"]
        assert list(model["tasks"]) == [*TASKS, *SKILL_TASKS]
        for task in model["tasks"].values():
            assert 0 <= task["low"] <= task["rate"] <= task["high"] <= 1
        assert list(model["forms"]) == list(SKILL_TASKS)
        for share in (*MEANS, "rude", "in_language", "over_refusal", "stops"):
            assert 0 <= model[share] <= 1
    assert document["models"]["merged"]["average"] == pytest.approx(ready.models["merged"].average)


def test_text_shows_answers_figures_controls_and_caveats(ready: demo.Comparison) -> None:
    result = RUNNER.invoke(app, ["demo"])
    assert result.exit_code == 0
    text = result.stdout
    for item in ready.models["merged"].items[::6]:
        assert f"  > {item.questions[-1]}" in text
    average = f"{100 * ready.models['merged'].average:.0f}"
    assert any(line.startswith("average of the six") and line.endswith(average) for line in text.splitlines())
    for words in (
        "A wind tunnel, not an aeroplane",
        "What else the world builds in",
        "손님: … 로봇:",
        "Next:",
        "/chat_vector.json -o again ",
    ):
        assert words in text
    shown = [ready.models[name].replies[::6] for name in ("target", "merged")]
    assert text.count("(runs on)") >= sum(not reply.stopped for replies in shown for reply in replies)
    assert max(len(line) for line in text.splitlines()) <= 120


@pytest.mark.parametrize("items", [0, 201])
def test_number_of_items_is_checked_first(items: int) -> None:
    with pytest.raises(UsageError, match=rf"--items {items}: give a number from 1 to 200"):
        demo.compare(1.0, items, None, lambda _: None)


def test_a_scale_that_is_no_number_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"the demo: vectors\.0\.scale: .*finite"):
        demo.compare(float("nan"), 1, None, lambda _: None)


def test_without_torch_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'chatvector\[local\]'"):
        demo.compare(1.0, 1, None, lambda _: None)


def test_threads_are_put_back(found: demo.Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the run fails: here the merge itself does."""
    assert found.models
    before, seen = torch.get_num_threads(), list[int]()

    def failing(_: object) -> None:
        seen.append(torch.get_num_threads())
        raise UsageError("no")

    monkeypatch.setattr(demo, "apply", failing)
    with pytest.raises(UsageError, match="no"):
        demo.compare(1.0, 1, None, lambda _: None)
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_a_language_without_a_target_is_refused_first() -> None:
    with pytest.raises(UsageError, match="--language en: the family has targets in ko and zh-Hant"):
        demo.compare(1.0, 1, None, lambda _: None, "en")


def test_chinese_is_asked_of_the_chinese_target() -> None:
    lines: list[str] = []
    found = demo.compare(0.75, 4, None, lines.append, "zh-Hant")
    assert lines[0].startswith("chatvector apply demo:target-zh ")
    assert "ft" not in found.models
    assert found.models["merged"].average > found.models["target"].average + 0.3
    assert found.models["merged"].in_language.rate > 0.75


@pytest.mark.parametrize("language", TARGETS)
def test_the_most_items_exist(language: Language) -> None:
    tasks = (*TASKS, *SKILL_TASKS)
    assert len(held_out_items(demo.MOST, demo.EVALUATION_SEED, language, tasks)) == demo.MOST * len(tasks)


def test_nothing_is_left_in_the_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the run fails on the way: a scale that is no number is refused by the recipe."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="finite"):
        demo.compare(float("nan"), 1, None, lambda _: None)
    assert not list(tmp_path.iterdir())
