# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from vocabulary_models import CHATML, FAMILIES, LLAMA2, LLAMA31, MISTRAL, QWEN, family

from chatvector.errors import DamagedFile, InputError
from chatvector.vocabulary.probes import PROBES, TOOL, header_left_out, probe
from chatvector.vocabulary.template import compile_template

USER = [{"role": "user", "content": "안녕"}]
CONVERSATIONS: dict[str, list[dict[str, str]]] = {
    "user": USER,
    "system": [{"role": "system", "content": "Be brief."}, *USER],
    "three turns": [*USER, {"role": "assistant", "content": " hi "}, {"role": "user", "content": "<b> & 'q'"}],
}


def render(source: str, messages: list[dict[str, Any]], **options: Any) -> str:
    return compile_template(source, "x/chat_template.jinja", {"eos_token": "</s>"}).render(messages, **options)


@pytest.mark.parametrize("name", FAMILIES)
def test_renders_as_transformers_does(name: str, tmp_path: Path) -> None:
    import jinja2
    from transformers import AutoTokenizer

    model = family(FAMILIES[name])
    loaded: Any = AutoTokenizer.from_pretrained(model.write(tmp_path))
    special = loaded.special_tokens_map
    ours = compile_template(FAMILIES[name], name, special, clock=datetime.now())
    compared = 0
    for messages in CONVERSATIONS.values():
        for tools in (None, [TOOL]):
            for prompt in (False, True):
                for more in ({}, {"enable_thinking": False}):
                    mine = ours.try_render(messages, tools=tools, add_generation_prompt=prompt, **more)
                    try:
                        theirs = loaded.apply_chat_template(
                            messages, tools=tools, add_generation_prompt=prompt, tokenize=False, **more
                        )
                    except jinja2.TemplateError:
                        theirs = None
                    assert mine == theirs
                    compared += theirs is not None
    assert compared >= 16


def test_what_the_environment_offers() -> None:
    source = (
        "{% for m in messages %}\n"
        "    {%- generation %}{{ m.content | tojson }}{% endgeneration %}\n"
        "    {%- if loop.first %}{% continue %}{% endif %}{% break %}\n"
        "{% endfor %}{{ strftime_now('%Y') }}{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}"
    )
    messages = [{"role": "user", "content": text} for text in ("<é>", "b", "c")]
    assert render(source, messages) == '"<é>""b"20242'


def test_blocks_are_trimmed() -> None:
    assert render("  {% if true %}\n  a\n  {% endif %}\nb", USER) == "  a\nb"


def test_probes_do_not_depend_on_the_day() -> None:
    assert "Today Date: 26 Jul 2024" in probe(family_template(LLAMA31))["user"]


def family_template(source: str) -> Any:
    return compile_template(source, "x", {"bos_token": "<s>", "eos_token": "</s>"})


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("chatml", set()),
        ("qwen", set()),
        ("llama2", {"tool call"}),
        ("llama31", set()),
        ("gemma", {"system", "system, three turns", "system, tools", "tool call"}),
        ("mistral", {"tool call"}),
    ],
)
def test_probes_a_template_refuses_are_left_out(name: str, refused: set[str]) -> None:
    rendered = probe(family_template(FAMILIES[name]))
    assert {each.name for each in PROBES} - set(rendered) == refused


def test_thinking_and_tool_branches_are_probed() -> None:
    rendered = probe(family_template(QWEN))
    assert "<think>\n\n</think>" in rendered["thinking off"]
    assert "<think>" not in rendered["thinking on"]
    assert "<tool_call>" in rendered["tool call"]
    assert "<think>\nQthoughtq" in rendered["reasoning"]


def test_no_jinja() -> None:
    with pytest.raises(DamagedFile, match=r"^m/chat_template.jinja, line 3: the chat template is no Jinja: "):
        compile_template("a\nb\n{% for %}", "m/chat_template.jinja", {})


def test_a_template_that_raises_on_a_plain_message() -> None:
    template = compile_template("\n{{ raise_exception('only images,\nplease') }}", "m/t.jinja", {})
    with pytest.raises(InputError, match=r"^m/t.jinja, line 2: the chat template refuses a plain conversation: only"):
        probe(template)


def test_a_template_that_fails_on_a_plain_message() -> None:
    template = compile_template("a\nb{{ messages[3]['content'] + 1 }}", "m/t.jinja", {})
    with pytest.raises(InputError, match=r"^m/t.jinja, line 2: the chat template fails on a plain conversation: "):
        probe(template)


@pytest.mark.parametrize(
    "source", ["a\n{{ bos_token }}", "a\n{{ bos_token + 'x' }}", "a\n{{ 'x' + bos_token }}", "a\n{{ 'x' ~ bos_token }}"]
)
def test_an_undefined_token(source: str) -> None:
    words = r"^m/t.jinja, line 2: writes bos_token, which no tokenizer file defines; add bos_token to"
    with pytest.raises(InputError, match=words):
        probe(compile_template(source, "m/t.jinja", {}))


def test_an_undefined_token_in_a_branch_that_only_tools_reach() -> None:
    template = compile_template("{% if tools %}{{ eom_token }}{% endif %}{{ messages[0].content }}", "t", {})
    with pytest.raises(InputError, match="writes eom_token"):
        probe(template)


@pytest.mark.parametrize(
    "source",
    [
        "{% if bos_token is defined %}{{ bos_token }}{% endif %}a",
        "{{ bos_token or '' }}a",
        "{{ bos_token | default('') }}a",
        "{% if bos_token %}{{ bos_token }}{% endif %}a",
        "{{ messages[0].bos_token }}{{ nothing }}a",
    ],
)
def test_asking_whether_a_token_is_defined_is_no_error(source: str) -> None:
    assert render(source, USER) == "a"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{% for i in range(1000000) %}{% endfor %}",
        "{{ raise_exception.__globals__['json'] }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    with pytest.raises(InputError, match="the chat template fails on a plain conversation"):
        render(source + CHATML, USER)


def test_a_template_nested_too_deeply() -> None:
    with pytest.raises((DamagedFile, InputError), match=r"nested too deeply|no Jinja"):
        compile_template("{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}", "t", {})


EMPTY_THOUGHT = (
    "{% for message in messages %}{% if message.role == 'assistant' %}<think>\n\n</think>\n\n{{ message.content }}<end>"
    "{% else %}<user>{{ message.content }}<assistant>{% endif %}{% endfor %}"
)
NO_PROMPT = "{% set add_generation_prompt = false %}"
HEADERS = {"chatml": "<|im_start|>assistant", "llama31": "<|start_header_id|>assistant<|end_header_id|>"}


@pytest.mark.parametrize(("source", "header"), [(CHATML, HEADERS["chatml"]), (LLAMA31, HEADERS["llama31"])])
def test_a_header_that_no_prompt_ends_with(source: str, header: str) -> None:
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    assert header_left_out(probe(compile_template(source, "t", special))) is None
    assert header_left_out(probe(compile_template(NO_PROMPT + source, "t", special))) == header
    always = NO_PROMPT.replace("false", "true")
    assert header_left_out(probe(compile_template(always + source, "t", special))) is None


@pytest.mark.parametrize("source", [LLAMA2, MISTRAL, EMPTY_THOUGHT])
def test_an_answer_without_a_header_needs_no_prompt(source: str) -> None:
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    assert header_left_out(probe(compile_template(source, "t", special))) is None
