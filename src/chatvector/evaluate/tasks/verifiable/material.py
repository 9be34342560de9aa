# SPDX-License-Identifier: Apache-2.0
"""What generated prompts are made of in each language: subjects, words, phrases, and the sentences of instructions.

The material of a language is in `prompts/LANGUAGE.toml`, written by hand in the language; nothing is translated by
rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chatvector.evaluate.task import Language

_FOLDER = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Subject:
    """A request that can be met in many forms, and words that are likely in a reply."""

    ask: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """The content of one language's file.

    Attributes:
        joint: what stands between the request and the instructions: a space or nothing.
        subjects: what to write about.
        keywords: words that may be asked for with any subject.
        starts, ends: phrases for the beginning and the end, without commas and without a level of politeness.
        postscripts: markers of postscripts.
        section: marker of sections.
        questions: each a question, then the answers to choose from.
        languages: tag → name of another language in this one.
        listed: what separates the words of a list within an instruction.
        says: instruction (with its relation or choice) → its sentence, with placeholders such as `{count}`.
    """

    language: Language
    joint: str
    subjects: tuple[Subject, ...]
    keywords: tuple[str, ...]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    postscripts: tuple[str, ...]
    section: str
    questions: tuple[tuple[str, ...], ...]
    languages: Mapping[Language, str]
    listed: str
    says: Mapping[str, str]


@cache
def material(language: Language) -> Material:
    """The material of a language that has a file."""
    read = tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))
    return Material(
        language=language,
        joint=read["joint"],
        subjects=tuple(Subject(ask, tuple(words)) for ask, *words in read["subjects"]),
        keywords=tuple(read["keywords"]),
        starts=tuple(read["starts"]),
        ends=tuple(read["ends"]),
        postscripts=tuple(read["postscripts"]),
        section=read["section"],
        questions=tuple(tuple(entry) for entry in read["questions"]),
        languages=read["languages"],
        listed=read["listed"],
        says=read["says"],
    )


def languages() -> tuple[Language, ...]:
    """Tags of the languages that have a file."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
