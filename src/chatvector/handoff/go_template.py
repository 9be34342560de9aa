# SPDX-License-Identifier: Apache-2.0
"""A chat format in Ollama's template language, Go's `text/template`.

Ollama executes a template that names `.Messages` once for each prompt. `.Messages` holds all messages, a system message
among them, those of one role in a row joined by an empty line; `.System` is the text of all system messages
(`Template.Execute` and `collate` in template/template.go of ollama/ollama, 0097ef5). All that is no `.Content` comes
from the texts of `Turns`, so a prompt is the Jinja template's, save that nothing is stripped from a message's ends.
"""

from __future__ import annotations

import json

from chatvector.vocabulary.turns import START, Turns

LAST = "{{- $last := eq (len (slice $.Messages $i)) 1 }}"


def go_template(turns: Turns, *, bos: str = "") -> str | None:
    """The template. None where the format has a text that no Modelfile can hold (three quotation marks in a row).

    Args:
        turns: the format.
        bos: the token that the engine puts before each prompt by itself; the template then leaves it out.
    """
    texts = {pair: text.removeprefix(bos) if pair[0] == START else text for pair, text in turns.between.items()}
    if any('"""' in text for text in (*texts.values(), turns.prompt)):
        return None
    opening, closing = _user(texts, takes_system=turns.takes_system)
    end_of_system = _literal(closing.get("system", ""))
    end_of_reply = _literal(closing["assistant"])
    if end_of_reply:
        end_of_reply = "{{ if not $last }}" + end_of_reply + "{{ end }}"
    lines = ["{{- range $i, $_ := .Messages }}", LAST]
    if turns.takes_system:
        lines += [
            '{{- if eq .Role "system" }}' + _literal(texts[START, "system"]) + "{{ .Content }}" + end_of_system,
            '{{- else if eq .Role "user" }}' + opening + "{{ .Content }}",
        ]
    else:
        lines += ['{{- if eq .Role "user" }}' + opening + "{{ .Content }}"]
    lines += [
        '{{- else if eq .Role "assistant" }}' + _literal(texts["user", "assistant"]) + "{{ .Content }}" + end_of_reply,
        "{{- end }}",
        '{{- if and (eq .Role "user") $last }}' + _literal(turns.prompt) + "{{ end }}",
        "{{- end }}",
    ]
    return "\n".join(lines)


def _user(texts: dict[tuple[str, str], str], *, takes_system: bool) -> tuple[str, dict[str, str]]:
    """What opens a user's turn, and what closes the turns before it, by role.

    Where the text at the start also ends the other two, it is the turn's own header, and what is before it closes the
    turn before. Else the header depends on what is before.
    """
    first, after_reply = texts[START, "user"], texts["assistant", "user"]
    after_system = texts["system", "user"] if takes_system else after_reply
    if after_reply.endswith(first) and after_system.endswith(first):
        closing = {"system": after_system, "assistant": after_reply}
        return _literal(first), {role: text.removesuffix(first) for role, text in closing.items()}
    if takes_system:
        cases = [("eq $i 0", first), ("and (eq $i 1) $.System", after_system)]
        if after_system == after_reply:
            cases.pop()
    else:  # a system message, which such a format leaves out, may still stand before
        cases = [("or (eq $i 0) (and (eq $i 1) $.System)", first)]
    branches = "".join(
        ("{{ if " if not place else "{{ else if ") + case + " }}" + _literal(text)
        for place, (case, text) in enumerate(cases)
    )
    return branches + "{{ else }}" + _literal(after_reply) + "{{ end }}", {"assistant": ""}


def _literal(text: str) -> str:
    """A text as it stands in a template. White space at its ends would fall to the `{{-` of the next line, and braces
    would open an action: such a text is a string constant of Go, whose escapes are those of JSON here."""
    if not text:
        return ""
    if text == text.strip() and "{{" not in text and "\n" not in text and not text.endswith("{"):
        return text
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}"
