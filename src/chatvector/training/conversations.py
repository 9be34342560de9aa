# SPDX-License-Identifier: Apache-2.0
"""Conversations as token ids, and which of the tokens are the assistant's, including its stop token.

There are two ways to find the assistant's tokens. A template with `{% generation %}` marks shows them itself. With any
other template, the conversation is rendered up to each assistant turn, with the generation prompt, and then including
the turn: what the second rendering adds is the assistant's. This works only if renderings of a growing conversation are
prefixes of each other. If a template rewrites earlier turns (for example drops their thoughts), the row is refused,
because its tokens would be trained on wrongly.

Either way a turn must end with a special token that counts in the loss: a model that never sees one never learns to
stop, although its training loss looks healthy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatvector.errors import InputError, UnsupportedFormat, brief

Message = dict[str, Any]
MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True)
class Encoded:
    """One conversation.

    Attributes:
        ids: token ids.
        assistant: for each id, whether the assistant says it.
        special: ids of all special tokens in it.
        stops: ids of the special tokens that end the assistant's turns.
    """

    ids: list[int]
    assistant: list[bool]
    special: frozenset[int]
    stops: frozenset[int]


class Encoder:
    """A tokenizer and the chat template that it is trained with."""

    def __init__(self, tokenizer: Any, template: str | None) -> None:
        """`template` is None for the tokenizer's own. Raises InputError if there is no template, UnsupportedFormat if
        the tokenizer is not a fast one."""
        own = tokenizer.chat_template
        self.template = own if template is None else template
        if not isinstance(self.template, str):
            raise InputError(
                "the model has no chat template; name one with chat_template: a .jinja file, or a chat model"
            )
        if not tokenizer.is_fast:
            raise UnsupportedFormat(
                "the tokenizer has no tokenizer.json, so the text of each token is not known; convert it first"
            )
        self.tokenizer = tokenizer
        self.marked = MARKS.search(self.template) is not None
        self._special = frozenset(tokenizer.all_special_ids) | {
            number for number, token in tokenizer.added_tokens_decoder.items() if token.special
        }

    def encode(self, messages: Sequence[Message], where: str) -> Encoded:
        """Encodes a conversation with at least one assistant turn. Raises InputError, which names the row, if the
        conversation or the template does not allow it."""
        check_messages(messages, where)
        text = self._render(messages, where)
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = list(found["input_ids"]), found["offset_mapping"]
        spans = self._marked_spans(messages, where) if self.marked else self._prefix_spans(messages, text, where)
        assistant, stops = [False] * len(ids), set()
        for begin, end in spans:
            # A token across the border belongs to the prompt: it is there before the model says anything.
            inside = [n for n, (first, last) in enumerate(offsets) if first >= begin and last <= end and last > first]
            last = next((n for n in reversed(inside) if ids[n] in self._special), None)
            tail = "" if last is None else text[offsets[last][1] : end]
            if last is None or tail.strip():
                raise InputError(
                    f"{where}: the chat template ends the assistant's turn with no special token"
                    f"{' inside its generation marks' if self.marked else ''}, so the model would not learn to stop"
                )
            stops.add(ids[last])
            for n in inside:
                assistant[n] = n <= last  # line breaks after the stop token are the template's, not the assistant's
        return Encoded(ids, assistant, frozenset(ids) & self._special, frozenset(stops))

    def encode_pair(
        self, prompt: Sequence[Message], reply: Message, where: str
    ) -> tuple[list[int], list[int], Encoded]:
        """Ids of the prompt including the generation prompt, ids of the reply including its stop token, and the whole
        conversation. Raises what `encode` raises."""
        encoded = self.encode([*prompt, reply], where)
        end = len(encoded.ids) - encoded.assistant[::-1].index(True)
        begin = end
        while begin and encoded.assistant[begin - 1]:
            begin -= 1
        return encoded.ids[:begin], encoded.ids[begin:end], encoded

    def _prefix_spans(self, messages: Sequence[Message], text: str, where: str) -> list[tuple[int, int]]:
        spans = []
        for turn, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._render(messages[:turn], where, prompt=True)
            through = self._render(messages[: turn + 1], where)
            if not (through.startswith(before) and text.startswith(through)):
                raise InputError(
                    f"{where}: the chat template renders turn {turn + 1} otherwise once the conversation goes on, so"
                    " the assistant's tokens cannot be told; mark them in the template with {% generation %}, or give"
                    " conversations of one assistant turn"
                )
            spans.append((len(before), len(through)))
        return spans

    def _marked_spans(self, messages: Sequence[Message], where: str) -> list[tuple[int, int]]:
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            rendered: Any = render_jinja_template(
                [list(messages)],
                chat_template=self.template,
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        except Exception as error:  # whatever a stranger's template raises
            raise _refused(where, error) from error
        _, marked = rendered
        spans = [(begin, end) for begin, end in marked[0] if end > begin]
        if not spans:
            raise InputError(f"{where}: the chat template's generation marks hold nothing of this conversation")
        return spans

    def _render(self, messages: Sequence[Message], where: str, *, prompt: bool = False) -> str:
        try:
            return self.tokenizer.apply_chat_template(
                list(messages), chat_template=self.template, tokenize=False, add_generation_prompt=prompt
            )
        except Exception as error:  # whatever a stranger's template raises
            raise _refused(where, error) from error


def check_messages(messages: object, where: str) -> None:
    """Raises InputError, which names the row, unless `messages` is a conversation of text with an assistant turn."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise InputError(f"{where}: messages must be a list of {{role, content}}, not {type(messages).__name__}")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str) or "content" not in message:
            raise InputError(f"{where}: message {number} is no {{role, content}}: {brief(message)}")
        if not isinstance(message["content"], str):
            kind = type(message["content"]).__name__
            raise InputError(f"{where}: content of message {number} is no text but {kind}; only text is trained on")
    if not any(message["role"] == "assistant" for message in messages):
        raise InputError(f"{where}: no assistant turn, so there is nothing to learn from it")


def _refused(where: str, error: Exception) -> InputError:
    return InputError(f"{where}: the chat template does not render this conversation ({brief(error, 200)})")
