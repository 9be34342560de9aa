# SPDX-License-Identifier: Apache-2.0
"""A chat format as the texts that stand between the messages, where a template is no more than that.

Most templates write fixed text before, between and after the messages, whatever the messages say. Engines that do not
read Jinja can be given such a format. Here it is not translated but found out: the template renders a few
conversations, the texts around the messages are cut out, and then more conversations, also of many lines, have to come
out as the texts say. A template that does anything else (the system message in the last turn) has no such texts. No
reply holds a thought: a template that takes thoughts out of earlier replies may have texts, right for replies without.
A date it writes is that of the template's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatvector.vocabulary.probes import ASSISTANT, SYSTEM, USER, USER_2
from chatvector.vocabulary.template import Message, Template

START = "start"
"""In a pair of neighbours, what is before the first message."""

_TEXTS = (
    "What is {{ this }}?\n\nTwo lines, 'quoted' \"twice\", \\n and a backslash.",
    "눈은 무슨 색이에요? 한 줄\n- 두 줄\n> 세 줄",
    "<b>&amp;</b> 天空是什麼顏色?",
    "No.",
    "#!? 1 + 1 = 2",
)


@dataclass(frozen=True)
class Turns:
    """The texts of a format that has no more than texts."""

    between: Mapping[tuple[str, str], str]
    """(role before, role after) → the text between the two contents. Before the first message stands `start`. No pair
    with `system` where the template takes no system message."""
    prompt: str
    """What stands between a last user message and the reply."""

    @property
    def takes_system(self) -> bool:
        """Whether a conversation may begin with a system message."""
        return (START, "system") in self.between

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for a conversation that ends with a user's message. Raises KeyError for an order of roles that the
        format does not have."""
        text, before = "", START
        for message in messages:
            text += self.between[before, message["role"]] + message["content"]
            before = message["role"]
        return text + self.prompt


def read_turns(template: Template) -> Turns | None:
    """The texts of a template; None when it does more than write texts around messages.

    Raises `InputError` when the template writes an undefined special token.
    """
    plain = _cut(template, ("user", USER), ("assistant", ASSISTANT), ("user", USER_2))
    single = _cut(template, ("user", USER))
    if plain is None or single is None or single != [plain[0], plain[3]]:
        return None
    between = {(START, "user"): plain[0], ("user", "assistant"): plain[1], ("assistant", "user"): plain[2]}
    led = _cut(template, ("system", SYSTEM), ("user", USER))
    if led is not None and led[2] == plain[3]:
        between |= {(START, "system"): led[0], ("system", "user"): led[1]}
    elif template.try_render(_messages(("system", SYSTEM), ("user", USER)), add_generation_prompt=True) is not None:
        return None  # it takes a system message and puts it elsewhere
    turns = Turns(between, plain[3])
    return turns if all(_same(template, turns, messages) for messages in _trials(turns)) else None


def same_as_system(template: Template, turns: Turns, words: str) -> bool:
    """Whether what a template writes of itself is what it writes for a system message of these words."""
    if not turns.takes_system:
        return False
    given: Message = {"role": "system", "content": words}
    bare = [messages for messages in _trials(turns) if messages[0]["role"] == "user"]
    return all(
        turns.render([given, *messages]) == template.try_render(messages, add_generation_prompt=True)
        for messages in bare
    )


def _messages(*said: tuple[str, str]) -> list[Message]:
    return [{"role": role, "content": content} for role, content in said]


def _cut(template: Template, *said: tuple[str, str]) -> list[str] | None:
    """The texts around the contents in a rendering; None when it does not hold each once and in order."""
    text = template.try_render(_messages(*said), add_generation_prompt=True)
    if text is None or any(text.count(content) != 1 for _, content in said):
        return None
    parts = []
    for _, content in said:
        before, found, text = text.partition(content)
        if not found:
            return None
        parts.append(before)
    return [*parts, text]


def _trials(turns: Turns) -> list[list[Message]]:
    """Conversations of one, three and five messages, with and without a system message."""
    roles = ("user", "assistant", "user", "assistant", "user")
    trials = []
    for count in (1, 3, 5):
        for first in range(2):
            texts = _TEXTS[first:] + _TEXTS[:first]
            said = list(zip(roles[:count], texts, strict=False))
            trials.append(_messages(*said))
            if turns.takes_system:
                trials.append(_messages(("system", _TEXTS[count // 2]), *said))
    return trials


def _same(template: Template, turns: Turns, messages: Sequence[Message]) -> bool:
    return template.try_render(messages, add_generation_prompt=True) == turns.render(messages)
