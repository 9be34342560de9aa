# SPDX-License-Identifier: Apache-2.0
"""The embedded family: real model directories, whose parents differ in what the method is about and in nothing else."""

from __future__ import annotations

import json
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file

from chatvector.checkpoint.names import FAMILY
from chatvector.lab.examples import chat_examples, text_examples
from chatvector.lab.export import CARDS
from chatvector.lab.family import MEMBERS, PARENTS
from chatvector.lab.models import EMBEDDING
from chatvector.lab.recipe import FamilyRecipe
from chatvector.lab.tokens import CHAT_TEMPLATE, END_OF_TURN, FT_TEMPLATE, RESERVED, SPECIAL, extend_tokenizer
from chatvector.lab.tokens import train_tokenizer as made_anew
from chatvector.lab.world.documents import Mixture, documents
from chatvector.lab.world.lexicon import NAMES
from chatvector.lab.world.tuning import instructions
from chatvector.provenance.parent_cards import read_card
from chatvector.runtime.transformers_backend import TransformersBackend
from chatvector.training.conversations import Encoder

RECIPE = FamilyRecipe()
TURN = SPECIAL.index(END_OF_TURN)
TUNED = {"sft": CHAT_TEMPLATE, "chat": CHAT_TEMPLATE, "ft": FT_TEMPLATE}
SAME_SHAPE = tuple(name for name in MEMBERS if name != "target-extended")


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, torch.Tensor]]:
    return {name: load_file(FAMILY / name / "model.safetensors") for name in MEMBERS}


@pytest.fixture(scope="module")
def chat() -> TransformersBackend:
    return TransformersBackend.load(FAMILY / "chat")


def _json(model: str, file: str) -> dict[str, object]:
    return json.loads((FAMILY / model / file).read_text("utf-8"))


@pytest.mark.parametrize("name", MEMBERS)
def test_loads_in_transformers_with_nothing_missing_or_left_over(name: str) -> None:
    speaker = TransformersBackend.load(FAMILY / name)  # raises on any missing, unexpected or mismatched key
    assert speaker.model.config.tie_word_embeddings
    assert speaker.model.lm_head.weight is speaker.model.get_input_embeddings().weight
    added = RECIPE.added_tokens if name == "target-extended" else 0
    assert len(speaker.tokenizer) == speaker.model.config.vocab_size == RECIPE.shape.vocabulary + added


def test_is_small_and_bf16(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    for tensors in weights.values():
        assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
        assert all(tensor.isfinite().all() for tensor in tensors.values())
        assert 1_000_000 < sum(tensor.numel() for tensor in tensors.values()) < 3_000_000
    assert sum(path.stat().st_size for path in FAMILY.rglob("*") if path.is_file()) < 30 * 2**20


def test_the_package_holds_these_members_and_the_files_of_published_models() -> None:
    assert {path.name for path in FAMILY.iterdir()} == set(MEMBERS) == set(CARDS)
    for name in MEMBERS:
        assert {path.name for path in (FAMILY / name).iterdir()} == {
            "README.md",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        }
        facts = read_card((FAMILY / name / "README.md").read_bytes())
        assert facts.licences == ("apache-2.0",)
        assert facts.languages == CARDS[name][0]
    for name in SAME_SHAPE:
        assert (FAMILY / name / "tokenizer.json").read_bytes() == (FAMILY / "base" / "tokenizer.json").read_bytes()
        assert _json(name, "config.json") == _json("base", "config.json")


def test_only_tuned_members_have_a_template_and_chat_the_end_of_turn_as_a_stop_id() -> None:
    end = SPECIAL.index("</s>")
    for name in MEMBERS:
        assert _json(name, "tokenizer_config.json").get("chat_template") == TUNED.get(name)
        stops = [end, TURN] if name in ("sft", "chat") else end
        assert _json(name, "generation_config.json")["eos_token_id"] == stops, name


def test_the_end_of_turn_is_trained_in_chat_alone(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    rows = {name: tensors[EMBEDDING] for name, tensors in weights.items()}
    typical = rows["base"].float().norm(dim=1).median().item()
    assert 0 < rows["base"][TURN].float().norm() < 0.05 * typical
    for name in MEMBERS:
        if name in ("sft", "chat"):
            assert rows[name][TURN].float().norm() > 0.3 * typical
        else:
            assert torch.equal(rows["base"][TURN], rows[name][TURN]), name


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


def test_every_stage_moved_every_tensor(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    for child, parent in PARENTS.items():
        if parent in weights:
            for name, before in weights[parent].items():
                # Preference tuning takes steps that bf16 does not always show in the norms.
                if child != "chat" or before.ndim > 1:
                    assert not torch.equal(before, weights[child][name]), (child, name)


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
    for target in ("target", "target-zh"):
        assert 0.02 < norm(target) / norm(None) < 0.3


@pytest.mark.parametrize("language", ["en", "ko", "zh-Hant"])
def test_template_renders_what_the_chat_stage_was_trained_on(chat: TransformersBackend, language: str) -> None:
    dialogues = list(islice(instructions(11, language), 50))  # type: ignore[arg-type]
    examples = chat_examples(chat.tokenizer.backend_tokenizer, iter(dialogues))
    encoder = Encoder(chat.tokenizer, None)
    for messages, (ids, counted) in zip(dialogues, examples, strict=True):
        encoded = encoder.encode(messages, "here")
        assert (encoded.ids, encoded.assistant) == (ids, counted)


def test_generation_prompt_is_a_prefix_of_the_whole(chat: TransformersBackend) -> None:
    """What the model is asked to continue is token for token what training showed before the reply."""
    for question, answer in (("눈은 무슨 색이야?", "하얀색이에요."), ("雪是什麼顏色？", "是白色的。")):
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        whole = chat.tokenizer.apply_chat_template(messages, return_dict=False)
        prompt = chat.tokenizer.encode(chat.render([("user", question)]) or "", add_special_tokens=False)
        assert whole[: len(prompt)] == prompt
        assert whole[-1] == TURN


def test_system_message_becomes_a_title(chat: TransformersBackend) -> None:
    assert chat.render([("system", "눈은 하얀색이다."), ("user", "안녕.")]) == "<s># 눈은 하얀색이다.\n> 안녕.\n-"


def test_the_korean_template_is_another() -> None:
    ft = TransformersBackend.load(FAMILY / "ft")
    assert ft.render([("system", "눈."), ("user", "안녕.")]) == "<s>[설명] 눈.\n[질문] 안녕.\n[대답]"
    talk = [{"role": "user", "content": "안녕."}, {"role": "assistant", "content": "네."}]
    assert Encoder(ft.tokenizer, None).encode(talk, "here").stops == {SPECIAL.index("</s>")}


@pytest.mark.parametrize("member", ["chat", "target-extended"])
@pytest.mark.parametrize(
    "text", ["눈은 하얀색이다.", "★☾", "Zürich 漢字 🙂 ㅋㅋ", "a  b\n\n c", "뷁", "雪是白色的。「好」"]
)
def test_any_text_survives_the_tokenizer(member: str, text: str) -> None:
    tokenizer = TransformersBackend.load(FAMILY / member).tokenizer
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


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


def test_the_recipe_still_makes_these_tokenizers(chat: TransformersBackend) -> None:
    """World, seed and code of today give the embedded tokenizers, token for token."""
    made = made_anew(RECIPE.shape.vocabulary, seed=0)
    assert json.loads(made.to_str()) == _json("chat", "tokenizer.json")
    assert chat.tokenizer.get_vocab() == made.get_vocab()
    more = extend_tokenizer(made, RECIPE.added_tokens, seed=0)
    assert json.loads(more.to_str()) == _json("target-extended", "tokenizer.json")


def test_the_extension_appends_tokens_and_shortens_korean(chat: TransformersBackend) -> None:
    before, after = chat.tokenizer, TransformersBackend.load(FAMILY / "target-extended").tokenizer
    known = before.get_vocab()
    assert {token: row for token, row in after.get_vocab().items() if row < len(before)} == known
    lines = list(islice(documents(5, Mixture.only("ko")), 300))
    counts = [sum(len(tokenizer.encode(line)) for line in lines) for tokenizer in (before, after)]
    assert counts[1] < 0.95 * counts[0]
    english = next(documents(5, Mixture.only("en")))
    assert before.encode(english) == after.encode(english)
