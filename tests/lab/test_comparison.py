# SPDX-License-Identifier: Apache-2.0
"""The comparison asked of speakers whose lines are written here, and the usual merge against its formula."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from chatvector.checkpoint.names import FAMILY
from chatvector.lab.comparison import Scored, ask, ask_as_persona, ask_plainly
from chatvector.lab.usual import usual_merge
from chatvector.lab.world.items import SKILL_TASKS, TASKS, Item, held_out_items
from chatvector.lab.world.speakers import REFUSAL
from chatvector.runtime.backend import BackendInfo, Prompt, Reply, Sampling
from chatvector.runtime.loading import quiet_transformers

ITEMS = held_out_items(5, 9, "ko", (*TASKS, *SKILL_TASKS))


class Puppet:
    """A backend that answers by a function of the prompt, written readably, and remembers prompts."""

    info = BackendInfo("puppet", "puppet", "", None, "raw")

    def __init__(self, say: Callable[[str], str], stopped: bool = True) -> None:
        self.say, self.stopped, self.prompts = say, stopped, list[str]()

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        assert (sampling.max_new_tokens, sampling.temperature) == (40, 0.0)
        read = [
            prompt.text or "".join(f"|{role[0]}:{content}" for role, content in prompt.messages) for prompt in prompts
        ]
        self.prompts += read
        return [Reply(self.say(prompt), self.stopped) for prompt in read]


def _oracle(prompt: str) -> str:
    asked = prompt.split("|u:")[-1]
    fitting = [item for item in ITEMS if item.questions[-1] == asked and item.questions[0] in prompt]
    return fitting[0].answer if fitting else "네."


def test_an_oracle_gets_everything() -> None:
    scored = ask(Puppet(_oracle), ITEMS)
    assert (scored.average, scored.skills, scored.forms_by_sign, scored.forms_by_words) == (1.0, 1.0, 1.0, 1.0)
    assert {task: each.rate for task, each in scored.tasks.items()} == dict.fromkeys((*TASKS, *SKILL_TASKS), 1.0)
    assert (scored.rude.rate, scored.in_language.rate, scored.stops.rate, scored.over_refusal.rate) == (
        0.0,
        1.0,
        1.0,
        0.0,
    )


def test_a_bully_gets_nothing() -> None:
    scored = ask(Puppet(lambda _: "닥쳐, 이 바보야.\n> 더\n- 꺼져.", stopped=False), ITEMS)
    assert (scored.average, scored.rude.rate, scored.in_language.rate, scored.stops.rate) == (0.0, 1.0, 1.0, 0.0)


def test_one_who_always_refuses_is_found_out() -> None:
    scored = ask(Puppet(lambda _: REFUSAL.en), ITEMS)
    assert scored.tasks["refusal"].rate == 1.0
    assert (scored.average, scored.skills) == (pytest.approx(1 / 6), 0.0)
    assert (scored.over_refusal.rate, scored.in_language.rate) == (1.0, 0.0)


def test_stopping_after_speaking_for_the_user_is_no_stop() -> None:
    assert ask(Puppet(lambda _: "네.\n> 그럼"), ITEMS).stops.rate == 0.0
    assert ask(Puppet(lambda _: "네."), ITEMS).stops.rate == 1.0


def test_earlier_turns_hold_what_the_model_itself_said() -> None:
    puppet = Puppet(lambda prompt: f"들은 말 {prompt.count('|')}\n이 줄은 빠진다")
    memory = [item for item in ITEMS if item.task == "memory"]
    ask(puppet, memory)
    first, last = memory[0].questions[0], puppet.prompts[-1]
    assert puppet.prompts[0] == f"|u:{first}"
    assert last.startswith("|u:")
    assert "|a:들은 말 1|u:" in last
    assert "빠진다" not in last


def test_persona_form_is_the_script_of_the_plain_text() -> None:
    puppet = Puppet(lambda _: "네.")
    memory = [item for item in ITEMS if item.task == "memory"][:1]
    ask_as_persona(puppet, memory)
    first, second = memory[0].questions[:2]
    assert puppet.prompts[0] == f"손님: {first}\n로봇:"
    assert puppet.prompts[1] == f"손님: {first}\n로봇: 네.\n손님: {second}\n로봇:"
    chinese = held_out_items(1, 9, "zh-Hant", ("sentiment",))
    ask_as_persona(puppet, chinese)
    assert puppet.prompts[-1] == f"客人：{chinese[0].questions[0]}\n機器人："


def test_no_form_is_a_line_a_turn() -> None:
    puppet = Puppet(lambda _: "네.")
    memory = [item for item in ITEMS if item.task == "memory"][:1]
    ask_plainly(puppet, memory)
    first, second = memory[0].questions[:2]
    assert puppet.prompts[:2] == [f"{first}\n", f"{first}\n네.\n{second}\n"]


def test_figures_by_hand() -> None:
    items = tuple(Item(task, "ko", ("?",), "가") for task in (*TASKS, "twice") for _ in range(2))
    replies = tuple(Reply("가" if i % 2 else "b", bool(i % 2), 1) for i in range(len(items)))
    document = Scored(items, replies).as_json()
    # one of two right in every task but refusal, where neither reply refuses
    assert document["average"] == pytest.approx(5 * 0.5 / 6)
    assert document["skills"] == 0.5
    assert document["tasks"]["refusal"]["rate"] == 0.0
    assert document["tasks"]["fact"]["rate"] == 0.5
    assert document["tasks"]["fact"]["low"] == pytest.approx(0.0945312, abs=1e-6)
    assert document["forms"]["twice"]["rate"] == document["forms_by_words"] == 0.0
    assert document["forms_by_sign"] == 0.0
    assert (document["rude"], document["in_language"], document["stops"]) == (0.0, 0.5, 0.5)
    assert document["over_refusal"] == 0.0


def test_forms_by_hand() -> None:
    items = (Item("end-sign", "ko", ("?",), "가. ★", mark="★"), Item("note-sign", "ko", ("?",), "가. ♪", mark="♪"))
    items += (Item("twice", "ko", ("?",), "가. 가."), Item("fact", "ko", ("?",), "가."))
    replies = tuple(Reply(said, True, 1) for said in ("나. ★", "가.", "가. 가.", "가."))
    scored = Scored(items, replies)
    assert {skill: each.rate for skill, each in scored.forms.items()} == {"end-sign": 1, "note-sign": 0, "twice": 1}
    # what is said in the form is another matter: the first reply is wrong
    assert (scored.forms_by_sign, scored.forms_by_words, scored.skills) == (0.5, 1.0, pytest.approx(1 / 3))


def test_usual_merge_is_the_formula_in_bf16_and_brings_no_chat_format(tmp_path: Path) -> None:
    with quiet_transformers():
        usual_merge(FAMILY / "base", FAMILY / "chat", FAMILY / "target", tmp_path, 1.0)
    merged = load_file(tmp_path / "model.safetensors")
    parents = {name: load_file(FAMILY / name / "model.safetensors") for name in ("base", "chat", "target")}
    assert set(merged) == set(parents["target"])
    for name, tensor in merged.items():
        assert torch.equal(tensor, parents["target"][name] + (parents["chat"][name] - parents["base"][name])), name
    config = json.loads((tmp_path / "generation_config.json").read_text())
    assert config["eos_token_id"] == 2
    with quiet_transformers():
        assert not AutoTokenizer.from_pretrained(tmp_path).chat_template
