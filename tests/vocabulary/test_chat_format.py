# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from vocabulary_models import (
    CHATML,
    FAMILIES,
    GEMMA,
    LLAMA31,
    QWEN,
    QWEN_TOKENS,
    MemoryModel,
    byte_bpe,
    config_of,
    family,
    qwen,
    sentencepiece_model,
)

from chatvector.errors import DamagedFile, InputError
from chatvector.vocabulary.chat_format import ChatFormat, read_chat_format
from chatvector.vocabulary.tokens import read_tokens


def format_of(model: MemoryModel) -> ChatFormat:
    found = read_chat_format(model, read_tokens(model))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "stops", "needed"),
    [
        ("chatml", ["<|im_end|>"], {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}),
        (
            "qwen",
            ["<|im_end|>"],
            {*QWEN_TOKENS, "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"},
        ),
        ("llama2", ["</s>"], {"<s>", "</s>"}),
        (
            "llama31",
            ["<|eot_id|>", "<|eom_id|>"],
            {
                "<|begin_of_text|>",
                "<|start_header_id|>",
                "<|end_header_id|>",
                "<|eot_id|>",
                "<|eom_id|>",
                "<|python_tag|>",
            },
        ),
        ("gemma", ["<eos>", "<end_of_turn>"], {"<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"}),
        ("mistral", ["</s>"], {"<s>", "</s>", "[INST]", "[/INST]"}),
    ],
)
def test_stop_and_template_tokens_of_each_family(name: str, stops: list[str], needed: set[str]) -> None:
    model = family(FAMILIES[name])
    found = format_of(model)
    assert list(found.stop_tokens) == stops
    assert set(found.template_tokens) == needed
    ids = read_tokens(model).ids
    assert list(found.template_tokens) == sorted(needed, key=ids.__getitem__)
    assert found.plain_markers == ()


def test_stop_tokens_unite_the_models_lists_as_strings() -> None:
    model = qwen()
    ids = read_tokens(model).ids
    settings = {"eos_token_id": [ids["<|endoftext|>"], 99_999]}
    model = qwen(**{"generation_config.json": settings, "config.json": config_of(384, eos_token_id=ids["<think>"])})
    found = format_of(model)
    assert found.stop_tokens == ("<|endoftext|>", "<think>", "<|im_end|>")
    assert found.generation_config == settings


def test_the_inner_turn_gives_a_stop_token_too() -> None:
    # Nothing after the last answer; the next user header ends an inner one (the GLM and Phi manner).
    source = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}"
    model = MemoryModel(
        {
            "tokenizer.json": byte_bpe(("<|user|>", "<|assistant|>")),
            "tokenizer_config.json": {"chat_template": source},
        }
    )
    found = format_of(model)
    assert found.stop_tokens == ("<|user|>",)
    assert set(found.template_tokens) == {"<|user|>", "<|assistant|>"}  # built from pieces: only renderings show them


def test_the_beginning_of_a_sequence_stops_nothing() -> None:
    source = "{% for m in messages %}{{ bos_token + m.role + ': ' + m.content }}{% endfor %}"
    model = MemoryModel(
        {
            "tokenizer.json": byte_bpe(("<s>", "</s>")),
            "tokenizer_config.json": {"chat_template": source, "bos_token": "<s>", "eos_token": "</s>"},
        }
    )
    assert format_of(model).stop_tokens == ("</s>",)


PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{{ c.text }}{% endfor %}<|im_end|>\n"
    "{% endfor %}"
)
CALLS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.tool_calls %}{{ m.tool_calls[0].function | tojson }}"
    "CLOSED{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
)

PARTED = (
    "{% for m in messages %}{% if m.thinking %}<|im_start|>thought\n{{ m.thinking }}<|eom|>{% endif %}"
    "{% for call in m.tool_calls or [] %}{{ call.function | tojson }}<|call_end|>{% endfor %}"
    "{% if m.tool_calls %}<|eot|>{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if loop.last %}LAST{% else %}INNER{% endif %}{% endif %}\n{% endfor %}"
)
"""A turn of several parts, each closed by a token of its own."""
WITH_TOOLS = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}" + CHATML.replace("<|im_end|>", "<|eot|>")


@pytest.mark.parametrize(
    ("source", "stops"),
    [
        (PARTED.replace("LAST", "<|im_end|>").replace("INNER", "<|eom|>"), ["<|im_end|>", "<|eot|>"]),
        (PARTED.replace("LAST", "<|im_end|>").replace("INNER", "</tool_call><|eom|>"), ["<|im_end|>", "<|eot|>"]),
        (PARTED.replace("LAST", "<|eom|>answer<|im_end|>").replace("INNER", "<|eom|>"), ["<|im_end|>", "<|eot|>"]),
        (PARTED.replace("LAST", "<|eom|>").replace("INNER", "<|eom|>"), ["<|eom|>", "<|eot|>"]),
        ([("default", CHATML), ("tool_use", WITH_TOOLS)], ["<|im_end|>", "<|eot|>"]),
        ([("default", CHATML), ("tool_use", CHATML.replace("<|im_end|>", "<|eot|>"))], ["<|im_end|>", "<|eot|>"]),
        (PARTS, ["<|im_end|>"]),
        (CALLS.replace("CLOSED", "<|eom|>"), ["<|im_end|>", "<|eom|>"]),
        (CALLS.replace("CLOSED", "<|call_end|><|im_end|>"), ["<|im_end|>"]),
        (CALLS.replace("CLOSED", "</tool_call>"), ["<|im_end|>"]),
        (CHATML.replace("message['content']", "''").replace("message.content", "''"), []),
    ],
    ids=[
        *(
            "a part, another end",
            "a part behind what is not special",
            "a part, then the end",
            "a part, no other end",
            "named, with tools only",
        ),
        *("named", "lists of parts", "call", "call closed twice", "call closed by no special token"),
        "no answer shown",
    ],
)
def test_turns_end_in_other_ways_than_a_plain_answer(source: Any, stops: list[str]) -> None:
    template = source if isinstance(source, str) else [{"name": name, "template": text} for name, text in source]
    special = ("</s>", "<|im_start|>", "<|im_end|>", "<|eot|>", "<|eom|>", "<|call_end|>")
    model = MemoryModel(
        {
            "tokenizer.json": byte_bpe(special, ("</tool_call>",)),
            "tokenizer_config.json": {"chat_template": template, "eos_token": "</s>"},
        }
    )
    found = format_of(model)
    assert found.stop_tokens == ("</s>", *stops)
    assert found.turn_ends == tuple(stops)
    assert found.shows_answers == bool(stops)


def test_turn_tokens_that_are_not_special_still_stop() -> None:
    model = MemoryModel(
        {
            "tokenizer.json": byte_bpe((), ("<|im_start|>", "<|im_end|>")),
            "tokenizer_config.json": {"chat_template": CHATML},
        }
    )
    assert format_of(model).stop_tokens == ("<|im_end|>",)


def test_runs_of_spaces_in_the_source_are_no_template_tokens() -> None:
    model = MemoryModel(
        {
            "tokenizer.json": byte_bpe(QWEN_TOKENS, ("    ", "  ")),
            "tokenizer_config.json": {"chat_template": "    " + QWEN, "eos_token": "<|im_end|>"},
        }
    )
    assert "    " not in format_of(model).template_tokens


def test_a_token_written_by_a_variable_of_the_models_own() -> None:
    model = MemoryModel(
        {
            "tokenizer.json": byte_bpe(("<image>", "</s>")),
            "tokenizer_config.json": {
                "chat_template": "{% if false %}{{ image_token }}{% endif %}{{ messages[0].content }}",
                "image_token": "<image>",
                "eos_token": {"__type": "AddedToken", "content": "</s>"},
            },
        }
    )
    found = format_of(model)
    assert found.special_tokens == {"image_token": "<image>", "eos_token": "</s>"}
    assert "<image>" in found.template_tokens


def test_special_tokens_from_the_old_map_and_from_the_class() -> None:
    pieces = sentencepiece_model()
    config: dict[str, Any] = {"chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"}
    bare = MemoryModel({"tokenizer.model": pieces, "tokenizer_config.json": config})
    assert format_of(bare).special_tokens == {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    mapped = MemoryModel(
        {
            "tokenizer.json": byte_bpe(("<a>", "<b>")),
            "tokenizer_config.json": {**config, "bos_token": "<a>"},
            "special_tokens_map.json": {"bos_token": "<b>", "eos_token": {"content": "<b>"}},
        }
    )
    assert format_of(mapped).special_tokens == {"bos_token": "<a>", "eos_token": "<b>"}


def test_no_template() -> None:
    model = MemoryModel({"tokenizer.json": byte_bpe(QWEN_TOKENS), "tokenizer_config.json": {"chat_template": None}})
    assert read_chat_format(model, read_tokens(model)) is None


def test_the_jinja_file_wins_and_brings_its_named_ones() -> None:
    named = [{"name": "default", "template": QWEN}, {"name": "rag", "template": CHATML}]
    key_only = qwen(**{"tokenizer_config.json": {"chat_template": named}})
    assert dict(format_of(key_only).templates) == {"default": QWEN, "rag": CHATML}
    assert not format_of(key_only).uses_jinja_file
    with_file = qwen(
        **{
            "tokenizer_config.json": {"chat_template": named},
            "chat_template.jinja": CHATML.encode(),
            "additional_chat_templates/tool_use.jinja": QWEN.encode(),
        }
    )
    found = format_of(with_file)
    assert dict(found.templates) == {"default": CHATML, "tool_use": QWEN}
    assert found.uses_jinja_file
    assert found.source == "qwen-chat/chat_template.jinja"
    assert "<tool_call>" in found.template_tokens  # only the named one writes it


def test_the_processors_old_file_counts_last() -> None:
    old = {"chat_template.json": {"chat_template": CHATML}}
    assert format_of(qwen(**old)).templates["default"] == QWEN
    alone = qwen(**old, **{"tokenizer_config.json": {}})
    assert format_of(alone).templates["default"] == CHATML


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (QWEN, "You are Qux, made by a cloud. You are a helpful assistant."),
        (LLAMA31, "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024"),
        (CHATML, None),
        (FAMILIES["llama2"], None),
        (GEMMA, None),
        (FAMILIES["mistral"], None),
    ],
)
def test_injected_words_are_found(source: str, words: str | None) -> None:
    assert format_of(family(source)).injected_system_prompt == words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' }}{% if loop.first %}"
            "{{ '<<SYS>>\\nAnswer kindly and truly.\\n<</SYS>>\\n\\n' }}{% endif %}{{ m.content + ' [/INST]' }}"
            "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}",
            "Answer kindly and truly.",
        ),
        (
            "{{ 'A chat between a user and a robot. ' }}{% for m in messages %}"
            "{{ m.role | upper + ': ' + m.content + ' ' }}{% endfor %}",
            "A chat between a user and a robot.",
        ),
        (
            "{% for m in messages %}{{ '### ' + m.role + ':\\n' + m.content + '\\n' }}{% endfor %}",
            None,
        ),
    ],
)
def test_injected_words_of_formats_in_plain_text(source: str, words: str | None) -> None:
    model = family(FAMILIES["llama2"])
    model.contents["chat_template.jinja"] = source.encode()
    assert format_of(model).injected_system_prompt == words


def test_markers_that_are_no_tokens_are_told() -> None:
    model = MemoryModel({"tokenizer.json": byte_bpe(()), "tokenizer_config.json": {"chat_template": CHATML}})
    assert format_of(model).plain_markers == ("<|im_end|>", "<|im_start|>")


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ({"chat_template.jinja": b"{% if %}"}, DamagedFile, r"^qwen-chat/chat_template.jinja, line 1: .* no Jinja"),
        ({"chat_template.jinja": b"\xff"}, DamagedFile, r"qwen-chat/chat_template.jinja: byte 0 is no UTF-8"),
        ({"chat_template.jinja": b"{{ bos_token }}"}, InputError, r"chat_template.jinja, line 1: writes bos_token"),
        ({"chat_template.jinja": b"\n{{ raise_exception('no') }}"}, InputError, r"line 2: .* refuses .*: no$"),
        ({"tokenizer_config.json": {"chat_template": 3}}, DamagedFile, "neither a text nor a list"),
        ({"tokenizer_config.json": {"chat_template": [{"name": 1, "template": "a"}]}}, DamagedFile, "is no text"),
        (
            {"tokenizer_config.json": {"chat_template": [{"name": "rag", "template": "a"}]}},
            InputError,
            r"named chat templates only \(rag\)",
        ),
        (
            {"additional_chat_templates/rag.jinja": b"{% if %}"},
            DamagedFile,
            "additional_chat_templates/rag.jinja, line 1",
        ),
    ],
)
def test_bad_templates_are_named(files: dict[str, Any], kind: type[Exception], words: str) -> None:
    model = qwen(**files)
    with pytest.raises(kind, match=words):
        read_chat_format(model, read_tokens(model))


def test_a_template_that_needs_a_token_the_files_disagree_on() -> None:
    model = MemoryModel(
        {
            "tokenizer.json": byte_bpe(()),
            "tokenizer_config.json": {
                "chat_template": CHATML,
                "added_tokens_decoder": {"3": {"content": "<|im_end|>", "special": True}},
            },
        }
    )
    with pytest.raises(InputError, match=r"needs 1 tokens whose ids .* different tokens: '<\|im_end\|>' \(id 3\)"):
        read_chat_format(model, read_tokens(model))
