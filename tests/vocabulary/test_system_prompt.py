# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from vocabulary_models import CHATML, FAMILIES, GEMMA, LLAMA31, MISTRAL, QWEN, family

from chatvector.errors import UsageError
from chatvector.vocabulary.probes import PROBES, TOOL
from chatvector.vocabulary.system_prompt import injected_text, replace_system_prompt
from chatvector.vocabulary.template import Template, compile_template
from chatvector.vocabulary.template_files import read_special_tokens
from chatvector.vocabulary.tokens import TokenTable, read_tokens

USER = {"role": "user", "content": "hi"}
TEXTS = ["You are Kim.", "친절하게 답하세요.\n\"큰\" '따옴표' \\n {{ bos_token }} {% if %} {# c #}"]


def replaced(source: str, wish: str) -> tuple[Template, Template, TokenTable]:
    model = family(source)
    tokens = read_tokens(model)
    special = read_special_tokens(model, tokens)
    new = replace_system_prompt(source, "m/chat_template.jinja", special, tokens, wish)
    return compile_template(source, "old", special), compile_template(new, "new", special), tokens


@pytest.mark.parametrize("source", FAMILIES.values(), ids=FAMILIES)
def test_keep_changes_nothing(source: str) -> None:
    assert replaced(source, "keep")[1].source == source


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["chatml", "qwen", "llama2", "llama31", "mistral"])
def test_a_text_stands_in_for_a_missing_system_message(name: str, text: str) -> None:
    old, new, _tokens = replaced(FAMILIES[name], text)
    given = {"role": "system", "content": text}
    turns = [USER, {"role": "assistant", "content": "a"}, USER]
    for messages in ([USER], turns):
        for tools in (None, [TOOL]):
            assert new.render(messages, tools=tools) == old.render([given, *messages], tools=tools)
    other = {"role": "system", "content": "Mine."}
    assert new.render([other, USER]) == old.render([other, USER])


def test_none_takes_an_identity_out_of_every_branch() -> None:
    old, new, tokens = replaced(QWEN, "none")
    assert injected_text(new, tokens) is None
    assert new.render([USER], add_generation_prompt=True) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert "Qux" not in new.render([USER], tools=[TOOL])
    assert "# Tools" in new.render([USER], tools=[TOOL])
    for probe in PROBES:
        if probe.messages[0]["role"] == "system":
            assert probe.render(new) == probe.render(old)


def test_none_takes_words_in_plain_text_out() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}{% if loop.first %}{{ '<<SYS>>\\nAnswer kindly, don\\'t lie.\\n"
        "<</SYS>>\\n\\n' }}{% endif %}{{ m.content + eos_token }}{% endfor %}"
    )
    model = family(FAMILIES["llama2"])
    tokens = read_tokens(model)
    special = read_special_tokens(model, tokens)
    assert injected_text(compile_template(source, "m", special), tokens) == "Answer kindly, don't lie."
    new = compile_template(replace_system_prompt(source, "m", special, tokens, "none"), "m", special)
    assert new.render([USER]) == "<s>hi</s>"


@pytest.mark.parametrize("source", [CHATML, GEMMA, MISTRAL])
def test_none_leaves_a_template_without_such_words(source: str) -> None:
    assert replaced(source, "none")[1].source == source


def test_a_template_that_takes_no_system_message() -> None:
    words = r"--system-prompt: the template m/chat_template.jinja takes no system message; edit it and give it by"
    with pytest.raises(UsageError, match=words):
        replaced(GEMMA, "You are Kim.")


def test_a_template_that_ignores_the_system_message() -> None:
    source = "{% for m in messages %}{% if m.role != 'system' %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
    model = family(FAMILIES["llama2"])
    tokens = read_tokens(model)
    with pytest.raises(UsageError, match="takes no system message"):
        replace_system_prompt(source, "m", read_special_tokens(model, tokens), tokens, "You are Kim.")


def test_a_date_that_the_template_builds_cannot_be_taken_out() -> None:
    words = r"writes 'Cutting Knowledge Date: December 2023 Today Date: 26 Jul 2024' in a way that cannot be taken out"
    with pytest.raises(UsageError, match=words):
        replaced(LLAMA31, "none")
