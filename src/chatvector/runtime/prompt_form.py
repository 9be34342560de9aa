# SPDX-License-Identifier: Apache-2.0
"""Turn a conversation into the text that a model reads: by its own chat template, another's, or none.

The choice is recorded with every result and never changed silently. Templates run in the project's sandbox,
with its clock: Llama 3.1 and others write today's date into the prompt, and a run that continues tomorrow has to
send the same prompts as today.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatvector.checkpoint.checkpoint import Checkpoint
from chatvector.errors import InputError, MissingInput
from chatvector.runtime.backend import Role
from chatvector.vocabulary.chat_format import read_chat_format
from chatvector.vocabulary.probes import PROBES
from chatvector.vocabulary.template import PROBE_CLOCK, Template, compile_template
from chatvector.vocabulary.tokens import read_tokens


@dataclass(frozen=True)
class GivenTemplate:
    """A chat template that is not the model's own.

    Attributes:
        source: the template in Jinja.
        name: its origin, for the record: a model's name or a file.
        stop_tokens: tokens that end a turn in that format, as text; without them the format is incomplete.
    """

    source: str
    name: str
    stop_tokens: tuple[str, ...] = ()


def template_of(name: str, progress: Callable[[str], None] | None = None) -> GivenTemplate:
    """The template in a file (`*.jinja`, any text file), or that of another model with its stop tokens.

    Raises MissingInput if the model has none or there is no such model, InputError for one that does not render.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return GivenTemplate(path.read_text("utf-8"), name)
    with Checkpoint.open(name, progress) as model:
        found = read_chat_format(model, read_tokens(model))
    if found is None:
        raise MissingInput(f"{name} has no chat template either: name a chat model, such as the chat parent, or a file")
    return GivenTemplate(found.templates["default"], name, found.stop_tokens)


@dataclass(frozen=True)
class PromptForm:
    """The value of `BackendInfo.prompt_form`, and the template that it stands for.

    Attributes:
        called: `own template`, `template of NAME` or `raw`.
        template: None where there is none.
    """

    called: str
    template: Template | None

    @property
    def digest(self) -> str | None:
        """SHA-256 of the template's source; None without one."""
        return None if self.template is None else hashlib.sha256(self.template.source.encode()).hexdigest()

    def render(self, messages: Sequence[tuple[Role, str]], variables: Mapping[str, Any]) -> str | None:
        """The text that asks for the next reply; None where the template refuses the conversation."""
        assert self.template is not None
        plain = [{"role": role, "content": content} for role, content in messages]
        return self.template.try_render(plain, add_generation_prompt=True, **variables)


def prompt_form(
    own: str | None, given: GivenTemplate | None, special_tokens: Mapping[str, str], name: str
) -> PromptForm:
    """The form for a model called `name`: the given template, else its own, else none.

    Raises DamagedFile for a template that is no Jinja, InputError for one that fails on a plain question.
    """
    source = own if given is None else given.source
    if not source:
        return PromptForm("raw", None)
    called = "own template" if given is None else f"template of {given.name}"
    template = compile_template(source, f"{name}, {called}", special_tokens, clock=PROBE_CLOCK)
    question = PROBES[0]
    template.render(question.messages, add_generation_prompt=True)
    return PromptForm(called, template)


def no_template(name: str, offers: Sequence[str]) -> InputError:
    """The error for a conversation put to a model without a template. `offers` are models that have one."""
    instead = f", such as that of {' or '.join(offers)}" if offers else ", such as that of its chat parent"
    return MissingInput(
        f"{name} has no chat template and none is made up: take another model's{instead}, or a file "
        f"(--chat-format-from)"
    )
