# SPDX-License-Identifier: Apache-2.0
"""Prompts with one to three instructions that can be checked by rule and do not contradict each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from chatvector.evaluate.task import Language
from chatvector.evaluate.tasks.verifiable.kinds import KINDS, Kind
from chatvector.evaluate.tasks.verifiable.material import Material, material

MOST = 3
"""Instructions a prompt."""

_CHOICES = ("relation", "script", "level", "numerals", "style")
"""Arguments that decide which sentence says the instruction."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a prompt: its kind's name, and its arguments (JSON values)."""

    kind: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Prompt:
    """A prompt with its instructions. `reply_language` is the language that an answer has to be in."""

    text: str
    instructions: tuple[Instruction, ...]
    reply_language: Language


def kinds_of(language: Language) -> list[Kind]:
    """The kinds that a language's prompts can hold."""
    return [kind for kind in KINDS.values() if language in kind.languages]


def generate(language: Language, count: int, seed: int) -> list[Prompt]:
    """`count` different prompts, the same for the same arguments; the first of them are the same for a larger count.

    Prompts with one, two and three instructions take turns. Each is begun with a kind that has been used least, and
    goes on with kinds that go with those it has, the least used ones first, so that all come about equally often.
    """
    draw, words = Random(f"{seed}/{language}"), material(language)
    used: Counter[str] = Counter()
    prompts: dict[str, Prompt] = {}
    while len(prompts) < count:
        wanted = len(prompts) % MOST + 1
        chosen = _kinds(draw, kinds_of(language), used, wanted)
        prompt = _prompt(draw, words, chosen)
        used.update(kind.name for kind in chosen)  # also if it has come before: the next try begins elsewhere
        prompts.setdefault(prompt.text, prompt)
    return list(prompts.values())


def _kinds(draw: Random, kinds: list[Kind], used: Counter[str], wanted: int) -> list[Kind]:
    chosen: list[Kind] = []
    while len(chosen) < wanted:
        # A kind that stands alone is for prompts with one instruction.
        fitting = [
            kind
            for kind in kinds
            if all(kind.goes_with(other) for other in chosen) and (wanted == 1 or kind.slots) and kind not in chosen
        ]
        if not fitting:
            break  # fewer than wanted: nothing more goes with these
        draw.shuffle(fitting)
        chosen.append(min(fitting, key=lambda kind: used[kind.name]))
    return chosen


def _prompt(draw: Random, words: Material, kinds: list[Kind]) -> Prompt:
    subject = draw.choice(words.subjects)
    instructions = [Instruction(kind.name, kind.draw(draw, words, subject)) for kind in kinds]
    # What is to be repeated is what stands above it: that instruction comes first.
    instructions.sort(key=lambda one: one.kind != "repeat")
    said = [say(words, one) for one in instructions]
    if not any(kind.own_request for kind in kinds):
        said.insert(0, subject.ask)
    return Prompt(words.joint.join(said), tuple(instructions), _reply_language(words.language, instructions))


def say(words: Material, instruction: Instruction) -> str:
    """The sentence that gives the instruction."""
    args = instruction.args
    key = "_".join([instruction.kind, *(str(args[name]).replace(" ", "_") for name in _CHOICES if name in args)])
    filled = {name: words.listed.join(value) if isinstance(value, list) else value for name, value in args.items()}
    if "language" in args:
        filled["language"] = words.languages[args["language"]]
    return words.says[key].format(**filled)


def _reply_language(asked_in: Language, instructions: list[Instruction]) -> Language:
    for one in instructions:
        if one.kind == "reply_language":
            return one.args["language"]
        if one.kind == "script":
            return {"traditional": "zh-Hant", "simplified": "zh-Hans"}[one.args["script"]]
    return asked_in


def checked(instruction: Instruction, reply: str) -> bool:
    """Does the reply follow the instruction? An empty one follows none."""
    return bool(reply.strip()) and KINDS[instruction.kind].check(reply, instruction.args)
