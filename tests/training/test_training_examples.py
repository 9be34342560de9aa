# SPDX-License-Identifier: Apache-2.0
"""From rows to ids and labels, counted by hand, and that nobody is told that someone trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.errors import InputError
from chatvector.training.conversations import Encoder
from chatvector.training.data import Row
from chatvector.training.examples import IGNORED, Tally, examples
from chatvector.training.recipe import TrainingRecipe
from chatvector.training.run import train
from training.training_data import TEXTS, turns, write_jsonl

with Checkpoint.open("demo:chat") as CHAT:
    TOKENIZER: Any = AutoTokenizer.from_pretrained(CHAT.local_path)
END = 3


def made(stage: str, values: dict[str, Any], **more: Any) -> tuple[list[dict[str, list[int]]], Tally]:
    recipe = TrainingRecipe.from_mapping({"stage": stage, "model": "demo:chat", "data": ["a.jsonl"], **more})
    tally = Tally()
    encoder = None if stage == "cp" else Encoder(TOKENIZER, None)
    return list(examples([Row("row 1", values)], recipe, TOKENIZER, encoder, tally)), tally


def ids_of(text: str) -> list[int]:
    return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def test_every_token_of_a_text_counts_and_it_ends() -> None:
    (example,), tally = made("cp", {"text": "A pear."})
    assert example["input_ids"][-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.decode(example["input_ids"], skip_special_tokens=True) == "A pear."
    assert example["labels"] == example["input_ids"]
    assert tally.counted == tally.tokens == len(example["input_ids"])


def test_a_long_text_goes_on_when_packed_and_is_cut_when_not() -> None:
    text = {"text": "A pear. " * 40}
    (packed,), whole = made("cp", text, max_length=8)
    (alone,), cut = made("cp", text, max_length=8, packing=False)
    assert len(packed["input_ids"]) > 8 == len(alone["input_ids"])
    assert (whole.cut, cut.cut) == (0, 1)


@pytest.mark.parametrize(
    "values", [{"messages": turns("Hi", "No.")}, {"prompt": "Hi", "completion": "No."}], ids=["messages", "texts"]
)
def test_labels_of_a_conversation(values: dict[str, Any]) -> None:
    (example,), tally = made("sft", values)
    said = ids_of(" No.<|end|>")
    before = len(example["input_ids"]) - len(said)
    assert example["labels"] == [IGNORED] * before + said
    assert (tally.counted, tally.stops) == (len(said), {END})


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "Hi", "chosen": "Yes.", "rejected": "No."},
        {"prompt": turns("Hi"), "chosen": turns("Hi", "Yes.")[1:], "rejected": turns("Hi", "No.")[1:]},
        {"chosen": turns("Hi", "Yes."), "rejected": turns("Hi", "No.")},
        {"prompt": "Hi", "chosen": turns("Hi", "Yes."), "rejected": turns("Hi", "No.")},
    ],
    ids=["texts", "messages", "whole conversations", "whole conversations and the prompt"],
)
def test_the_ways_to_write_a_pair(values: dict[str, Any]) -> None:
    (example,), tally = made("dpo", values)
    assert example == {
        "prompt_ids": ids_of("<s>> Hi\n-"),
        "chosen_ids": ids_of(" Yes.<|end|>"),
        "rejected_ids": ids_of(" No.<|end|>"),
    }
    assert tally.counted == len(example["chosen_ids"]) + len(example["rejected_ids"])


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"chosen": turns("Hi", "Yes."), "rejected": turns("Ho", "No.")}, "differ before their last turn"),
        ({"chosen": "Yes.", "rejected": "No."}, "a pair needs a prompt"),
        ({"chosen": turns("Hi", "A", "B"), "rejected": turns("Hi", "A", "C")}, "that end with the assistant"),
    ],
)
def test_what_is_no_pair(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=f"row 1: .*{complaint}"):
        made("dpo", values)


def test_a_pair_whose_prompt_leaves_no_room_is_left_out() -> None:
    pair = {"prompt": "Hi", "chosen": "Yes.", "rejected": "No."}
    found, tally = made("dpo", pair, max_length=len(ids_of("<s>> Hi\n-")))
    assert (found, tally.left_out) == ([], 1)


def test_packed_texts_fill_their_pieces_and_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_: object, **__: object) -> None:
        raise AssertionError("telemetry")

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", send)
    recipe = TrainingRecipe.from_mapping(
        {
            "stage": "cp",
            "model": "demo:base",
            "data": [write_jsonl(tmp_path / "a.jsonl", TEXTS)],
            "output": str(tmp_path / "out"),
            "max_length": 32,
            "batch_size": 1,
            "device": "cpu",
        }
    )
    record = train(recipe).record
    assert record["steps"] == -(-record["rows"]["tokens"] // 32)  # one piece a step, the last one shorter
