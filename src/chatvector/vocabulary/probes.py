# SPDX-License-Identifier: Apache-2.0
"""Probe conversations: what a chat template is asked to render, and what its renderings tell of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatvector.vocabulary.template import Message, Template

# Words that no template writes and no tokenizer cuts: letters only, nothing to trim or split.
SYSTEM, USER, USER_2, ASSISTANT, REASONING = (
    "Qsystemwordq",
    "Quserwordq",
    "Qsecondwordq",
    "Qassistantwordq",
    "Qthoughtq",
)

TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look up a word.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string", "description": "The word."}},
            "required": ["word"],
        },
    },
}

_system: Message = {"role": "system", "content": SYSTEM}
_user: Message = {"role": "user", "content": USER}
_assistant: Message = {"role": "assistant", "content": ASSISTANT}
_second: Message = {"role": "user", "content": USER_2}


def _called(*words: str) -> Message:
    calls = [
        {"id": f"abcdefgh{letter}", "type": "function", "function": {"name": "look_up", "arguments": {"word": word}}}
        for letter, word in zip("ij", words, strict=False)
    ]
    return {"role": "assistant", "content": "", "tool_calls": calls}


_result: Message = {"role": "tool", "name": "look_up", "tool_call_id": "abcdefghi", "content": "b"}


@dataclass(frozen=True)
class Probe:
    """A conversation that tests one ability of a template."""

    name: str
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] | None = None
    prompt: bool = False
    variables: Mapping[str, Any] | None = None

    def render(self, template: Template) -> str | None:
        """The rendered text; None when the template does not take it."""
        return template.try_render(
            self.messages, tools=self.tools, add_generation_prompt=self.prompt, **(self.variables or {})
        )


PROBES = (
    Probe("user", (_user,), prompt=True),
    Probe("user, no prompt", (_user,)),
    Probe("system", (_system, _user), prompt=True),
    Probe("answered", (_user, _assistant)),
    Probe("three turns", (_user, _assistant, _second), prompt=True),
    Probe("system, three turns", (_system, _user, _assistant, _second), prompt=True),
    Probe("tools", (_user,), tools=(TOOL,), prompt=True),
    Probe("system, tools", (_system, _user), tools=(TOOL,), prompt=True),
    Probe("tool call", (_user, _called("a"), _result), tools=(TOOL,), prompt=True),
    Probe("thinking on", (_user,), prompt=True, variables={"enable_thinking": True, "thinking": True}),
    Probe("thinking off", (_user,), prompt=True, variables={"enable_thinking": False, "thinking": False}),
    Probe("reasoning", (_user, {**_assistant, "reasoning_content": REASONING, "thinking": REASONING})),
)


CALLED = Probe("called", (_user, _called(ASSISTANT)), tools=(TOOL,))
"""A conversation that ends with a tool call, which holds the assistant's word."""

CALLED_TWICE = Probe("called twice", (_user, _called(REASONING, ASSISTANT)), tools=(TOOL,))
"""One turn of two calls, the assistant's word in the second."""


def answers(template: Template) -> list[str]:
    """Renderings of a last answer and of an inner one, those without the assistant's word left out.

    Contents are texts; for a template that then writes no answer they are lists of parts, which some take only, or
    beside tools, without which some named ones fail.
    """
    asked = [each for each in PROBES if each.name in ("answered", "three turns")]
    in_parts = [replace(each, messages=_in_parts(each.messages)) for each in asked]
    for probes in (asked, in_parts, [replace(each, tools=(TOOL,)) for each in asked]):
        found = [text for each in probes if (text := each.render(template)) is not None and ASSISTANT in text]
        if found:
            return found
    return []


def between_parts(template: Template) -> list[str]:
    """What the template writes between two parts of one turn of the assistant: a thought and the answer, two calls.

    A token that stands there does not end the turn (gpt-oss: `<|end|>` closes each part, `<|return|>` the turn).
    """
    parted = [each for each in PROBES if each.name == "reasoning"] + [CALLED_TWICE]
    texts = [text for each in parted if (text := each.render(template)) is not None and REASONING in text]
    return [text.partition(REASONING)[2].rpartition(ASSISTANT)[0] for text in texts]


def shows_users_words(template: Template) -> bool:
    """Whether the last thing that the user says is in the prompt, as a text or, as some templates take only, in parts.

    A conversation that the template refuses shows nothing either way.
    """
    asked = [
        (each, said) for each in PROBES for name, said in (("user", USER), ("three turns", USER_2)) if each.name == name
    ]
    for each, said in asked:
        texts = [form.render(template) for form in (each, replace(each, messages=_in_parts(each.messages)))]
        if texts[0] is not None and not any(said in text for text in texts if text is not None):
            return False
    return True


def header_left_out(texts: Mapping[str, str]) -> str | None:
    """What a template writes before an answer, and never at the end of a prompt; None where there is nothing.

    `texts`: its renderings by `probe`. Many templates need no header, as the user's turn ends with what begins an
    answer; one that heeds `add_generation_prompt`, or refuses a conversation, is not judged.
    """
    if not {"user", "user, no prompt", "answered"} <= texts.keys() or texts["user"] != texts["user, no prompt"]:
        return None
    end = texts["user"].rpartition(USER)[2].strip()
    between = texts["answered"].rpartition(ASSISTANT)[0].rpartition(USER)[2]
    # An empty thought is part of the answer.
    before = re.sub(r"<(think|thinking)>\s*</\1>", "", between).strip()
    return before.removeprefix(end).strip() or None if before.startswith(end) else None


def _in_parts(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple({**each, "content": [{"type": "text", "text": each["content"]}]} for each in messages)


def probe(template: Template, *, named: bool = False) -> dict[str, str]:
    """Renderings by probe name; a probe the template refuses (system role, tools) is absent.

    Raises `InputError` when the template fails on a plain user message, or writes an undefined special token. One that
    is chosen by its name may be for other conversations alone (`tool_use` takes tools): it fails where it takes none.
    """
    found = dict(_renderings(template))
    if not (named and found):
        template.render(PROBES[0].messages, add_generation_prompt=True)
    return found


def _renderings(template: Template) -> Iterator[tuple[str, str]]:
    for each in PROBES:
        text = each.render(template)
        if text is not None:
            yield each.name, text
