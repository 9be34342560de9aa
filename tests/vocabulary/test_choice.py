# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from vocabulary_models import CHATML, GEMMA, LLAMA2, LLAMA31, QWEN, MemoryModel, byte_bpe, family, qwen

from chatvector.errors import DamagedFile, MissingInput, UsageError
from chatvector.vocabulary.chat_format import ChatFormat, read_chat_format
from chatvector.vocabulary.choice import choose_chat_format, describe
from chatvector.vocabulary.tokens import TokenTable, read_tokens


def format_of(template: str) -> ChatFormat:
    model = family(template)
    found = read_chat_format(model, read_tokens(model))
    assert found is not None
    return found


def with_tokens(model: MemoryModel) -> tuple[MemoryModel, TokenTable]:
    return model, read_tokens(model)


def test_auto_takes_the_chat_models_where_the_target_has_none_or_the_same() -> None:
    chat = format_of(CHATML)
    for target in (None, format_of(CHATML)):
        choice = choose_chat_format("auto", target, [chat])
        assert (choice.format, choice.moves, choice.vector, choice.source) == (chat, True, 0, "vector")


def test_white_space_at_the_end_makes_no_other_format() -> None:
    model = qwen(**{"chat_template.jinja": (QWEN + "\n\n").encode()})
    target = read_chat_format(*with_tokens(model))
    source = qwen()
    assert choose_chat_format("auto", target, [read_chat_format(*with_tokens(source))]).moves


def test_auto_refuses_to_choose_between_target_and_chat_model() -> None:
    words = (
        r"target \(chat/tokenizer_config.json\) and chat model \(chat/tokenizer_config.json\) have different chat "
        r"templates; choose one: --chat-format target, --chat-format vector, or --chat-format FILE"
    )
    with pytest.raises(UsageError, match=words) as caught:
        choose_chat_format("auto", format_of(GEMMA), [format_of(CHATML)])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("choice", ["auto", "vector"])
def test_vectors_that_differ_need_a_choice(choice: str) -> None:
    vectors = [format_of(CHATML), None, format_of(GEMMA)]
    words = "2 vectors have different chat templates; choose one: --chat-format vector:1, --chat-format vector:3"
    with pytest.raises(UsageError, match=words):
        choose_chat_format(choice, None, vectors)
    found = choose_chat_format("vector:3", None, vectors)
    assert (found.format, found.vector, found.source) == (vectors[2], 2, "vector:3")


def test_of_several_vectors_the_first_with_a_format_gives_it() -> None:
    found = choose_chat_format("auto", None, [None, format_of(CHATML), format_of(CHATML)])
    assert (found.vector, found.source) == (1, "vector:2")


def test_target_keeps_what_the_target_has_even_nothing() -> None:
    mine = format_of(GEMMA)
    kept = choose_chat_format("target", mine, [format_of(CHATML)])
    assert (kept.format, kept.moves, kept.vector) == (mine, False, None)
    assert choose_chat_format("target", None, [None]).format is None


@pytest.mark.parametrize(
    ("choice", "target", "words"),
    [
        ("auto", None, "the chat model has no chat template; give one by --chat-format FILE .*, or leave the target's"),
        (
            "auto",
            GEMMA,
            "has no chat template; .*, or keep the target's template by --chat-format target",
        ),
        ("vector", None, "the chat model has no chat template; give one by --chat-format FILE"),
        ("vector:1", None, "the chat model has no chat template"),
    ],
)
def test_a_chat_model_without_a_template_needs_a_file(choice: str, target: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_chat_format(choice, format_of(target) if target else None, [None])


@pytest.mark.parametrize("choice", ["vector:0", "vector:3", "vector:x", "vector:-1", "vector:"])
def test_a_vector_that_is_not_there(choice: str) -> None:
    with pytest.raises(UsageError, match=rf"--chat-format {choice}: vectors are numbered from 1 to 2"):
        choose_chat_format(choice, None, [format_of(CHATML)] * 2)


def test_a_template_file_works_with_the_chat_models_tokens(tmp_path: Path) -> None:
    file = tmp_path / "한글 chat+1.jinja"
    file.write_text(CHATML, encoding="utf-8")
    silent = MemoryModel({"tokenizer.json": byte_bpe(("<|im_start|>", "<|im_end|>"))})
    found = choose_chat_format(str(file), format_of(GEMMA), [None], models=[with_tokens(silent)])
    assert found.format is not None
    assert (found.moves, found.vector, found.source) == (True, 0, file.name)
    assert found.format.templates == {"default": CHATML}
    assert found.format.stop_tokens == ("<|im_end|>",)
    assert found.format.uses_jinja_file


def test_a_template_file_goes_with_the_vector_that_knows_its_tokens(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text(CHATML, encoding="utf-8")
    models = [with_tokens(family(LLAMA2)), with_tokens(qwen())]
    assert choose_chat_format(str(tmp_path / "t.jinja"), None, [None, None], models=models).vector == 1


@pytest.mark.parametrize("place", ["", "tokenizer_config.json"])
def test_a_model_directory_or_its_configuration_as_template_file(tmp_path: Path, place: str) -> None:
    family(LLAMA31).write(tmp_path)
    llama = MemoryModel({"tokenizer.json": family(LLAMA31).read_file("tokenizer.json")})
    llama.contents["tokenizer_config.json"] = b'{"bos_token": "<|begin_of_text|>"}'
    found = choose_chat_format(str(tmp_path / place), None, [None], models=[with_tokens(llama)])
    assert found.format is not None
    assert found.format.templates == {"default": LLAMA31}


def test_bad_template_files(tmp_path: Path) -> None:
    models = [with_tokens(qwen())]
    with pytest.raises(UsageError, match=r"--chat-format chatml: no such file; choose auto, target, vector"):
        choose_chat_format("chatml", None, [None], models=models)
    with pytest.raises(MissingInput, match="this directory has no chat template"):
        choose_chat_format(str(tmp_path), None, [None], models=models)
    broken = tmp_path / "broken.jinja"
    broken.write_bytes(b"{% for %}")
    with pytest.raises(DamagedFile, match=r"broken.jinja, line 1: the chat template is no Jinja"):
        choose_chat_format(str(broken), None, [None], models=models)
    empty = tmp_path / "tokenizer_config.json"
    empty.write_bytes(b"{}")
    with pytest.raises(DamagedFile, match=r'has no default "chat_template"'):
        choose_chat_format(str(empty), None, [None], models=models)
    with pytest.raises(UsageError, match="needs a vector whose tokens"):
        choose_chat_format(str(broken), None, [])


def test_the_choice_as_plain_data() -> None:
    import json

    plain = describe(choose_chat_format("vector", None, [format_of(QWEN)]))
    assert json.loads(json.dumps(plain)) == plain
    assert plain["stop_tokens"] == ["<|im_end|>"]
    assert plain["injected_system_prompt"] == "You are Qux, made by a cloud. You are a helpful assistant."
    assert describe(choose_chat_format("target", None, [None])) == {
        "source": "target",
        "moves": False,
        "template": None,
    }
