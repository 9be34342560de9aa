# SPDX-License-Identifier: Apache-2.0
"""The words that a template puts before a conversation by itself ("You are Qwen …", "Today Date: …").

They make the merged model introduce itself by another's name, so they are found, shown, and replaced when asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from chatvector.errors import InputError, UsageError
from chatvector.vocabulary.probes import ASSISTANT, PROBES, SYSTEM, USER, USER_2
from chatvector.vocabulary.template import Message, Template, compile_template
from chatvector.vocabulary.tokens import TokenTable

# Format words that stand before a message and say nothing themselves.
MARKUP = re.compile(r"<<[^<>\n]*>>|</?[^<>\s]*>|\[/?[A-Z_]+\]|<\|[^|\n]*\|>|^#+[^\n]*$|\b[A-Z]{2,}:", re.MULTILINE)
ROLES = {"system", "developer", "user", "human", "assistant", "model", "instruction"}

_USER: Message = {"role": "user", "content": USER}
_ASSISTANT: Message = {"role": "assistant", "content": ASSISTANT}
_SECOND: Message = {"role": "user", "content": USER_2}

# One word is a label ("System:"); a sentence has more.
FEWEST_WORDS = 2


def injected_text(template: Template, tokens: TokenTable) -> str | None:
    """The words a template writes before a user's message when there is no system message; None without any.

    What a later user turn also has before it (the turn's own header), added tokens, bracketed markers and role
    names are no words. `tokens` is the table of the template's own model.
    """
    before = _before_user(template)
    words = []
    for segment in _markers(tokens).split(before):
        lines = MARKUP.sub("", segment).strip().split("\n")
        while lines and lines[0].strip().strip(":#* ").lower() in ROLES | {""}:
            lines.pop(0)
        words.append("\n".join(lines).strip())
    text = "\n".join(word for word in words if word)
    return text if len(re.findall(r"\w+", text)) >= FEWEST_WORDS else None


def replace_system_prompt(source: str, where: str, special: Mapping[str, str], tokens: TokenTable, wish: str) -> str:
    """A template's source with its injected words kept, taken out, or replaced by others.

    Args:
        source: the template.
        where: its file, for messages.
        special: special token variables and their strings.
        tokens: the table of the model that the template was written for.
        wish: `keep`, `none`, or the text that stands in for a system message when a conversation has none.

    The result is rendered again. With `none`, conversations come out as before but for the injected words. With a
    text, those that have a system message come out as before, the others as if the user had given the text.

    Raises `UsageError` when no edit does that: the template takes no system message, or builds its words from parts
    (a date).
    """
    if wish == "keep":
        return source
    template = compile_template(source, where, special)
    template.render(PROBES[0].messages, add_generation_prompt=True)
    if wish == "none":
        if injected_text(template, tokens) is None:
            return source
        candidates, good = _without(template, tokens), lambda new: _cut_out(template, new, tokens)
    else:
        candidates, good = iter([_prologue(wish) + source]), _says(template, wish)
    for candidate in candidates:
        try:
            new = compile_template(candidate, where, special)
            if good(new):
                return candidate
        except InputError:
            continue
    raise UsageError(_why_not(template, tokens, wish))


def _markers(tokens: TokenTable) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens.added, key=len, reverse=True))) or r"(?!)")


def _before_user(template: Template) -> str:
    """Text before the first user message, without the header that every user turn has."""
    first = template.render([_USER], add_generation_prompt=True).partition(USER)[0]
    return first[: len(first) - len(_user_header(template, first))]


def _user_header(template: Template, first: str) -> str:
    """What of `first`, the text before the first user message, is the header of any user turn.

    Between an answer and the next user message stand the answer's end, seen where an answer is the last turn, and
    the header. Where the two cannot be told apart, it is what both places have in common at their end.
    """
    end = (template.try_render([_USER, _ASSISTANT]) or "").partition(ASSISTANT)[2]
    later = (template.try_render([_USER, _ASSISTANT, _SECOND]) or "").partition(ASSISTANT)[2].partition(USER_2)[0]
    header = later.removeprefix(end)
    if later.startswith(end) and first.endswith(header):
        return header
    return first[len(first) - _shared_start(first[::-1], later[::-1]) :]


def _shared_start(one: str, other: str) -> int:
    """How many characters two texts have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _prologue(text: str) -> str:
    """Jinja that puts a system message before a conversation that has none."""
    message = f"[{{'role': 'system', 'content': {json.dumps(text, ensure_ascii=False)}}}]"
    return (
        "{%- if not messages or messages[0]['role'] not in ['system', 'developer'] %}"
        f"{{%- set messages = {message} + messages %}}{{%- endif %}}"
    )


def _without(template: Template, tokens: TokenTable) -> Iterator[str]:
    """Sources that may lack the injected words, the cleanest first.

    The whole block with its turn tokens; the words alone, wherever the source has them; an empty system message.
    """
    words = injected_text(template, tokens) or ""
    block = _before_user(template)
    starts = [0]
    while found := _markers(tokens).match(block, starts[-1]):  # a token that begins the sequence is no part of it
        starts.append(found.end())
    for text in [*(block[start:] for start in starts), words]:
        for spelt in _spellings(text):
            if spelt and spelt in template.source:
                source = template.source.replace(spelt, "")
                for rest in _spellings(words):
                    source = source.replace(rest, "")
                yield source
    yield _prologue("") + template.source


def _spellings(text: str) -> list[str]:
    """How a text may stand in a source: as it is, or escaped in a string constant."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return list(dict.fromkeys([text, escaped, escaped.replace("'", "\\'"), escaped.replace('"', '\\"')]))


def _system_header(template: Template) -> str | None:
    text = template.try_render([{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}])
    return text.partition(SYSTEM)[0] if text is not None and SYSTEM in text else None


def _cut_out(old: Template, new: Template, tokens: TokenTable) -> bool:
    """Whether a new template writes no words of its own, and renders all else as the old one does.

    A conversation may come out shorter by one piece in front of the first user message, where the words stood; the
    header of that message must still be whole.
    """
    if injected_text(new, tokens) is not None:
        return False
    first = (old.try_render([_USER]) or "").partition(USER)[0]
    if not (new.try_render([_USER]) or "").partition(USER)[0].endswith(_user_header(old, first)):
        return False
    for probe in PROBES:
        before, after = probe.render(old), probe.render(new)
        if before == after:
            continue
        if before is None or after is None or (SYSTEM in before) != (SYSTEM in after):
            return False
        ahead, behind = _shared_start(before, after), _shared_start(before[::-1], after[::-1])
        if ahead + behind < len(after) or ahead > before.index(USER):
            return False
    return True


def _says(template: Template, wish: str) -> Callable[[Template], bool]:
    """Whether a new template renders a bare conversation as the old one does with the wish as system message."""
    given: Message = {"role": "system", "content": wish}
    # A template may show it only in some turns, such as a last user turn; the plain message must.
    bare = [probe for probe in PROBES if probe.messages[0]["role"] != "system"]

    def good(new: Template) -> bool:
        if not _same_with_system(template, new):
            return False
        for probe in bare:
            with_wish = template.try_render(
                (given, *probe.messages),
                tools=probe.tools,
                add_generation_prompt=probe.prompt,
                **(probe.variables or {}),
            )
            if with_wish is None and probe is not bare[0]:
                continue
            if with_wish is None or probe.render(new) != with_wish:
                return False
            if probe is bare[0] and wish.strip() not in with_wish:
                return False
        return True

    return good


def _same_with_system(old: Template, new: Template) -> bool:
    return all(probe.render(old) == probe.render(new) for probe in PROBES if probe.messages[0]["role"] == "system")


def _why_not(template: Template, tokens: TokenTable, wish: str) -> str:
    if wish != "none" and _system_header(template) is None:
        return (
            f"--system-prompt: the template {template.where} takes no system message; "
            "edit it and give it by --chat-format FILE"
        )
    words = (injected_text(template, tokens) or "").replace("\n", " ")
    return (
        f"--system-prompt: the template {template.where} writes {words[:80]!r} in a way that cannot be taken out "
        "safely; edit it and give it by --chat-format FILE"
    )
