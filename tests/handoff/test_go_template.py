# SPDX-License-Identifier: Apache-2.0
"""The chat format in Ollama's template language renders what the Jinja template renders."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from go_text_template import render
from hypothesis import given
from hypothesis import strategies as st

from chatvector.handoff.go_template import go_template
from chatvector.lab.tokens import CHAT_TEMPLATE, FT_TEMPLATE
from chatvector.vocabulary.template import Template, compile_template
from chatvector.vocabulary.turns import Turns, read_turns, same_as_system

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
IDENTITY = (
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are Qux, a model.<|im_end|>\\n' }}{% endif %}"
)
LLAMA2 = (
    "{% set lead = namespace(text='') %}{% for m in messages %}{% if m.role == 'system' %}"
    "{% set lead.text = '<<SYS>>\\n' + m.content + '\\n<</SYS>>\\n\\n' %}{% elif m.role == 'user' %}"
    "{{ bos_token + '[INST] ' + lead.text + m.content + ' [/INST]' }}{% set lead.text = '' %}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<start_of_turn>' + role + '\\n' + m.content | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
BRACES = (
    "{% for m in messages %}{{ '{{' + m.role + '}} \"' + m.content + '\"\\\\ ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '{{assistant}} \"' }}{% endif %}"
)
FORMATS = {
    "ChatML": CHATML,
    "an identity of its own": IDENTITY + CHATML,
    "system in the first turn": LLAMA2,
    "no system": GEMMA,
    "braces and quotes": BRACES,
    "the trio's": CHAT_TEMPLATE,
    "the tuned trio's": FT_TEMPLATE,
}
MORE_THAN_TEXTS = {
    "system in the last turn": (
        "{% for m in messages %}{% if m.role != 'system' %}{% if loop.last and messages[0].role == 'system' %}"
        "{{ messages[0].content + '\\n\\n' }}{% endif %}{{ m.role + ': ' + m.content + '\\n' }}{% endif %}{% endfor %}"
    ),
    "a system message that is dropped": (
        "{% for m in messages if m.role != 'system' %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
    ),
    "upper case": "{% for m in messages %}{{ m.role + ': ' + m.content | upper + '\\n' }}{% endfor %}",
    "numbered turns": "{% for m in messages %}{{ loop.index ~ '. ' + m.content + '\\n' }}{% endfor %}",
    "the last two turns only": "{% for m in messages[-2:] %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}",
}


@functools.cache
def compiled(source: str) -> Template:
    return compile_template(source, "chat_template.jinja", SPECIAL)


@functools.cache
def turns_of(source: str) -> Turns:
    turns = read_turns(compiled(source))
    assert turns is not None
    return turns


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@pytest.mark.parametrize("name", FORMATS)
@given(texts=st.lists(TEXT, min_size=6, max_size=6), count=st.sampled_from((1, 3, 5)), system=st.booleans())
def test_a_prompt_is_the_jinja_templates(name: str, texts: list[str], count: int, system: bool) -> None:
    template, turns = compiled(FORMATS[name]), turns_of(FORMATS[name])
    roles = ["user", "assistant", "user", "assistant", "user"][:count]
    said = [{"role": role, "content": text} for role, text in zip(roles, texts[1:], strict=False)]
    if system and turns.takes_system:
        said = [{"role": "system", "content": texts[0]}, *said]
    wanted = template.render(said, add_generation_prompt=True)
    for bos in ("", "<s>"):
        source = go_template(turns, bos=bos)
        assert source is not None
        assert render(source, said) == wanted.removeprefix(bos)


def test_a_template_by_eye() -> None:
    """ChatML, written down by hand from the documentation of Go's templates."""
    assert go_template(turns_of(CHATML)) == "\n".join(
        [
            "{{- range $i, $_ := .Messages }}",
            "{{- $last := eq (len (slice $.Messages $i)) 1 }}",
            r'{{- if eq .Role "system" }}{{ "<|im_start|>system\n" }}{{ .Content }}{{ "<|im_end|>\n" }}',
            r'{{- else if eq .Role "user" }}{{ "<|im_start|>user\n" }}{{ .Content }}',
            r'{{- else if eq .Role "assistant" }}{{ "<|im_end|>\n<|im_start|>assistant\n" }}{{ .Content }}'
            r'{{ if not $last }}{{ "<|im_end|>\n" }}{{ end }}',
            "{{- end }}",
            r'{{- if and (eq .Role "user") $last }}{{ "<|im_end|>\n<|im_start|>assistant\n" }}{{ end }}',
            "{{- end }}",
        ]
    )


def test_a_reply_that_is_begun_is_gone_on_with() -> None:
    """`ollama` sends a last message of the assistant to have it continued: no new turn is opened."""
    source = go_template(turns_of(CHATML))
    assert source is not None
    said = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "The answer"}]
    assert render(source, said) == "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nThe answer"


def test_a_system_message_for_a_format_without_one_is_left_out() -> None:
    source = go_template(turns_of(GEMMA))
    assert source is not None
    question = {"role": "user", "content": "Q"}
    assert render(source, [{"role": "system", "content": "S"}, question]) == render(source, [question])


@pytest.mark.parametrize("name", MORE_THAN_TEXTS)
def test_what_does_more_than_write_texts_is_not_translated(name: str) -> None:
    assert read_turns(compiled(MORE_THAN_TEXTS[name])) is None


def test_three_quotation_marks_end_a_modelfiles_text() -> None:
    source = "{% for m in messages %}{{ '\"\"\"' + m.role + ' ' + m.content + '\\n' }}{% endfor %}"
    assert go_template(turns_of(source)) is None


def test_words_of_the_template_are_a_system_message_where_they_are_written_as_one() -> None:
    both = compiled(IDENTITY + CHATML)
    assert same_as_system(both, turns_of(IDENTITY + CHATML), "You are Qux, a model.")
    assert not same_as_system(both, turns_of(IDENTITY + CHATML), "You are Qux.")
    assert not same_as_system(compiled(GEMMA), turns_of(GEMMA), "You are Qux, a model.")


PROGRAM = """package main

import ("encoding/json"; "os"; "text/template")

type message struct { Role, Content string }

func main() {
	var cases []struct { Template, System string; Messages []message }
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil { panic(err) }
	out := []string{}
	for _, one := range cases {
		var text bytesOf
		data := map[string]any{"System": one.System, "Messages": one.Messages}
		if err := template.Must(template.New("").Parse(one.Template)).Execute(&text, data); err != nil { panic(err) }
		out = append(out, string(text))
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

type bytesOf []byte

func (b *bytesOf) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }
"""


def test_go_itself(tmp_path: Path) -> None:
    """The same by Go's own library, where there is Go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go here: the templates were read by this test's own interpreter only")
    (tmp_path / "main.go").write_text(PROGRAM)
    cases: list[dict[str, Any]] = []
    wanted = []
    for source in FORMATS.values():
        template, turns = compiled(source), turns_of(source)
        texts = ("Two\n\nlines {{ .Role }}", '눈 "흰색" \\ \'', "<b>&</b>", "四", "5", "System `s`")
        for count in (1, 3, 5):
            said = [
                {"role": role, "content": text}
                for role, text in zip(["user", "assistant"] * 3, texts[:count], strict=False)
            ]
            led = [{"role": "system", "content": texts[5]}, *said]
            for messages in [said, *([led] if turns.takes_system else [])]:
                capital = [{"Role": one["role"], "Content": one["content"]} for one in messages]
                system = messages[0]["content"] if messages[0]["role"] == "system" else ""
                cases.append({"Template": go_template(turns, bos="<s>"), "System": system, "Messages": capital})
                wanted.append(template.render(messages, add_generation_prompt=True).removeprefix("<s>"))
    done = subprocess.run(
        [go, "run", "main.go"],
        cwd=tmp_path,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PATH": str(Path(go).parent) + ":/usr/bin:/bin", "GOFLAGS": "-mod=mod"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == wanted
