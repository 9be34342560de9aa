# SPDX-License-Identifier: Apache-2.0
"""Go's `text/template`, as far as a Modelfile here uses it: an own reading of https://pkg.go.dev/text/template.

Known: text, `{{-`, string constants, fields of the dot and of `$`, variables, `range $i, $_ :=`, `if`/`else if`/`else`,
`eq`, `and`, `or`, `not`, `len`, `slice`, parentheses. Anything else is an error, so that a template that uses more does
not pass by accident. A machine with Go runs the real one (`test_go_itself`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ACTION = re.compile(r"\{\{(- )?\s*((?:\"(?:\\.|[^\"\\])*\"|[^\"}]|\}(?!\}))*?)\s*\}\}", re.DOTALL)
_WORD = re.compile(r"\s*(\(|\)|\"(?:\\.|[^\"\\])*\"|[^\s()]+)")


def render(source: str, messages: Sequence[Mapping[str, str]]) -> str:
    """What Ollama gives the model for a conversation: its data, and what `collate` does to it."""
    joined: list[dict[str, str]] = []
    for message in messages:
        if joined and joined[-1]["Role"] == message["role"]:
            joined[-1]["Content"] += "\n\n" + message["content"]
        else:
            joined.append({"Role": message["role"], "Content": message["content"]})
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    data = {"System": system, "Messages": joined}
    pieces = iter(list(_pieces(source)))
    tree, end = _block(pieces)
    assert end == ""
    return "".join(_run(tree, data, {"$": data}))


def _pieces(source: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("action", …); white space before `{{-` is gone."""
    place = 0
    for found in _ACTION.finditer(source):
        text = source[place : found.start()]
        yield "text", text.rstrip(" \t\r\n") if found[1] else text
        yield "action", found[2]
        place = found.end()
    assert "{{" not in source[place:], source[place:]
    yield "text", source[place:]


def _block(pieces: Iterator[tuple[str, str]]) -> tuple[list[Any], str]:
    """Nodes up to the action that ends the block, and that action."""
    nodes: list[Any] = []
    for kind, content in pieces:
        if kind == "text":
            nodes.append(content)
        elif content == "end" or content.startswith("else"):
            return nodes, content
        elif content.startswith("if "):
            nodes.append(_branches(content.removeprefix("if "), pieces))
        elif content.startswith("range "):
            inner, end = _block(pieces)
            assert end == "end"
            names, _, what = content.removeprefix("range ").partition(":=")
            nodes.append(("range", [name.strip() for name in names.split(",")], what, inner))
        else:
            nodes.append(("action", content))
    return nodes, ""


def _branches(condition: str, pieces: Iterator[tuple[str, str]]) -> Any:
    then, end = _block(pieces)
    if end == "end":
        return "if", condition, then, []
    if end.startswith("else if "):
        return "if", condition, then, [_branches(end.removeprefix("else if "), pieces)]
    otherwise, end = _block(pieces)
    assert end == "end"
    return "if", condition, then, otherwise


def _run(nodes: Sequence[Any], dot: Any, names: dict[str, Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif node[0] == "if":
            yield from _run(node[2] if _value(node[1], dot, names) else node[3], dot, dict(names))
        elif node[0] == "range":
            for number, item in enumerate(_value(node[2], dot, names)):
                yield from _run(node[3], item, {**names, node[1][0]: number, node[1][1]: item})
        elif ":=" in node[1]:
            name, _, what = node[1].partition(":=")
            names[name.strip()] = _value(what, dot, names)
        else:
            value = _value(node[1], dot, names)
            assert isinstance(value, str), node
            yield value


def _value(text: str, dot: Any, names: Mapping[str, Any]) -> Any:
    words = _WORD.findall(text)
    value = _call(words, dot, names)
    assert not words, words
    return value


def _call(words: list[str], dot: Any, names: Mapping[str, Any]) -> Any:
    """A function with its arguments, or one operand; up to the end or a closing parenthesis."""
    if words[0] not in ("eq", "and", "or", "not", "len", "slice"):
        return _operand(words, dot, names)
    name = words.pop(0)
    given = []
    while words and words[0] != ")":
        given.append(_operand(words, dot, names))
    match name, given:
        case "eq", [one, other]:
            assert type(one) is type(other), given
            return one == other
        case "and", [one, other]:
            return one and other
        case "or", [one, other]:
            return one or other
        case "not", [one]:
            return not one
        case "len", [one]:
            return len(one)
        case "slice", [one, start]:
            return one[start:]
        case _:
            raise AssertionError(f"{name} with {len(given)} arguments")


def _operand(words: list[str], dot: Any, names: Mapping[str, Any]) -> Any:
    word = words.pop(0)
    if word == "(":
        value = _call(words, dot, names)
        assert words.pop(0) == ")"
        return value
    if word.startswith('"'):
        return json.loads(word)
    if word.isdigit():
        return int(word)
    head, _, field = word.partition(".")
    value = names[head] if head else dot
    return value[field] if field else value
