# SPDX-License-Identifier: Apache-2.0
"""Parse a line typed in a conversation into a message or a command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeVar

from chatvector.arithmetic.roles import ROLES
from chatvector.arithmetic.scales import (
    ScaleRules,
    format_layers,
    parse_layer_scale,
    parse_role_scale,
    parse_scale,
    parse_tensor_scale,
)
from chatvector.errors import UsageError, brief

Key = TypeVar("Key")

COMMANDS = {
    "/scale": ("[S] [ROLE=S] [LAYERS=S] [GLOB=S]", "move along the vector: /scale 0.7, /scale attention=0.5 0-3=1"),
    "/reset": ("", "forget the conversation; scale and system prompt stay"),
    "/system": ("[TEXT|none]", "set, take away or show the system prompt"),
    "/save": ("FILE.jsonl|FILE.md", "write the conversation to a new file"),
    "/help": ("", "this list"),
    "/quit": ("", "end, as does the end of input (Ctrl-D)"),
}
"""Name → (its arguments, its effect), as shown by /help."""


@dataclass(frozen=True)
class Message:
    """A message to be answered; never empty."""

    text: str


@dataclass(frozen=True)
class Scale:
    """Change the scales by `parts`, as written, for `move`; without parts show the present scales."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Reset:
    """Forget all turns."""


@dataclass(frozen=True)
class System:
    """Set the system prompt to `text`, remove it (""), or show the present one (None)."""

    text: str | None


@dataclass(frozen=True)
class Save:
    """Write the conversation to `file`."""

    file: str


@dataclass(frozen=True)
class Help:
    """Show the commands."""


@dataclass(frozen=True)
class Quit:
    """End the conversation."""


Command = Message | Scale | Reset | System | Save | Help | Quit


def parse(line: str) -> Command:
    """Read one line. A message that begins with a slash is written with two: `//etc is a directory`.

    Raises UsageError for an empty line, an unknown command, and missing or superfluous arguments.
    """
    text = line.strip()
    if not text:
        raise UsageError("an empty message: nothing was asked")
    if not text.startswith("/") or text.startswith("//"):
        return Message(text.removeprefix("/") if text.startswith("//") else text)
    name, _, rest = text.partition(" ")
    rest = rest.strip()
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}."
        raise UsageError(f"{brief(name)}: no such command; {meant} A message may begin with two slashes, not with one")
    if rest and not COMMANDS[name][0]:
        raise UsageError(f"{name} takes nothing after it, and there is {brief(rest)!r}")
    match name:
        case "/scale":
            return Scale(scale_parts(rest))
        case "/reset":
            return Reset()
        case "/system":
            return System("" if rest == "none" else rest or None)
        case "/save":
            if not rest:
                raise UsageError("/save: which file? write /save talk.jsonl or /save talk.md")
            return Save(rest)
        case "/help":
            return Help()
    return Quit()


def help_text() -> str:
    """The commands, one a line."""
    heads = {name: f"{name} {rest}".rstrip() for name, (rest, _) in COMMANDS.items()}
    width = max(map(len, heads.values()))
    return "\n".join(f"{heads[name]:<{width}}  {does}" for name, (_, does) in COMMANDS.items())


def scale_parts(line: str) -> tuple[str, ...]:
    """Split the arguments of `/scale` for `move`, at blanks or, as `describe` writes them, at commas."""
    return tuple(line.replace(",", " ").split())


def move(rules: ScaleRules, parts: Sequence[str]) -> ScaleRules:
    """The rules after `/scale PARTS`: a number, which stands first, moves everything and drops exceptions, `KEY=S`
    adds an exception for a role, a layer or range of layers, or a pattern of tensor names.

    Raises UsageError for a scale that is no finite number, a key that is none of these, and a number that is not
    first: `0,5` is two numbers.
    """
    for place, part in enumerate(parts):
        key, equals, _ = part.partition("=")
        if not equals:
            scale = parse_scale(part)
            if place:
                raise UsageError(
                    f"{brief(part)} stands behind {brief(parts[place - 1])}, and only a first number moves everything;"
                    " decimals have a point, not a comma: 0.5, attention=0.2"
                )
            rules = ScaleRules(scale)
        elif key not in ROLES and re.fullmatch(r"[\d-]+", key, re.ASCII):
            layers, scale = parse_layer_scale(part)
            rules = replace(rules, layers={**_without(rules.layers, layers), layers: scale})
        elif key not in ROLES and re.search(r"[*?.\[]", key):
            glob, scale = parse_tensor_scale(part)
            rules = replace(rules, tensors={**_without(rules.tensors, glob), glob: scale})
        else:
            role, scale = parse_role_scale(part)
            rules = replace(rules, roles={**rules.roles, role: scale})
    return rules


def describe(rules: ScaleRules) -> str:
    """The rules in the form that `/scale` takes: `0.7, attention=0.5, 0-3=1`."""
    named = [f"{role}={scale:g}" for role, scale in rules.roles.items()]
    named += [f"{format_layers(layers)}={scale:g}" for layers, scale in rules.layers.items()]
    named += [f"{glob}={scale:g}" for glob, scale in rules.tensors.items()]
    return ", ".join([f"{rules.scale:g}", *named])


def _without(rules: Mapping[Key, float], key: Key) -> dict[Key, float]:
    """The rules without `key`, so that a rule given again is appended last, where it wins."""
    return {other: scale for other, scale in rules.items() if other != key}
