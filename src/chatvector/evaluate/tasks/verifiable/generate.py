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
"""Largest number of instructions in a prompt."""

_CHOICES = ("relation", "script", "level", "numerals", "style")
"""Arguments that decide which sentence gives the instruction."""


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
    """`count` different prompts, the same for the same arguments. A larger count only adds prompts at the end.

    Prompts with one, two and three instructions take turns. Each instruction is of the least used kind that goes with
    those before it in the prompt, so that all kinds occur about equally often.
    """
    draw, words = Random(f"{seed}/{language}"), material(language)
    used: Counter[str] = Counter()
    prompts: dict[str, Prompt] = {}
    while len(prompts) < count:
        wanted = len(prompts) % MOST + 1
        chosen = _kinds(draw, kinds_of(language), used, wanted)
        prompt = _prompt(draw, words, chosen)
        used.update(
            kind.name for kind in chosen
        )  # also if the prompt is not new: the next try begins with another kind
        prompts.setdefault(prompt.text, prompt)
    return list(prompts.values())


def _kinds(draw: Random, kinds: list[Kind], used: Counter[str], wanted: int) -> list[Kind]:
    chosen: list[Kind] = []
    while len(chosen) < wanted:
        # A kind without slots stands alone: it is for prompts with one instruction only.
        fitting = [
            kind
            for kind in kinds
            if all(kind.goes_with(other) for other in chosen) and (wanted == 1 or kind.slots) and kind not in chosen
        ]
        if not fitting:
            break  # fewer than wanted: no other kind goes with these
        draw.shuffle(fitting)
        chosen.append(min(fitting, key=lambda kind: used[kind.name]))
    return chosen


def _prompt(draw: Random, words: Material, kinds: list[Kind]) -> Prompt:
    subject = draw.choice(words.subjects)
    instructions = [Instruction(kind.name, kind.draw(draw, words, subject)) for kind in kinds]
    # The instruction to repeat the request comes first, right after the request.
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
    """Whether the reply follows the instruction. An empty reply follows none."""
    return bool(reply.strip()) and KINDS[instruction.kind].check(reply, instruction.args)
