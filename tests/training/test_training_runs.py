# SPDX-License-Identifier: Apache-2.0
"""Whole trainings of the embedded models, a few steps each: what is learned, what comes out, what a kill costs."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import chatvector as cv
from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.checkpoint.names import FAMILY
from chatvector.checkpoint.staging import Staging, open_staging
from chatvector.checks.doctor.examine import examine
from chatvector.errors import InputError, NotEnoughSpace, OutputRefused, RecipeError, UsageError
from chatvector.training import limits, output
from chatvector.training import run as training
from chatvector.training.recipe import TrainingRecipe
from chatvector.training.run import Trained, train
from training.training_data import ROWS, turns, write_jsonl

RATES = {"cp": 2e-3, "sft": 2e-3, "dpo": 2e-4}


def recipe_of(folder: Path, stage: str, **changes: Any) -> TrainingRecipe:
    data = folder / f"{stage}.jsonl"
    if not data.exists():
        write_jsonl(data, ROWS[stage])
    document = {
        "stage": stage,
        "model": "demo:chat" if stage == "dpo" else "demo:base",
        "data": [str(data)],
        "output": str(folder / "out"),
        "steps": 12,
        "batch_size": 4,
        "max_length": 64,
        "learning_rate": RATES[stage],
        "device": "cpu",
    }
    if stage == "sft":
        document["chat_template"] = "demo:chat"
    return TrainingRecipe.from_mapping(document | changes)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def losses(trained: Trained) -> list[float]:
    return [entry["loss"] for entry in trained.record["history"]]


def headers(name: str) -> dict[str, tuple[Any, str]]:
    with Checkpoint.open(name) as model:
        return {tensor: (ref.shape, ref.dtype.code) for tensor, ref in model.tensors.items()}


class Killed(BaseException):
    """Unwinds as a signal does."""


class Killer:
    """A meter that ends the process, so to say, after a step."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.total = 0

    def start(self, total: int) -> None:
        self.total = total

    def advance(self, steps: int) -> None:
        self.left -= steps
        if self.left == 0:
            raise Killed


@pytest.mark.parametrize("stage", ["cp", "sft"])
def test_the_loss_goes_down_and_an_ordinary_checkpoint_comes_out(stage: str, tmp_path: Path) -> None:
    trained = train(recipe_of(tmp_path, stage))
    first, last = losses(trained)[0], losses(trained)[-1]
    assert last < first / 2
    assert headers(str(trained.output)) == headers("demo:base")
    assert trained.record["steps"] == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{stage}.jsonl", "out"])
    with Checkpoint.open("demo:base") as base:
        same = [name for name in base.files if name not in ("tokenizer_config.json", "generation_config.json")]
        assert same
        assert all((trained.output / name).read_bytes() == base.read_file(name) for name in same)


def test_template_and_stop_id_move_with_a_fine_tuned_model_and_the_doctor_finds_nothing(tmp_path: Path) -> None:
    output = train(recipe_of(tmp_path, "sft", steps=60)).output
    settings = json.loads((output / "tokenizer_config.json").read_text("utf-8"))
    with Checkpoint.open("demo:chat") as chat:
        assert settings == chat.read_json("tokenizer_config.json")
    assert json.loads((output / "generation_config.json").read_text())["eos_token_id"] == [2, 3]
    assert [finding.code for finding in examine(str(output)).findings] == []
    tokenizer: Any = AutoTokenizer.from_pretrained(output)
    model: Any = AutoModelForCausalLM.from_pretrained(output)
    asked = tokenizer.apply_chat_template(turns("What is a plum?"), add_generation_prompt=True, return_tensors="pt")
    reply = model.generate(**asked, max_new_tokens=24, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(reply) == " A plum is red.<|end|>"


@pytest.mark.parametrize(
    ("generation", "written"),
    [
        ({"bos_token_id": 1}, {"bos_token_id": 1, "eos_token_id": [2, 3]}),
        ({"eos_token_id": None}, {"eos_token_id": [2, 3]}),
        ({"eos_token_id": [3]}, {"eos_token_id": [3]}),
        (None, None),
    ],
)
@pytest.mark.parametrize("section", [False, True])
def test_stop_ids_of_config_json_are_written_where_they_count(
    generation: Any, written: Any, section: bool, tmp_path: Path
) -> None:
    """transformers asks config.json where there is no generation_config.json only."""
    ids = {"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": 0}
    assert _generation_after(generation, {"text_config": ids} if section else ids, [3], tmp_path) == written


def test_a_new_generation_configuration_takes_the_other_ids_along(tmp_path: Path) -> None:
    config = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    written = {"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": 0}
    assert _generation_after(None, config, [3], tmp_path) == written


def _generation_after(generation: Any, config: dict[str, Any], stops: list[int], folder: Path) -> Any:
    """generation_config.json of an output whose start has these files, after a template with these stop ids."""
    start = shutil.copytree(FAMILY / "base", folder / "start")
    document = json.loads((start / "config.json").read_text())
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        document.pop(key, None)
    (start / "config.json").write_text(json.dumps(document | config))
    (start / "generation_config.json").unlink(missing_ok=True)
    if generation is not None:
        (start / "generation_config.json").write_text(json.dumps(generation))
    staged = open_staging(folder / "out", "0" * 12, restart=False, on_resume=print)
    with Checkpoint.open(str(start)) as model, staged as staging:
        output.write_side_files(model, staging, None, stops, {})
        made = staging.path / "generation_config.json"
        return json.loads(made.read_text()) if made.exists() else None


def test_a_trained_model_is_a_parent_of_extract_and_apply(tmp_path: Path) -> None:
    output = str(train(recipe_of(tmp_path, "sft")).output)
    cv.extract("demo:base", output, str(tmp_path / "vector"))
    cv.apply(
        cv.Recipe.from_mapping(
            {"target": "demo:target", "vectors": [{"vector": str(tmp_path / "vector")}], "output": str(tmp_path / "m")}
        )
    )
    cv.apply(
        cv.Recipe.from_mapping(
            {"target": "demo:base", "vectors": [{"base": "demo:base", "chat": output}], "output": str(tmp_path / "b")}
        )
    )
    assert headers(str(tmp_path / "m")) == headers("demo:target")
    # target = base and scale 1: the trained model's own values (promise 1)
    assert weights(tmp_path / "b")[-1000:] == weights(Path(output))[-1000:]


def test_preferences_raise_the_margin(tmp_path: Path) -> None:
    trained = train(recipe_of(tmp_path, "dpo"))
    margins = [entry["rewards/margins"] for entry in trained.record["history"]]
    assert margins[0] == 0
    assert margins[-1] > 0.1
    assert losses(trained)[0] == pytest.approx(0.6931, abs=1e-4)  # ln 2: model and start agree


@pytest.mark.parametrize("changes", [{}, {"lora": {"rank": 4, "dropout": 0.1}}], ids=["full", "lora"])
def test_a_killed_run_continues_to_the_same_weights(changes: dict[str, Any], tmp_path: Path) -> None:
    whole = recipe_of(tmp_path, "sft", output=str(tmp_path / "whole"), save_every=4, **changes)
    broken = recipe_of(tmp_path, "sft", save_every=4, **changes)
    expected = train(whole)
    with pytest.raises(Killed):
        train(broken, meter=Killer(at=10))
    assert not (tmp_path / "out").exists()
    (staging,) = tmp_path.glob(".out.*.partial")
    torn = staging / "training" / "checkpoint-9"  # a kill in the middle of a save
    shutil.copytree(staging / "training" / "checkpoint-8", torn)
    (torn / "complete").unlink()
    lines: list[str] = []
    trained = train(broken, say=lines.append)
    assert "continuing from step 8" in lines
    assert trained.record["steps"] == 12
    assert weights(trained.output) == weights(expected.output)
    assert not list(tmp_path.glob(".out.*"))


def test_what_was_killed_after_training_has_only_to_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(tmp_path, "cp", steps=2)

    def killed(_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Staging, "publish", killed)
        with pytest.raises(Killed):
            train(recipe)
    monkeypatch.setattr(training, "_train", killed)
    assert train(recipe).record["steps"] == 2


def test_checkpoints_of_another_recipe_are_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(recipe_of(tmp_path, "cp", save_every=1), meter=Killer(at=2))
    (staging,) = tmp_path.glob(".out.*.partial")
    other = recipe_of(tmp_path, "cp", seed=1, steps=2)
    with pytest.raises(OutputRefused, match=rf"another plan is in the way \({staging.name}\)"):
        train(other)
    assert train(other, restart=True).record["steps"] == 2


def test_seeds(tmp_path: Path) -> None:
    outputs = {name: tmp_path / name for name in ("a", "b", "c")}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(recipe_of(tmp_path, "cp", steps=2, seed=seed, output=str(outputs[name])))
    assert weights(outputs["a"]) == weights(outputs["b"]) != weights(outputs["c"])


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_low_rank_difference_is_merged(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of start plus adapter, before, and of the merged model, after, in fp32; then an ordinary checkpoint."""
    ids = torch.tensor([[1, 300, 400, 3, 500]])
    seen: dict[str, Any] = {}
    own = output.merged

    def both(model: Any) -> Any:
        with torch.no_grad():
            seen["adapter"] = model.eval()(input_ids=ids).logits
            merged = own(model)
            seen["merged"] = merged.eval()(input_ids=ids).logits
        return merged

    monkeypatch.setattr(training, "merged", both)
    lines: list[str] = []
    trained = train(recipe_of(tmp_path, stage, lora={"rank": 4}, steps=4), say=lines.append)
    torch.testing.assert_close(seen["adapter"], seen["merged"], rtol=1e-4, atol=1e-4)
    start = "demo:chat" if stage == "dpo" else "demo:base"
    assert headers(str(trained.output)) == headers(start)
    # The base has never seen <|end|>, and a low-rank difference of linear layers does not change that.
    assert any("rows that were never trained" in line and "<|end|>" in line for line in lines) == (stage == "sft")


def test_a_gpu_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="device cuda: torch sees no CUDA GPU here"):
        train(recipe_of(tmp_path, "cp", device="cuda"))


def test_too_little_disk_is_said_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_bytes", lambda _: 10**6)
    with pytest.raises(NotEnoughSpace, match=r"checkpoints and output need \d+\.\d MB, 1\.0 MB are free"):
        train(recipe_of(tmp_path, "cp"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("failure", "complaint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free space and run the same command"),
        (RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"), "the disk is full"),
        (torch.OutOfMemoryError("CUDA out of memory."), r"GPU's memory does not suffice; lower batch_size: 4 \("),
    ],
)
def test_what_fills_up_on_the_way(
    failure: Exception, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise failure

    recipe = recipe_of(tmp_path, "cp", steps=2)
    with monkeypatch.context() as patch:
        patch.setattr("transformers.Trainer._save_optimizer_and_scheduler", write)
        with pytest.raises(NotEnoughSpace, match=complaint):
            train(recipe)
    assert train(recipe).record["steps"] == 2


@pytest.mark.parametrize(
    ("stage", "data", "changes", "words"),
    [
        ("sft", None, {"max_length": 4}, "all 8 rows have nothing to learn within max_length: 4 tokens"),
        ("sft", None, {"chat_template": None}, "the model has no chat template"),
        ("sft", b'{"messages": [{"role": "user", "content": "a"}]}', {}, "line 1: no assistant turn"),
        ("cp", b'{"txt": "a"}', {}, "line 1: column 'text' is missing or empty"),
        ("cp", b'{"text": " "}', {}, "line 1: column 'text' is missing or empty"),
        ("cp", b'{"text": "a"', {}, "line 1 is no JSON in UTF-8"),
        ("cp", b'{"text": "\xff"}', {}, "line 1 is no JSON in UTF-8"),
        ("cp", b"", {}, "no rows, so there is nothing to train on"),
    ],
)
def test_what_is_refused_leaves_nothing_in_the_way_of_the_corrected_command(
    stage: str, data: bytes | None, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    recipe = recipe_of(tmp_path, stage, steps=1, **changes)
    if data is not None:
        Path(recipe.data[0]).write_bytes(data)
    with pytest.raises(InputError, match=words):
        train(recipe)
    assert list(tmp_path.glob(".out*")) == []


def test_a_model_that_transformers_does_not_load_is_one_line(tmp_path: Path) -> None:
    start = shutil.copytree(FAMILY / "base", tmp_path / "start")
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps(config | {"pad_token_id": 99999}))
    with pytest.raises(InputError, match=r"start: transformers does not load it \(Padding_idx must be within"):
        train(recipe_of(tmp_path, "cp", model=str(start)))


def test_no_output_and_an_output_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="output: where to"):
        train(recipe_of(tmp_path, "cp", output=None))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    with pytest.raises(OutputRefused, match="exists already"):
        train(recipe_of(tmp_path, "cp"))
