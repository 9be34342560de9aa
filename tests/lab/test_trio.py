# SPDX-License-Identifier: Apache-2.0
"""The embedded trio: real model directories, whose parents differ in what the method is about and in nothing else."""

from __future__ import annotations

import json
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file

from chatvector.checkpoint.names import FAMILY
from chatvector.lab.recipe import TrioRecipe
from chatvector.lab.tokens import CHAT_TEMPLATE, END_OF_TURN, RESERVED, SPECIAL, train_tokenizer
from chatvector.lab.trio import chat_examples, text_examples
from chatvector.lab.world1.documents import documents, instructions
from chatvector.lab.world1.lexicon import NAMES
from chatvector.runtime.transformers_backend import TransformersBackend

NAMES_OF_TRIO = ("base", "chat", "target")
EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, torch.Tensor]]:
    return {name: load_file(FAMILY / name / "model.safetensors") for name in NAMES_OF_TRIO}


@pytest.fixture(scope="module")
def chat() -> TransformersBackend:
    return TransformersBackend.load(FAMILY / "chat")


def _json(model: str, file: str) -> dict[str, object]:
    return json.loads((FAMILY / model / file).read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES_OF_TRIO)
def test_loads_in_transformers_with_nothing_missing_or_left_over(name: str) -> None:
    speaker = TransformersBackend.load(FAMILY / name)  # raises on any missing, unexpected or mismatched key
    assert speaker.model.config.tie_word_embeddings
    assert speaker.model.lm_head.weight is speaker.model.get_input_embeddings().weight
    assert len(speaker.tokenizer) == speaker.model.config.vocab_size == TrioRecipe().shape.vocabulary


def test_is_small_and_bf16(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    for tensors in weights.values():
        assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
        assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert sum(path.stat().st_size for path in FAMILY.rglob("*") if path.is_file()) < 8 * 2**20


def test_files_are_those_of_a_published_model() -> None:
    for name in NAMES_OF_TRIO:
        assert {path.name for path in (FAMILY / name).iterdir()} == {
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        }
        assert (FAMILY / name / "tokenizer.json").read_bytes() == (FAMILY / "base" / "tokenizer.json").read_bytes()
        assert _json(name, "config.json") == _json("base", "config.json")


def test_only_chat_has_a_template_and_the_end_of_turn_as_a_stop_id() -> None:
    assert _json("chat", "tokenizer_config.json")["chat_template"] == CHAT_TEMPLATE
    stop, turn = SPECIAL.index("</s>"), SPECIAL.index(END_OF_TURN)
    assert _json("chat", "generation_config.json")["eos_token_id"] == [stop, turn]
    for name in ("base", "target"):
        assert "chat_template" not in _json(name, "tokenizer_config.json")
        assert _json(name, "generation_config.json")["eos_token_id"] == stop


def test_the_end_of_turn_is_trained_in_chat_alone(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    rows = {name: tensors[EMBEDDING] for name, tensors in weights.items()}
    turn = SPECIAL.index(END_OF_TURN)
    typical = rows["base"].float().norm(dim=1).median().item()
    assert torch.equal(rows["base"][turn], rows["target"][turn])
    assert 0 < rows["base"][turn].float().norm() < 0.05 * typical
    assert rows["chat"][turn].float().norm() > 0.3 * typical


def test_reserved_rows_are_untrained_everywhere(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    reserved = [SPECIAL.index(token) for token in RESERVED if token != END_OF_TURN]
    for tensors in weights.values():
        assert torch.equal(tensors[EMBEDDING][reserved], weights["base"][EMBEDDING][reserved])


def test_base_plus_vector_is_chat(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    """The method's identity on real weights: with target = base, in fp32 and one rounding, chat comes back exactly
    wherever |base| <= 2^16 |chat|, and elsewhere within 2^-24 of |base|."""
    for name, base in weights["base"].items():
        chat = weights["chat"][name]
        merged = (base.float() + (chat.float() - base.float())).bfloat16()
        exact = base.float().abs() <= 2**16 * chat.float().abs()
        assert torch.equal(merged[exact], chat[exact]), name
        assert ((merged.float() - chat.float()).abs() <= 2**-24 * base.float().abs())[~exact].all(), name


def test_all_three_differ_everywhere_they_may(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    for name, base in weights["base"].items():
        assert not torch.equal(base, weights["chat"][name]), name
        assert not torch.equal(base, weights["target"][name]), name


def test_the_vector_is_small_beside_the_base(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    def norm(child: str | None) -> float:
        return (
            sum(
                (tensor.double() - (0 if child is None else weights[child][name].double())).square().sum().item()
                for name, tensor in weights["base"].items()
            )
            ** 0.5
        )

    assert 0.005 < norm("chat") / norm(None) < 0.15
    assert 0.02 < norm("target") / norm(None) < 0.3


def test_template_renders_what_the_chat_stage_was_trained_on(chat: TransformersBackend) -> None:
    dialogues = list(islice(instructions(11), 50))
    examples = chat_examples(chat.tokenizer.backend_tokenizer, iter(dialogues))
    for messages, (ids, counted) in zip(dialogues, examples, strict=True):
        assert chat.tokenizer.apply_chat_template(messages, return_dict=False) == ids
        replies = "".join(
            f" {message['content']}{END_OF_TURN}" for message in messages if message["role"] == "assistant"
        )
        learned = [token for token, counts in zip(ids, counted, strict=True) if counts]
        assert chat.tokenizer.decode(learned).replace(END_OF_TURN + " ", END_OF_TURN) == replies.replace(
            END_OF_TURN + " ", END_OF_TURN
        )


def test_generation_prompt_is_a_prefix_of_the_whole(chat: TransformersBackend) -> None:
    """What the model is asked to continue is token for token what training showed before the reply."""
    messages = [{"role": "user", "content": "눈은 무슨 색이야?"}, {"role": "assistant", "content": "하얀색이에요."}]
    whole = chat.tokenizer.apply_chat_template(messages, return_dict=False)
    prompt = chat.tokenizer.encode(chat.render([("user", messages[0]["content"])]) or "", add_special_tokens=False)
    assert whole[: len(prompt)] == prompt
    assert whole[-1] == SPECIAL.index(END_OF_TURN)


def test_system_message_becomes_a_title(chat: TransformersBackend) -> None:
    assert chat.render([("system", "눈은 하얀색이다."), ("user", "안녕.")]) == "<s># 눈은 하얀색이다.\n> 안녕.\n-"


@pytest.mark.parametrize("text", ["눈은 하얀색이다.", "★☾", "Zürich 漢字 🙂 ㅋㅋ", "a  b\n\n c", "뷁"])
def test_any_text_survives_the_tokenizer(chat: TransformersBackend, text: str) -> None:
    assert chat.tokenizer.decode(chat.tokenizer.encode(text, add_special_tokens=False)) == text


def test_every_name_has_one_spelling_in_tokens(chat: TransformersBackend) -> None:
    for name in NAMES.all:
        for particle in ("", "은", "에게"):
            tokens = chat.tokenizer.tokenize(f" {name.ko}{particle}")
            assert tokens[:2] == [f"▁{name.ko[0]}", name.ko[1]]


def test_text_examples_begin_and_end_a_document(chat: TransformersBackend) -> None:
    ids, counted = next(text_examples(chat.tokenizer.backend_tokenizer, documents(1)))
    assert ids[0] == SPECIAL.index("<s>")
    assert ids[-1] == SPECIAL.index("</s>")
    assert counted == [False] + [True] * (len(ids) - 1)


def test_the_recipe_still_makes_this_tokenizer(chat: TransformersBackend) -> None:
    """World, seed and code of today give the embedded tokenizer, token for token."""
    made = train_tokenizer(TrioRecipe().shape.vocabulary, seed=0)
    assert json.loads(made.to_str()) == json.loads((FAMILY / "chat" / "tokenizer.json").read_text("utf-8"))
    assert chat.tokenizer.get_vocab() == made.get_vocab()
