# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from typing import Any

import pytest
from vocabulary_models import (
    CHATML,
    FAMILIES,
    MemoryModel,
    byte_bpe,
    config_of,
    dump,
    family,
    qwen,
    sentencepiece_model,
)

from chatvector.vocabulary.chat_format import read_chat_format
from chatvector.vocabulary.selfcheck import check_chat_model
from chatvector.vocabulary.tokens import read_tokens


def whole(name: str) -> MemoryModel:
    model = family(FAMILIES[name])
    found = read_chat_format(model, read_tokens(model))
    assert found is not None
    ids = [read_tokens(model).ids[token] for token in found.stop_tokens]
    model.contents["generation_config.json"] = dump({"eos_token_id": ids})
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_a_whole_chat_model(name: str) -> None:
    report = check_chat_model(whole(name))
    assert report.ok
    assert {"user", "three turns"} <= set(report.probes)
    assert ("system" in report.probes) == (name != "gemma")
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def without_added(model: MemoryModel, token: str) -> bytes:
    """A tokenizer in which a token is in the vocabulary but no added one: no text is ever read as it."""
    tokenizer = model.json("tokenizer.json")
    tokenizer["model"]["vocab"] |= {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
    tokenizer["added_tokens"] = [entry for entry in tokenizer["added_tokens"] if entry["content"] != token]
    return dump(tokenizer)


SHORT = b"{% if messages | length > 1 %}{{ raise_exception('one') }}{% endif %}a<|im_end|>"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tokenizer_config.json": {}}, "the model has no chat template"),
        ({"generation_config.json": {"eos_token_id": 320}}, "1 stop tokens are not in eos_token_id of generation"),
        ({"generation_config.json": {}}, r"'<\|im_end\|>' \(id 322\)"),
        ({"config.json": config_of(321)}, r"8 tokens have ids at or above vocab_size 321: '<\|im_start\|>' \(id 321\)"),
        ({"config.json": {"text_config": {"vocab_size": 1}}}, "tokens have ids at or above vocab_size 1"),
        ({"config.json": config_of(384, pad_token_id=384)}, "pad_token_id 384 of config.json is beyond vocab_size 384"),
        (
            {"config.json": {"pad_token_id": 1, "text_config": {"vocab_size": 384, "pad_token_id": -385}}},
            "pad_token_id -385 of config.json is beyond",
        ),
        (
            {"chat_template.jinja": CHATML.encode()},
            "chat_template.jinja and tokenizer_config.json differ",
        ),
        ({"chat_template.jinja": b"{% if %}"}, "the chat template is no Jinja"),
        ({"tokenizer.json": without_added(qwen(), "<|im_end|>")}, "1 tokens that the template needs are not one id"),
        (
            {"tokenizer.json": byte_bpe(("<|endoftext|>",))},
            "8 tokens that the template needs are not in the tokenizer",
        ),
        ({"tokenizer.json": b"{"}, "tokenizer.json: line 1, column 2 is no JSON"),
        ({"tokenizer.json": {"model": {"vocab": {"a": 0}}, "added_tokens": []}}, "tokenizer.json: does not load"),
        (
            {"chat_template.jinja": SHORT},
            "the template does not render: three turns",
        ),
    ],
)
def test_what_is_wrong_is_one_line(files: dict[str, Any], words: str) -> None:
    expected = read_chat_format(qwen(), read_tokens(qwen()))
    assert check_chat_model(qwen()).ok
    report = check_chat_model(qwen(**files), expected=expected if "tokenizer.json" in files else None)
    assert not report.ok
    assert any(re.search(words, line) for line in report.problems), report.problems
    assert all("\n" not in line for line in report.problems)


def test_a_format_that_nothing_ends() -> None:
    model = MemoryModel(
        {"tokenizer.json": byte_bpe(()), "tokenizer_config.json": {"chat_template": "{{ messages[-1].content }}"}}
    )
    assert check_chat_model(model).problems == (
        "nothing ends the assistant's turn: the template writes no special token after it, and no eos is named",
    )


def test_a_sentencepiece_model_is_checked_by_its_table() -> None:
    pieces = sentencepiece_model()
    row = read_tokens(MemoryModel({"tokenizer.model": pieces})).ids["▁the"]
    model = MemoryModel(
        {
            "tokenizer.model": pieces,
            "tokenizer_config.json": {"chat_template": FAMILIES["llama2"], "tokenizer_class": "LlamaTokenizer"},
            "generation_config.json": {"eos_token_id": 2},
        }
    )
    assert check_chat_model(model).ok
    settings = {"eos_token_id": [2, row]}
    model.contents["generation_config.json"] = dump(settings)
    assert check_chat_model(model).problems == ("1 tokens that the template needs are not one id: '▁the'",)
