# SPDX-License-Identifier: Apache-2.0
"""The probe on the embedded trio, on a chat model behind a ridge, and where it cannot run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from chatvector.checkpoint.names import FAMILY
from chatvector.cli.main import app
from chatvector.errors import InputError
from chatvector.lab.probe_texts import world_texts
from chatvector.probe import probe
from chatvector.runtime.loss import bits, document_passages, nbytes, reply_passages
from chatvector.runtime.prompt_form import GivenTemplate
from chatvector.runtime.texts import LANGUAGES, ProbeTexts
from chatvector.runtime.transformers_backend import TransformersBackend

SCALES = (0.0, 0.5, 1.0)


def some_texts() -> ProbeTexts:
    texts = world_texts()
    return ProbeTexts(texts.documents[:30], texts.conversations[:30], texts.source)


def test_the_embedded_trio_is_connected() -> None:
    found = probe("demo:base", "demo:chat", "demo:target", some_texts(), scales=SCALES)
    assert found.answer == "go", found.reasons
    assert (found.target.connected, found.chat.connected) == (True, True)
    assert found.best_scale == 0.5
    assert found.chat.loss[1] < 0.5 * found.chat.loss[0]


def test_a_chat_model_whose_neurons_stand_in_another_order_is_behind_a_ridge(tmp_path: Path) -> None:
    """It is the same function, so both ends are good models, and what lies between them is none (Entezari et al.)."""
    chat = tmp_path / "chat"
    shutil.copytree(FAMILY / "chat", chat)
    weights, rng = load_file(chat / "model.safetensors"), np.random.default_rng(0)
    for layer in range(4):
        gate, up, down = (f"model.layers.{layer}.mlp.{name}_proj.weight" for name in ("gate", "up", "down"))
        order = rng.permutation(len(weights[gate]))
        weights |= {gate: weights[gate][order], up: weights[up][order]}
        weights[down] = np.ascontiguousarray(weights[down][:, order])
    save_file(weights, chat / "model.safetensors", {"format": "pt"})
    found = probe("demo:base", str(chat), "demo:target", some_texts(), scales=SCALES)
    assert found.answer == "no-go"
    assert (found.target.connected, found.chat.connected) == (False, False)
    assert "not linearly connected" in found.reasons[0]
    assert found.target.loss[1] > 2 * max(found.target.loss[0], found.target.loss[2])


@pytest.fixture(scope="module")
def chat() -> TransformersBackend:
    return TransformersBackend.load(FAMILY / "chat")


def test_replies_count_up_to_the_stop_token_and_nothing_else(chat: TransformersBackend) -> None:
    messages = [
        {"role": "user", "content": "Is the red box good?"},
        {"role": "assistant", "content": "Yes, it is."},
        {"role": "user", "content": "Thanks."},
        {"role": "assistant", "content": "You are welcome."},
    ]
    one, two = reply_passages(chat, [messages])
    assert one.context == chat.render([("user", "Is the red box good?")])
    assert two.context.startswith(one.context + one.text)
    stops = {chat.tokenizer.decode([token]) for token in chat.stop_ids}
    assert {one.text.removeprefix(" Yes, it is."), two.text.removeprefix(" You are welcome.")} <= stops
    assert nbytes([one, two], 1).tolist() == [len("Yes, it is.") + len("You are welcome.")]


def test_a_template_that_changes_what_it_said_before_is_refused(chat: TransformersBackend) -> None:
    """Thinking that a template drops from earlier turns, say: prompt and conversation are then not of one piece."""
    fickle = "{% for m in messages %}{{ loop.last and m.role == 'user' }}{{ m.content }}{% endfor %}"
    model = TransformersBackend(chat.model, chat.tokenizer, name="fickle", template=GivenTemplate(fickle, "a test", ()))
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with pytest.raises(InputError, match=r"fickle: its chat template does not render the prompt of conversation 1"):
        reply_passages(model, [talk])


def test_bits_are_those_of_one_token_after_the_other(chat: TransformersBackend) -> None:
    """Against the plain sum for each text by itself; replies given their prompts, documents given what begins them."""
    texts = [text[:n] for text, n in zip(world_texts().documents[:4], (20, 200, 60, 130), strict=True)]
    passages = [*document_passages(texts), *reply_passages(chat, world_texts().conversations[:2])]
    found = bits(chat, passages, len(texts))
    expected = np.zeros(len(texts))
    for passage in passages:
        before = chat.tokenizer(passage.context, add_special_tokens=not passage.context)["input_ids"]
        text = chat.tokenizer(passage.text, add_special_tokens=False)["input_ids"]
        ids = torch.tensor([before + text])
        with torch.inference_mode():
            logs = torch.log_softmax(chat.model(ids).logits[0, :-1].double(), -1)
        places = range(len(before) - 1, len(before) + len(text) - 1)
        spelled = sum(float(logs[at, int(ids[0, at + 1])]) for at in places)
        expected[passage.document] -= spelled / np.log(2)
    assert found == pytest.approx(expected, rel=1e-5)


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="chatvector")
    return result.exit_code, result.stdout, result.stderr


def test_the_command_takes_files_and_says_what_it_read(tmp_path: Path) -> None:
    texts = some_texts()
    plain, talk = tmp_path / "plain.txt", tmp_path / "talk.jsonl"
    plain.write_text("\n\n".join(" ".join(text.split()) for text in texts.documents), "utf-8")
    talk.write_text("\n".join(json.dumps({"messages": list(one)}) for one in texts.conversations), "utf-8")
    models = ("demo:base", "demo:chat", "demo:target")
    code, out, _ = run("check", *models, "--probe", "--target-text", plain, "--chat-text", talk, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["probe"]["answer"] == "go"
    assert document["probe"]["texts"] == f"{plain} and {talk}"
    assert document["probe"]["scales"] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]
    assert document["probe"]["target"]["documents"] == 30


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "b", "c", "--probe"), "say what to measure on: --language"),
        (("a", "b", "c", "--language", "ko"), "give --probe as well"),
        (("a", "b", "c", "--probe", "--language", "xx"), "no texts in this language"),
    ],
)
def test_what_is_missing_is_asked_for_before_anything_is_read(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["check", *words], prog_name="chatvector")
    assert result.exit_code != 0
    assert said in str(result.exception)


def test_the_help_names_every_language() -> None:
    help_text = " ".join(CliRunner().invoke(app, ["check", "--help"], prog_name="chatvector").stdout.split())
    assert f"small texts: {', '.join(LANGUAGES[:-1])} or {LANGUAGES[-1]}." in help_text


def test_without_the_extra_it_ends_with_7_and_names_the_install() -> None:
    """A fresh interpreter in which torch cannot be found."""
    program = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("torch", "transformers") else found(name, *rest)
from chatvector.cli.main import main
sys.argv = ["chatvector", "check", "demo:base", "demo:chat", "demo:target", *sys.argv[1:]]
main()
"""
    probed = subprocess.run([sys.executable, "-c", program, "--probe"], capture_output=True, text=True, timeout=120)
    assert probed.returncode == 7, probed.stderr
    assert "pip install 'chatvector[local]'" in probed.stderr
    plain = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert plain.returncode == 0, plain.stderr
