# SPDX-License-Identifier: Apache-2.0
"""The ladder's parts by themselves: controls, rungs opened late, halves of tasks, and the arithmetic of the plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatvector.cli.tasks import known
from chatvector.errors import NotEnoughSpace, OutputRefused, UsageError
from chatvector.evaluate.halves import half_of
from chatvector.evaluate.task import Comparing, Observing
from chatvector.lab.controls import Control, PlainModel, controls_of, world_forms
from chatvector.lab.ladder import estimate as plans
from chatvector.lab.ladder import speed
from chatvector.lab.ladder.estimate import estimate
from chatvector.lab.ladder.files import refuse_foreign, write_whole
from chatvector.lab.ladder.late import late
from chatvector.lab.ladder.recipe import LadderRecipe
from chatvector.lab.ladder.speed import Size, Speed
from chatvector.runtime.backend import Backend, BackendInfo, Likelihood, Prompt, Reply, Sampling
from hub_server import Fault, HubServer

ROOT = Path(__file__).parents[2]
INFO = BackendInfo("fake", "m", "f", "t", "own template", 99, {"dtype": "fp32"})


class Fake:
    """Says what it was asked."""

    info = INFO

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        del sampling
        return [Reply(str(prompt.text or prompt.messages), True) for prompt in prompts]

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        return [Likelihood(-1.0, 1, True) for _ in pairs]


PERSONA = Control("persona", "손님:", "로봇:")
DIALOGUE = (("user", "기호는 ⚡"), ("assistant", "알겠어요.\n> 또?"), ("user", "기호는?"))


def test_a_conversation_as_lines_of_plain_text() -> None:
    assert PERSONA.text(DIALOGUE) == "손님: 기호는 ⚡\n로봇: 알겠어요.\n손님: 기호는?\n로봇:"
    assert Control("no template").text(DIALOGUE) == "기호는 ⚡\n알겠어요.\n기호는?\n"
    chinese = Control("persona", "客人：", "機器人：", blank="")
    assert chinese.text(DIALOGUE[:1]) == "客人：기호는 ⚡\n機器人："


def test_the_worlds_forms_are_those_of_its_scripts() -> None:
    assert world_forms("ko")[0] == PERSONA
    assert world_forms("en")[0] == Control("persona", "Guest:", "Robot:")
    assert world_forms("zh-Hant")[0].blank == ""


def test_a_control_is_another_model_to_the_cache() -> None:
    plain = PlainModel(Fake(), PERSONA)
    (reply,) = plain.generate([Prompt(messages=DIALOGUE[:1])], Sampling())
    assert reply.text == "손님: 기호는 ⚡\n로봇:"
    assert plain.info.prompt_form == "plain text: persona"
    assert len({plain.info.digest, INFO.digest, PlainModel(Fake(), Control("no template")).info.digest}) == 3
    (raw,) = plain.generate([Prompt(text="as it is")], Sampling())
    assert raw.text == "as it is"


def test_only_forms_that_all_tasks_know_are_controls() -> None:
    demo = known().choose(["ko"], suite="demo")
    assert [one.title for one in controls_of(demo)] == ["persona", "no template"]
    assert controls_of([*demo, *known().choose(["ko"], task=["memory"])]) == ()
    assert controls_of([*demo, *known().choose(["en"], suite="demo")]) == ()


def test_a_rung_that_is_known_is_opened_when_it_is_asked(tmp_path: Path) -> None:
    opened: list[str] = []

    @contextmanager
    def open_model() -> Iterator[Backend]:
        opened.append("in")
        yield Fake()
        opened.append("out")

    path = tmp_path / "rungs" / "target.json"
    with late(path, "one", open_model) as model:
        assert model.info.digest == INFO.digest
    assert opened == ["in", "out"]
    with late(path, "one", open_model) as model:
        assert model.info.digest == INFO.digest
        assert model.generate([], Sampling()) == []
        assert opened == ["in", "out"]
        assert model.generate([Prompt(text="a")], Sampling())[0].text == "a"
        assert model.generate([Prompt(text="b")], Sampling())[0].text == "b"
        assert opened == ["in", "out", "in"]
    assert opened == ["in", "out"] * 2
    with late(path, "another", open_model):
        assert opened[-1] == "in"
    path.write_text('{"stamp": "another", "inf')
    with late(path, "another", open_model):
        assert opened[-1] == "in"
    assert json.loads(path.read_text("utf-8"))["stamp"] == "another"


def test_half_a_task_does_what_the_task_does() -> None:
    registry = known()
    (divergence,) = registry.by_name("divergence")
    (plain,) = registry.by_name("bits-per-byte")
    half = half_of(divergence, "test")
    assert isinstance(half, Comparing)
    assert isinstance(half, Observing)
    assert not isinstance(half_of(plain, "test"), Comparing)
    assert half.observe(Fake(), []) is None


def test_the_directory_is_the_ladders_own(tmp_path: Path) -> None:
    refuse_foreign(tmp_path / "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputRefused, match="is a file"):
        refuse_foreign(tmp_path / "file")
    with pytest.raises(OutputRefused, match="holds other things than a ladder"):
        refuse_foreign(tmp_path)
    write_whole(tmp_path / "ladder.yaml", "base: x\n")
    refuse_foreign(tmp_path)


FAST = Speed(1e12, 1e11, "paper")
BIG = Size(10**9, 2 * 10**9, 10)


def test_times_by_hand() -> None:
    # 6 · 10⁹ · 1,000 tokens = 6 · 10¹² operations at 0.3 · 10¹² a second; 5 steps · 3 · 10 layers of 1 ms
    assert FAST.training(BIG, 6, 1000, 5) == pytest.approx(20 + 0.15)
    # one reply: reading 2 GB takes 20 ms, the products 7 ms; and 10 ms of calls
    assert FAST.writing(BIG, 1, 100) == pytest.approx(100 * (0.02 + 0.01))
    # 64 side by side: 2 · 10⁹ · 64 operations take 427 ms; 65 replies are two batches
    assert FAST.writing(BIG, 64, 1) == pytest.approx(0.128 / 0.3 + 0.01)
    assert FAST.writing(BIG, 65, 1) == pytest.approx(2 * FAST.writing(BIG, 64, 1))
    assert [speed.duration(seconds) for seconds in (0, 61.2, 600, 7200)] == ["0 s", "62 s", "10 min", "2.0 h"]


def test_this_machine_has_a_speed() -> None:
    found = speed.measure("cpu")
    assert found.operations > 0
    assert found.bandwidth > 0
    assert speed._measured_by_numpy().operations > 0


def recipe_of(**changes: Any) -> LadderRecipe:
    document = {
        "base": "demo:base",
        "chat": "demo:chat",
        "target": "demo:target",
        "scales": [0.5, 1.0],
        "ask": {"suite": "demo", "language": ["ko"], "limit": 4},
        "output": "out",
    }
    return LadderRecipe.from_mapping(document | changes)


def test_replies_are_counted_and_not_guessed() -> None:
    found = estimate(recipe_of(), known(), at=FAST)
    # five tasks of one turn, and of memory dialogues with the turns that they have
    asked = known().choose(["ko"], suite="demo", limit=4)
    test = sum(item.requests for job in asked for item in half_of(job.task, "test").items("ko", limit=4, seed=0))
    choose = sum(
        item.requests for job in asked for item in half_of(job.task, "development").items("ko", limit=4, seed=0)
    )
    replies = {step.what: step.replies for step in found.steps}
    assert replies == {
        "ask target": test,
        "choose the scale of target + τ": 3 * (test + choose),
        "ask target + τ": 0,
        "ask chat": test,
        "ask base + τ": test,
        "ask the controls": 2 * test,
    }
    assert found.calls == {"judge": 0, "toxicity": 0, "guard": 0}
    assert found.disk == 0


def test_a_judges_calls() -> None:
    ask = {"task": ["open", "open-pairs", "memory"], "language": ["ko"], "limit": 3, "judge": "demo:chat"}
    found = estimate(recipe_of(ask=ask), known(), at=FAST)
    # 3 replies of each of 4 models once, and of 3 of them in both orders against the fourth
    assert found.calls["judge"] == 3 * 4 + 2 * 3 * 3


def test_disk_and_time_of_a_training(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n' * 10 + "\n")
    stage = {"stage": "cp", "data": [str(tmp_path / "a.jsonl")], "epochs": 2, "max_length": 100}
    found = estimate(recipe_of(ft={"train": [stage]}, rungs=["ft"]), known(), at=FAST)
    step = next(step for step in found.steps if step.what == "train ft.1-cp")
    size = 1_250_432
    assert step.seconds == pytest.approx(FAST.training(Size(size, 0, 4), 6, 10 * 2 * 100, 2))
    assert step.passing == 3 * size * 12
    assert found.disk == step.disk + step.passing
    unknown = estimate(recipe_of(ft={"train": [stage | {"data": ["none.jsonl"]}]}), known(), at=FAST)
    assert unknown.unknown == ("rows of none.jsonl: not here, so the time of ft.1-cp is not known",)
    assert "and what is unknown" in unknown.text()


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = {"stage": "cp", "data": ["a.jsonl"]}
    recipe = recipe_of(ft={"train": [stage]})
    plans.refuse_small_disk(recipe, tmp_path)
    monkeypatch.setattr(plans, "free_bytes", lambda _: 10**6)
    with pytest.raises(NotEnoughSpace, match=r"trainings need 47\.5 MB, 1\.0 MB are free"):
        plans.refuse_small_disk(recipe, tmp_path)
    plans.refuse_small_disk(recipe_of(), tmp_path)  # nothing to train, nothing to store


@pytest.mark.parametrize("name", ["llama-2-ko", "llama-3.2-taiwan"])
def test_plans_of_the_examples(name: str, hub: HubServer) -> None:
    """With a hub that has the models (small ones under their names), and with one that does not answer."""
    recipe = LadderRecipe.from_file(ROOT / "examples" / f"ladder-{name}.yaml")
    names = {str(recipe.start(key)) for key in recipe.needed if not recipe.stages(key)}
    family = ROOT / "src" / "chatvector" / "checkpoint" / "family" / "base"
    for one in names:
        hub.add_folder(one, family)
    found = estimate(recipe, known(), at=FAST)
    assert all(step.seconds is not None for step in found.steps if step.what.startswith("ask"))
    assert [line for line in found.unknown if "a public set, which a plan does not fetch" in line]
    assert found.download >= len(names) * 1_250_432 * 2
    hub.faults.append(Fault("GET", "/api/models/", status=503, times=1000))
    silent = estimate(recipe, known(), at=FAST)
    assert all(step.seconds is None for step in silent.steps)
    assert len([line for line in silent.unknown if line.startswith("size of ")]) == len(names)
    assert {step.what: step.replies for step in silent.steps} == {step.what: step.replies for step in found.steps}


def test_a_name_that_is_no_models() -> None:
    with pytest.raises(UsageError, match="demo:nobody: the embedded family has no such member"):
        estimate(recipe_of(target="demo:nobody"), known(), at=FAST)
